"""A cache of vectors and tokens, keyed by fingerprint and text: only new texts are processed."""

import contextlib
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.files import remove
from dotbogi.indexes.lexical import Tokens

_MAX_VARIABLES = 10_000  # SQLite allows 32,766 in one statement
_CHECK_BYTES = 8
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG,
}  # fmt: skip
_BAD_READS = {
    sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS,
}  # fmt: skip

T = TypeVar("T")

logger = logging.getLogger(__name__)


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
        with contextlib.suppress(OSError):  # the next call tries again
            for path in self._folder.glob("*-*.sqlite*"):
                if path.name.split("-", 1)[1].split(".")[0] not in fingerprints:
                    remove(path)

    def _complete(
        self, name: str, texts: Sequence[str], work: Callable[[Sequence[str]], list[bytes]]
    ) -> dict[bytes, bytes]:
        path = self._folder / f"{name}.sqlite"
        by_key = {_key(text): text for text in texts}
        kept = _use(path, lambda database: _read(database, list(by_key))) or {}
        new = {key: text for key, text in by_key.items() if key not in kept}
        if new:  # the cache is closed while they are made, which may take long
            fresh = dict(zip(new, work(list(new.values())), strict=True))
            _use(path, lambda database: _write(database, fresh))
            kept.update(fresh)
        return kept


def _use(path: Path, job: Callable[[sqlite3.Connection], T]) -> T | None:
    """Return what a job returns, or None if the cache cannot be used now.

    A cache that is damaged is made anew, and the job is done again. Damage may be anywhere in the
    file, so it may be noticed only when a page is read or written.
    """
    try:
        try:
            return _once(path, job)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            logger.warning("%s: damaged (%s); this part of the cache is made anew", path, error)
        for suffix in ("", "-journal", "-wal", "-shm"):
            remove(path.with_name(path.name + suffix))
        return _once(path, job)
    except (sqlite3.Error, OSError) as error:  # locked, on a full or broken disk, …
        logger.warning("%s: cannot be used (%s); the cache is left out", path, error)
        return None


def _once(path: Path, job: Callable[[sqlite3.Connection], T]) -> T:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or not path.is_file():
        remove(path)  # a link would be written through, and a fifo waited for
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value BLOB)")
        return job(database)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether the file is damaged, rather than locked, or on a full or broken disk."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # none: not UTF-8
    return code in _BAD_READS or code & 0xFF in _DAMAGE


def _read(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the cached values of these keys, except those with a wrong checksum."""
    kept: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _MAX_VARIABLES):
        part = keys[start : start + _MAX_VARIABLES]
        marks = ",".join("?" * len(part))
        for key, stored in database.execute(
            f"SELECT key, value FROM kept WHERE key IN ({marks})", part
        ):
            if isinstance(stored, bytes) and stored[:_CHECK_BYTES] == _check(
                key, stored[_CHECK_BYTES:]
            ):
                kept[key] = stored[_CHECK_BYTES:]
    return kept


def _write(database: sqlite3.Connection, values: Mapping[bytes, bytes]) -> None:
    with database:
        database.executemany(
            "INSERT OR REPLACE INTO kept VALUES (?, ?)",
            ((key, _check(key, value) + value) for key, value in values.items()),
        )


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _check(key: bytes, value: bytes) -> bytes:
    # The key too: in a damaged index, SQLite finds the whole row of another key.
    return hashlib.blake2b(key + value, digest_size=_CHECK_BYTES).digest()
