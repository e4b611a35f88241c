"""User feedback on answers, written at once to a workspace's `feedback.sqlite`."""

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from dotbogi.indexes.databases import ERRORS, is_damage
from dotbogi.indexes.errors import DamagedError, DotbogiError, LockedError, NoSpaceError, UsageError
from dotbogi.indexes.journals import foreign_parts
from dotbogi.indexes.text import is_valid_unicode
from dotbogi.search.feedback_file import (
    COLUMNS,
    REMEDY,
    back_up,
    check,
    create_tables,
    insert_vote,
    prepare,
    row_fault,
)
from dotbogi.search.feedback_log import check_log

Verdict = Literal["best", "right", "wrong"]  # best: right, and should come first

_FILE = "feedback.sqlite"
_BUSY_SECONDS = 30.0  # to wait while another process writes
_PAGE = 500  # rows read at a time; others may write between two pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One user's verdict on one answer to one query. Its fields are the columns of the file."""

    id: str  # chosen by the client; the pair (client, id) is stored once
    client: str
    query: str  # as typed
    shown: tuple[str, ...]  # ids of the answers that were shown, best first
    answer_id: str  # the answer judged; it need not be in `shown`
    verdict: Verdict
    generation: str
    time: str  # ISO 8601, UTC


@dataclass(slots=True)
class _Connection:
    """A process's only connection, and the lock that gives it to one thread at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    database: sqlite3.Connection | None = None
    files: "_Files | None" = None  # those that it has open

    def close(self) -> None:
        if self.database is not None:
            self.database.close()
            self.database = None


class FeedbackStore:
    """The feedback of one workspace; safe for many threads and processes, and after a fork."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # By process id: a forked child must neither use nor close its parent's connection.
        self._connections: dict[int, _Connection] = {}

    @classmethod
    def open(cls, workspace_folder: Path) -> "FeedbackStore":
        """Open the feedback of a workspace, and check all of it; the first `add` creates its file.

        A file that an older version wrote is brought to the format of this one.

        Raises:
            UsageError: there is no such folder.
            DamagedError: the file is damaged, or is not a feedback database.
            OldFormatError: a newer version wrote the file.
        """
        if not workspace_folder.is_dir():
            raise UsageError(
                f"{workspace_folder}: no such folder; expected a workspace. "
                f"Run: dotbogi index TABLE --workspace {workspace_folder}"
            )
        store = cls(workspace_folder / _FILE)
        check_log(store._path)
        store.check()
        return store

    def check(self) -> int:
        """Return the number of votes after checking every row and the file as a whole.

        Raises:
            DamagedError: something is not as it was stored.
        """
        if not self._path.exists():
            return 0
        with self._database() as database:
            return check(database, self._path)

    def back_up(self, path: Path) -> int:
        """Write all feedback to a new file that is opened and checked; return the number of votes.

        Others may write meanwhile. To restore it, rename it to the workspace's feedback.sqlite.

        Raises:
            UsageError: there is no feedback, or no file can be written there.
            DamagedError: the feedback, or the copy, is damaged.
        """
        if not self._path.exists():
            raise UsageError(f"{self._path}: there is no feedback yet.")
        self.check()
        with self._database() as database:
            return back_up(database, path)

    def add(self, feedback: Feedback) -> bool:
        """Store one verdict on the disk before returning; return False if it was stored already.

        Raises:
            UsageError: a field is empty, unknown or not valid Unicode.
            NoSpaceError: the disk is full; nothing was stored.
            LockedError: another process has been writing for too long.
        """
        _check(feedback)
        values = [getattr(feedback, name) for name in COLUMNS]
        values = [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
        with self._database() as database:
            return insert_vote(database, values)

    def export(self, client: str | None = None) -> Iterator[Feedback]:
        """Yield the stored feedback, oldest first: all of it, or one client's.

        Raises:
            DamagedError: the file or a row is damaged; nothing has been yielded unless the damage
                is new.
        """
        self.check()
        last = 0
        while self._path.exists():
            with self._database() as database:
                rows = database.execute(
                    f"SELECT number, checksum, {', '.join(COLUMNS)} FROM feedback "  # noqa: S608
                    "WHERE number > ?1 AND (?2 IS NULL OR client = ?2) ORDER BY number LIMIT ?3",
                    (last, client, _PAGE),
                ).fetchall()
            if not rows:
                return
            for last, stated, *values in rows:
                if fault := row_fault(values, stated):
                    raise DamagedError(f"{self._path}: row {last} {fault}. {REMEDY}")
                row = dict(zip(COLUMNS, values, strict=True))
                yield Feedback(**{**row, "shown": tuple(json.loads(row["shown"]))})

    def erase(self, client: str) -> int:
        """Delete all feedback of a client and its bytes; return the number of rows deleted.

        DELETE zeroes the rows. SQLite may have left copies elsewhere: only rewriting the file
        (VACUUM) and truncating the log removes them for certain.

        Raises:
            LockedError: another process still uses the log; call this again.
        """
        if not self._path.exists():
            return 0
        with self._database() as database:
            erased = database.execute("DELETE FROM feedback WHERE client = ?", (client,)).rowcount
            database.execute("VACUUM")
            busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise LockedError(
                f"{self._path}: {erased} rows were deleted, but another process reads the file, so "
                "their bytes may still be in its log. Run the command again."
            )
        return int(erased)

    def close(self) -> None:
        """Close this process's connection; a later call opens it again."""
        connection = self._connections.get(os.getpid())
        if connection:
            with connection.lock:
                connection.close()

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to one thread; after an error, the next call connects again.

        SQLite writes on into files that were deleted or replaced. So the open ones are compared
        with those on the disk, before and after.

        Raises:
            DotbogiError: the file was deleted or replaced meanwhile; what was written is gone.
        """
        connection = self._connections.setdefault(os.getpid(), _Connection())
        with connection.lock:
            try:
                if connection.database is not None and _files(self._path) != connection.files:
                    _remove_log(self._path, connection.files)
                    connection.close()  # last: until then no other file gets an inode of these
                if connection.database is None:
                    if not self._path.exists():
                        _create(self._path)
                    connection.database = _connect(self._path)
                    connection.files = _files(self._path)
                yield connection.database
            except ERRORS as error:
                connection.close()
                raise _explained(error, self._path) from error
            except FileNotFoundError as error:
                raise DotbogiError(f"{self._path.parent}: the folder is gone.") from error
            if _files(self._path) != connection.files:
                connection.close()
                raise DotbogiError(
                    f"{self._path}: it was deleted or replaced while it was written to, so nothing "
                    "is certain to be stored. Try again."
                )


def has_feedback(workspace_folder: Path) -> bool:
    """Return whether a workspace has a file of votes."""
    return (workspace_folder / _FILE).exists()


def save_feedback(feedback: Iterable[Feedback], path: Path) -> int:
    """Write feedback as JSON Lines, all or nothing; return the number of lines.

    Raises:
        UsageError: the path is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; expected a file name.")
    temporary = path.with_name(f".{path.name}")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for entry in feedback:
                file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
                count += 1
        temporary.replace(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such folder to write into.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _check(feedback: Feedback) -> None:
    if feedback.verdict not in get_args(Verdict):
        raise UsageError(
            f"the verdict is {feedback.verdict!r}; expected one of {', '.join(get_args(Verdict))}."
        )
    if not (feedback.id and feedback.client and feedback.answer_id):
        raise UsageError("feedback needs an id, a client and an answer_id; one of them is empty.")
    texts = [value for value in astuple(feedback) if isinstance(value, str)]
    if not all(map(is_valid_unicode, [*texts, *feedback.shown])):
        raise UsageError("the feedback is not valid Unicode (a lone surrogate).")


_Files = tuple[tuple[int, int] | None, ...]  # device and inode of the database and of its log


def _files(path: Path) -> _Files:
    """Return what tells the files at this path from others that were there before."""

    def file(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    return file(path), file(path.with_name(f"{path.name}-wal"))


def _remove_log(path: Path, files: _Files | None) -> None:
    """Remove the log of a database that is gone, before SQLite applies it to another one."""
    database, log = _files(path)
    if files and database != files[0] and log == files[1]:
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _create(path: Path) -> None:
    """Create an empty database under a temporary name; rename it if there is none yet."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if path.exists():
            return  # created by another process in the meantime
        for suffix in ("-wal", "-shm"):  # of a database that was deleted
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        temporary = path.with_name(f".{_FILE}")
        for suffix in ("", "-journal", "-wal", "-shm"):  # left by a killed process
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            create_tables(database)
            database.execute("PRAGMA journal_mode = WAL")  # stored in the file
        temporary.rename(path)
        os.fsync(folder)
    finally:
        os.close(folder)


def _connect(path: Path) -> sqlite3.Connection:
    if foreign := foreign_parts(path):
        raise DamagedError(f"{foreign[0]}: not of this database. Remove it.")
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # each statement is its own transaction
        check_same_thread=False,
    )
    try:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")
        prepare(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _explained(error: Exception, path: Path) -> DotbogiError:
    """Return the SQLite error as one that the user can act on."""
    if is_damage(error):
        return DamagedError(f"{path}: not a readable database ({error}). {REMEDY}")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return NoSpaceError(f"{path}: the disk is full; nothing was stored. Free some space.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedError(
            f"{path}: another process has been writing for {_BUSY_SECONDS:.0f} s. Try again later."
        )
    return DotbogiError(
        f"{path}: cannot be read or written ({error}). Check its permissions and the disk."
    )
