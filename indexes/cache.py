"""A cache of vectors and tokens, keyed by fingerprint and text: only new texts are processed."""

import contextlib
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np

from dotbogi.indexes.databases import ERRORS, first_fault, is_damage
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import remove
from dotbogi.indexes.journals import foreign_parts, parts_of
from dotbogi.indexes.json_files import parse_json
from dotbogi.indexes.lexical import Tokens

_AT_ONCE = 1 << 15  # texts made and stored together; eight times what an encoder sorts by length
_MAX_VARIABLES = 10_000  # SQLite allows 32,766 in one statement
_CHECK_BYTES = 8
_FORMAT = 1  # as user_version; 0: by the first version, which stated none, nor an owner

_TABLE = "CREATE TABLE kept (key BLOB PRIMARY KEY, value BLOB)"
_SCHEMA = [("table", "kept", _TABLE), ("index", "sqlite_autoindex_kept_1", None)]
_MOST_BYTES = 1 << 25  # of a row

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Cache:
    """The folder `cache/` of a workspace: one SQLite file per kind and fingerprint."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def vectors(
        self,
        fingerprint: str,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], Vectors],
        dim: int | None = None,
    ) -> Vectors:
        """Return the vectors of `texts` (texts × dim), encoding only those not in the cache.

        Args:
            fingerprint: of the encoder.
            texts: texts, some of them perhaps equal.
            encode: texts → vectors.
            dim: cached vectors of another length are not used; None if all have one length.
        """

        def unpacked(value: bytes) -> Vectors:
            vector: Vectors = np.frombuffer(value, "<f4")
            if dim not in (None, len(vector)) or not np.isfinite(vector).all():
                raise ValueError("not a vector of this encoder")
            return vector

        if not texts:
            return encode([])
        vectors: Vectors | None = None
        for start, part in _parts(texts):
            kept = self._complete(
                f"vectors-{fingerprint}",
                part,
                encode,
                lambda row: row.astype("<f4").tobytes(),
                unpacked,
            )
            found = np.stack([kept[_key(text)] for text in part])
            if vectors is None:
                vectors = np.empty((len(texts), found.shape[1]), np.float32)
            vectors[start : start + len(part)] = found
        assert vectors is not None
        return vectors

    def tokens(
        self, fingerprint: str, texts: Sequence[str], tokenize: Callable[[Sequence[str]], Tokens]
    ) -> Tokens:
        """Return the tokens of `texts`, analysing only those not in the cache."""

        def packed(tokens: list[str]) -> bytes:
            return json.dumps(tokens, ensure_ascii=False).encode()

        def unpacked(value: bytes) -> list[str]:
            tokens = parse_json(value)
            if not isinstance(tokens, list) or not set(map(type, tokens)) <= {str}:
                raise ValueError("not tokens")
            return [known.setdefault(token, token) for token in tokens]

        known: dict[str, str] = {}  # each token once in memory
        tokens: Tokens = []
        for _, part in _parts(texts):
            kept = self._complete(f"tokens-{fingerprint}", part, tokenize, packed, unpacked)
            tokens += [kept[_key(text)] for text in part]
        return tokens

    def keep_only(self, fingerprints: Sequence[str]) -> None:
        """Delete the cached vectors and tokens of all other fingerprints."""
        with contextlib.suppress(OSError):  # the next call tries again
            for path in self._folder.glob("*-*.sqlite*"):
                if path.name.split("-", 1)[1].split(".")[0] not in fingerprints:
                    remove(path)

    def _complete(
        self,
        name: str,
        texts: Sequence[str],
        work: Callable[[Sequence[str]], Iterable[T]],
        pack: Callable[[T], bytes],
        unpack: Callable[[bytes], T],
    ) -> dict[bytes, T]:
        path = self._folder / f"{name}.sqlite"
        by_key = {_key(text): text for text in texts}
        stored = _use(path, lambda database: _read(database, list(by_key))) or {}
        kept: dict[bytes, T] = {}
        for key, value in stored.items():
            # A checksum fits whatever its author wrote.
            with contextlib.suppress(ValueError, RecursionError):
                kept[key] = unpack(value)
        new = {key: text for key, text in by_key.items() if key not in kept}
        if new:  # the cache is closed while they are made, which may take long
            fresh = dict(zip(new, work(list(new.values())), strict=True))
            packed = {key: pack(value) for key, value in fresh.items()}
            _use(path, lambda database: _write(database, packed))
            kept.update(fresh)
        return kept


def _parts(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the texts part by part: what is done is kept, and memory is bounded."""
    for start in range(0, len(texts), _AT_ONCE):
        yield start, texts[start : start + _AT_ONCE]


def _use(path: Path, job: Callable[[sqlite3.Connection], T]) -> T | None:
    """Return what a job returns, or None if the cache cannot be used now.

    A cache that is damaged is made anew, and the job is done again. Damage may be anywhere in the
    file, so it may be noticed only when a page is read or written.
    """
    try:
        try:
            return _once(path, job)
        except ERRORS as error:
            if not is_damage(error):
                raise
            logger.warning("%s: damaged (%s); this part of the cache is made anew", path, error)
        for part in parts_of(path):
            remove(part)
        return _once(path, job)
    except (sqlite3.Error, OSError) as error:  # locked, on a full or broken disk, …
        logger.warning("%s: cannot be used (%s); the cache is left out", path, error)
        return None


def _once(path: Path, job: Callable[[sqlite3.Connection], T]) -> T:
    if path.parent.is_symlink() or not path.parent.is_dir():
        remove(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in foreign_parts(path):
        remove(part)
    with closing(sqlite3.connect(path)) as database:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        stated = _format_of(database, path)
        database.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))
        # A view or a trigger could run any statement, and for ever.
        schema = database.execute("SELECT type, name, sql FROM sqlite_master").fetchmany(3)
        if schema != _SCHEMA:
            raise sqlite3.DatabaseError("holds other tables")
        if stated != _FORMAT:
            database.execute(f"PRAGMA application_id = {_owner(path)}")
            database.execute(f"PRAGMA user_version = {_FORMAT}")
        return job(database)


def _format_of(database: sqlite3.Connection, path: Path) -> int:
    """Return the format of a file that belongs to its name: not that of another model."""
    stated, owner = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("user_version", "application_id")
    )
    if stated not in (0, _FORMAT):
        raise sqlite3.DatabaseError(f"written in format {stated}; this version reads {_FORMAT}")
    if owner != (_owner(path) if stated else 0):
        raise sqlite3.DatabaseError("the file of another model under this name")
    return stated


def _owner(path: Path) -> int:
    """Return 31 bits of the digest of a file's name, which has the model's fingerprint."""
    return int.from_bytes(hashlib.blake2b(path.stem.encode(), digest_size=4).digest()) >> 1


def check_cache(path: Path) -> int:
    """Return the number of values in a file of the cache after checking it and each of them.

    Raises:
        DamagedError: the file or a value is damaged, or is in the format of another version.
    """
    anew = "Nothing is lost: the next index or train makes this part anew."
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            _format_of(database, path)
            if fault := first_fault(database):
                raise DamagedError(f"{path}: {fault}. {anew}")
            keys = [key for (key,) in database.execute("SELECT key FROM kept")]
            if len(_read(database, keys)) != len(keys):
                raise DamagedError(f"{path}: a value differs from its checksum. {anew}")
    except ERRORS as error:
        if not is_damage(error):
            raise
        raise DamagedError(f"{path}: damaged ({error}). {anew}") from error
    return len(keys)


def _read(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the cached values of these keys, except those with a wrong checksum."""
    kept: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _MAX_VARIABLES):
        part = keys[start : start + _MAX_VARIABLES]
        marks = ",".join("?" * len(part))
        for key, stored in database.execute(
            f"SELECT key, value FROM kept WHERE key IN ({marks})",  # noqa: S608 - question marks
            part,
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
            (
                (key, _check(key, value) + value)
                for key, value in values.items()
                if len(value) < _MOST_BYTES // 2
            ),
        )


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _check(key: bytes, value: bytes) -> bytes:
    # The key too: in a damaged index, SQLite finds the whole row of another key.
    return hashlib.blake2b(key + value, digest_size=_CHECK_BYTES).digest()
