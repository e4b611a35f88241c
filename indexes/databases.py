"""What SQLite's errors say about a file, and its own check of the whole file."""

import sqlite3

_DAMAGE = {
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG,
}  # fmt: skip
_BAD_READS = {
    sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS,
}  # fmt: skip

# A message that quotes a damaged name may not be UTF-8.
ERRORS = (sqlite3.Error, UnicodeDecodeError)


def is_damage(error: Exception) -> bool:
    """Return whether one of ERRORS says that the file is damaged, not locked or on a full disk."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # none: not UTF-8
    return code in _BAD_READS or code & 0xFF in _DAMAGE


def first_fault(database: sqlite3.Connection) -> str | None:
    """Return the first fault that SQLite finds in tables, indexes and pages; None if none."""
    found: str = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    return None if found == "ok" else " ".join(found.split("\n"))
