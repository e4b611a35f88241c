"""A cache of vectors and tokens, keyed by fingerprint and text: only new texts are processed."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.lexical import Tokens

_MAX_VARIABLES = 10_000  # SQLite allows 32,766 in one statement
_CHECK_BYTES = 8


class Cache:
    """The folder `cache/` of a workspace: one SQLite file per kind and fingerprint."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def vectors(
        self, fingerprint: str, texts: Sequence[str], encode: Callable[[Sequence[str]], Vectors]
    ) -> Vectors:
        """Return the vectors of `texts` (texts × dim), encoding only those not in the cache."""

        def work(new: Sequence[str]) -> list[bytes]:
            return [row.astype("<f4").tobytes() for row in encode(new)]

        if not texts:
            return encode([])
        kept = self._complete(f"vectors-{fingerprint}", texts, work)
        return np.stack([np.frombuffer(kept[_key(text)], "<f4") for text in texts])

    def tokens(
        self, fingerprint: str, texts: Sequence[str], tokenize: Callable[[Sequence[str]], Tokens]
    ) -> Tokens:
        """Return the tokens of `texts`, analysing only those not in the cache."""

        def work(new: Sequence[str]) -> list[bytes]:
            return [json.dumps(row, ensure_ascii=False).encode() for row in tokenize(new)]

        kept = self._complete(f"tokens-{fingerprint}", texts, work)
        return [json.loads(kept[_key(text)]) for text in texts]

    def keep_only(self, fingerprints: Sequence[str]) -> None:
        """Delete the cached vectors and tokens of all other fingerprints."""
        for path in self._folder.glob("*-*.sqlite*"):
            if path.name.split("-", 1)[1].split(".")[0] not in fingerprints:
                path.unlink()

    def _complete(
        self, name: str, texts: Sequence[str], work: Callable[[Sequence[str]], list[bytes]]
    ) -> dict[bytes, bytes]:
        by_key = {_key(text): text for text in texts}
        with closing(self._open(name)) as database:
            kept = _read(database, list(by_key))
            new = {key: text for key, text in by_key.items() if key not in kept}
            if new:
                fresh = dict(zip(new, work(list(new.values())), strict=True))
                with database:
                    database.executemany(
                        "INSERT OR REPLACE INTO kept VALUES (?, ?)",
                        ((key, _check(value) + value) for key, value in fresh.items()),
                    )
                kept.update(fresh)
        return kept

    def _open(self, name: str) -> sqlite3.Connection:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.sqlite"
        table = "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value BLOB)"
        database = sqlite3.connect(path)
        try:
            database.execute(table)
        except sqlite3.OperationalError:
            raise  # such as a full disk: the file itself may be intact
        except sqlite3.DatabaseError:
            database.close()
            path.unlink()  # an unreadable cache is replaced
            database = sqlite3.connect(path)
            database.execute(table)
        return database


def _read(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the cached values of these keys, except those with a wrong checksum."""
    kept: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _MAX_VARIABLES):
        part = keys[start : start + _MAX_VARIABLES]
        marks = ",".join("?" * len(part))
        for key, stored in database.execute(
            f"SELECT key, value FROM kept WHERE key IN ({marks})", part
        ):
            check, value = stored[:_CHECK_BYTES], stored[_CHECK_BYTES:]
            if check == _check(value):
                kept[key] = value
    return kept


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _check(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_CHECK_BYTES).digest()
