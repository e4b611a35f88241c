"""Generations that are open somewhere are never removed."""

import contextlib
import fcntl
import os
import weakref
from pathlib import Path

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import naming, remove

REMOVING = ".removing-"  # in front of the name of a generation that is being removed
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Hold:
    """A shared lock on a generation's manifest, for as long as this object lives.

    The kernel ends it with the process, so a killed reader leaves none behind. After a fork, both
    processes have it, and it ends with the second.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)


def hold(folder: Path) -> Hold | None:
    """Return a hold on a generation; None if this file system has no locks for readers.

    Take it before the first file is checked. Whoever removes a generation takes the same lock
    alone, and renames the folder while having it: so either this fails, or the folder stays.

    Raises:
        DamagedError: the generation has no manifest, or is being removed.
    """
    path = folder / "manifest.json"
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: missing.") from error
    except OSError:
        return None  # not a regular file, or not readable: reading it tells why
    held = Hold(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DamagedError(f"{folder}: is being removed.") from error
    except OSError:
        return None
    with contextlib.suppress(FileNotFoundError), naming(path):
        if os.path.samestat(path.lstat(), os.fstat(descriptor)):
            return held
    raise DamagedError(f"{folder}: has been removed.")


def remove_unless_held(folder: Path) -> bool:
    """Remove a generation; return False if it is open somewhere. The caller is the only writer."""
    descriptor = None
    with contextlib.suppress(OSError):  # nobody can hold a manifest that cannot be opened
        descriptor = os.open(folder / "manifest.json", _READ)
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        away = folder.with_name(REMOVING + folder.name)
        remove(away)
        # Gone at once: if this process is killed now, the next writer removes the rest.
        folder.rename(away)
        remove(away)
        return True
    except OSError:
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
