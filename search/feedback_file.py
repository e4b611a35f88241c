"""The format of `feedback.sqlite`: its tables, and the checksums that show damage."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from dotbogi.indexes.databases import first_fault
from dotbogi.indexes.errors import DamagedError, OldFormatError, UsageError
from dotbogi.indexes.files import sync

COLUMNS = ("id", "client", "query", "shown", "answer_id", "verdict", "generation", "time")
REMEDY = "Restore it from a backup, or move it away to start a new one."

_APPLICATION = 0x646F7462  # "dotb": marks the file as ours
_FORMAT = 2  # 1 had no checksums
_TEXTS = ", ".join(f"{name} TEXT NOT NULL" for name in COLUMNS)
_TABLE_1 = f"""CREATE TABLE feedback (
    number INTEGER PRIMARY KEY,
    {_TEXTS},
    UNIQUE (client, id)
)"""
# Sums stay below 2^63, where SQLite would go over to floating point.
_MASK = 2**62 - 1
# What is stored in all. A row that is lost, with its page or by a wrong pointer, has nobody else
# to miss it.
_SCHEMA = (
    f"""CREATE TABLE feedback (
    number INTEGER PRIMARY KEY,
    {_TEXTS},
    checksum INTEGER NOT NULL,
    UNIQUE (client, id)
)""",
    "CREATE TABLE stored (votes INTEGER NOT NULL, checksums INTEGER NOT NULL)",
    f"""CREATE TRIGGER added AFTER INSERT ON feedback BEGIN
    UPDATE stored SET votes = votes + 1, checksums = (checksums + new.checksum) & {_MASK};
END""",
    f"""CREATE TRIGGER erased AFTER DELETE ON feedback BEGIN
    UPDATE stored SET votes = votes - 1, checksums = (checksums - old.checksum) & {_MASK};
END""",
)


def create_tables(database: sqlite3.Connection) -> None:
    """Make an empty database one for feedback."""
    for statement in _SCHEMA:
        database.execute(statement)
    database.execute("INSERT INTO stored VALUES (0, 0)")
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    database.execute(f"PRAGMA user_version = {_FORMAT}")


def insert_vote(database: sqlite3.Connection, values: Sequence[str]) -> bool:
    """Store the values of COLUMNS in one statement; return False if the vote is there already."""
    names, marks = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
    added = database.execute(
        f"INSERT INTO feedback ({names}, checksum) VALUES ({marks}, ?) "
        "ON CONFLICT (client, id) DO NOTHING",
        (*values, _checksum(values)),
    )
    return added.rowcount == 1


def prepare(database: sqlite3.Connection, path: Path) -> None:
    """Check that an open database is one of ours, and bring an older one to this format.

    Raises:
        DamagedError: it is no feedback database, or a damaged one.
        OldFormatError: a newer version of dotbogi wrote it.
    """
    application, format_ = _marks(database)
    if application != _APPLICATION:
        raise DamagedError(f"{path}: a database, but not a feedback database. {REMEDY}")
    if format_ > _FORMAT:
        raise OldFormatError(
            f"{path}: written in format {format_}; this version reads up to {_FORMAT}. "
            "Update dotbogi."
        )
    # A backup is not in this mode. The mode is stored in the file, where it may be damaged.
    if database.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise DamagedError(f"{path}: damaged (its header says that it is read-only). {REMEDY}")
    if format_ == 1:
        _migrate(database, path)
    _check_tables(database, path, _SCHEMA)


def _check_tables(database: sqlite3.Connection, path: Path, expected: Sequence[str]) -> None:
    found = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql != ''")]
    if sorted(found) != sorted(expected):
        raise DamagedError(f"{path}: its tables are not those of feedback. {REMEDY}")


def _marks(database: sqlite3.Connection) -> tuple[int, int]:
    application, format_ = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    return application, format_


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    """Give the rows of a database in format 1 their checksums, all or none."""
    database.execute("BEGIN IMMEDIATE")
    try:
        if _marks(database)[1] == 1:  # no other process was faster
            _check_tables(database, path, [_TABLE_1])
            _refuse_faults(database, path)
            names = ", ".join(COLUMNS)
            database.create_function("checksum_of", -1, lambda *values: _checksum(values))
            database.execute("ALTER TABLE feedback RENAME TO before")
            create_tables(database)
            database.execute(
                f"INSERT INTO feedback (number, {names}, checksum) "
                f"SELECT number, {names}, checksum_of({names}) FROM before ORDER BY number"
            )
            database.execute("DROP TABLE before")
        database.execute("COMMIT")
    finally:
        _roll_back(database)


def row_fault(values: Sequence[object], stated: object) -> str | None:
    """Return what is wrong with the values of COLUMNS, given the stored checksum; None if nothing.

    A page that is damaged may also hold numbers or bytes in place of texts.
    """
    if not all(isinstance(value, str) for value in values):
        return "holds other things than texts"
    return None if _checksum(values) == stated else "differs from its checksum"


def check(database: sqlite3.Connection, path: Path) -> int:
    """Return the number of votes after checking each row, their sum, and SQLite's own structure.

    Others may write meanwhile: the check sees the state at its beginning.

    Raises:
        DamagedError: something is not as it was stored; the first such thing is named.
    """
    database.execute("BEGIN")
    try:
        _refuse_faults(database, path)
        votes = total = 0
        rows = database.execute(f"SELECT number, checksum, {', '.join(COLUMNS)} FROM feedback")
        for number, stated, *values in rows:
            if fault := row_fault(values, stated):
                raise DamagedError(f"{path}: row {number} {fault}. {REMEDY}")
            votes, total = votes + 1, (total + stated) & _MASK
        if [(votes, total)] != (stored := database.execute("SELECT * FROM stored").fetchall()):
            said = stored[0][0] if stored else "none"
            raise DamagedError(
                f"{path}: holds {votes} votes, which are not those that were stored ({said} by its "
                f"own count). {REMEDY}"
            )
    finally:
        _roll_back(database)
    return votes


def _roll_back(database: sqlite3.Connection) -> None:
    if database.in_transaction:
        database.execute("ROLLBACK")


def _refuse_faults(database: sqlite3.Connection, path: Path) -> None:
    if fault := first_fault(database):
        raise DamagedError(f"{path}: damaged ({fault}). {REMEDY}")


def back_up(database: sqlite3.Connection, path: Path) -> int:
    """Write a copy of an open database to `path`, and open and check it; return its votes.

    It replaces what is there only when it is complete and on the disk.

    Raises:
        UsageError: the path is a folder, or in a folder that does not exist.
        DamagedError: the copy does not hold what was stored.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{path}: expected the name of a file in a folder that exists.")
    staged = path.with_name(f".{path.name}")
    staged.unlink(missing_ok=True)
    try:
        database.execute("VACUUM INTO ?", (str(staged),))
        with closing(sqlite3.connect(staged, isolation_level=None)) as copy:
            votes = check(copy, staged)
        sync(staged)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    sync(path.parent)
    return votes


def _checksum(values: Sequence[object]) -> int:
    """Return 62 bits of a digest of the values of a row; its number is left to SQLite's check."""
    text = json.dumps(values, ensure_ascii=False)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) & _MASK
