"""The files beside a SQLite database, which SQLite reads, writes and deletes by itself."""

from pathlib import Path

from dotbogi.indexes.files import open_regular

# At the end of the journal of several databases, behind the name of another journal.
_MARK = bytes.fromhex("d9d505f920a163d7")


def parts_of(path: Path) -> list[Path]:
    """Return the files that SQLite may use for a database: itself, its journals, their index."""
    return [path.with_name(path.name + end) for end in ("", "-journal", "-wal", "-shm")]


def foreign_parts(path: Path) -> list[Path]:
    """Return the files of a database that SQLite must not be given.

    A link would be written through, and a fifo waited for. A journal that names another one makes
    SQLite read that file and then delete it, whatever it is.
    """
    return [
        part
        for part in parts_of(path)
        if part.is_symlink() or (part.exists() and not part.is_file()) or _names_another(part)
    ]


def _names_another(part: Path) -> bool:
    if not part.name.endswith("-journal") or not part.is_file():
        return False
    with open_regular(part) as file:
        file.seek(max(part.stat().st_size - len(_MARK), 0))
        return file.read() == _MARK
