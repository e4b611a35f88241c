"""The lock that admits one writer at a time to a workspace."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dotbogi.indexes.errors import LockedError, UsageError
from dotbogi.indexes.files import naming

LOCK = ".dotbogi-lock"  # also marks a folder as a workspace
_LONGEST = 20  # digits of a process number
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # no link, and no waiting for a fifo


@contextlib.contextmanager
def writer_lock(folder: Path) -> Iterator[list[Path]]:
    """Hold the lock of a workspace, which is created if it is missing; yield the new folders.

    The one who holds the lock may delete its file, to leave no trace of a failed first command.

    Raises:
        LockedError: another process holds the lock.
        UsageError: the folder cannot be created, or holds something else.
    """
    descriptor, new = _acquire(folder)
    try:
        with contextlib.suppress(OSError):  # the number only helps others; the disk may be full
            _write(descriptor, str(os.getpid()))
        yield new
    finally:
        with contextlib.suppress(OSError):  # what was done under the lock is done
            _write(descriptor, "")
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _acquire(folder: Path) -> tuple[int, list[Path]]:
    """Return the open, locked file, and the folders that were created for it, deepest first."""
    path = folder / LOCK
    new: list[Path] = []
    while True:
        if (names := _names_in(folder)) and LOCK not in names:
            raise UsageError(
                f"{folder}: not empty, and not a workspace. Name an empty or new folder "
                "with --workspace."
            )
        new = _make_folders(folder) or new
        try:
            descriptor = os.open(path, _OPEN, 0o666)
        except FileNotFoundError:
            continue  # a failed first command has just removed the folder
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise _not_ours(path) from error
            raise
        try:
            with naming(path):
                is_locked = _lock(descriptor, path)
            if is_locked:
                return descriptor, new
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    """Lock the open file; return False if it is not the lock file any more.

    A failed first command deletes the file that it has locked. Whoever opened it before that then
    locks a file without a name, while the next writer creates and locks another one.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise _not_ours(path)
    # After a crash of the machine, zeros may be in the place of the digits.
    content = os.pread(descriptor, _LONGEST + 1, 0).replace(b"\0", b"")
    if content and not content.isdigit():  # a link on the level of the disk, or a user's file
        raise _not_ours(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, _LONGEST, 0).decode("ascii", "replace") or "unknown"
        raise LockedError(
            f"{path.parent}: process {holder} is writing to this workspace. "
            "Wait for it to end, or use another --workspace."
        ) from error
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def _names_in(folder: Path) -> list[str]:
    """Return what is in a folder, all at one time: a writer may be creating or removing it."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _not_ours(path: Path) -> UsageError:
    return UsageError(
        f"{path}: not the lock of dotbogi, but a link or another file. Remove it; it is made again."
    )


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _make_folders(folder: Path) -> list[Path]:
    """Create a folder with its parents; return the new ones, deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if not os.path.lexists(folder) and error.errno in (errno.EEXIST, errno.ENOENT):
            return []  # it was removed meanwhile; the caller tries again
        raise UsageError(f"{folder}: cannot be used as a workspace ({error.strerror}).") from error
    return missing
