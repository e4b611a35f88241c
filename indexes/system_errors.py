"""Errors of the system, as lines for users: a full disk, a broken one, too many open files."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

from dotbogi.indexes.errors import DotbogiError, NoSpaceError

_FULL = "the disk is full; nothing was published. Free some space."
_LINES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: "the disk cannot be read or written (input/output error). Check the disk.",
    errno.EMFILE: "too many files are open. Raise the limit (ulimit -n), and try again.",
    errno.ENFILE: "too many files are open on this machine. Try again later.",
    errno.EFBIG: "larger than files may be here. Raise the limit (ulimit -f), and try again.",
    errno.EROFS: "the file system is read-only.",
    errno.EACCES: "permission denied.",
    errno.EPERM: "permission denied.",
}
# Libraries that are not written in Python have only a text.
_TEXTS = {
    errno.ENOSPC: ("No space left on device", "database or disk is full"),
    errno.EDQUOT: ("Disk quota exceeded",),
    errno.EIO: ("Input/output error", "disk I/O error"),
    errno.EMFILE: ("Too many open files",),
    errno.EFBIG: ("File too large",),
}
# numpy's tofile, and torch.save: how much was written, but not why no more.
_CUT_SHORT = re.compile(
    r"^\d+ requested and \d+ written$|PytorchStreamWriter failed|unexpected pos \d+ vs \d+"
    r"|file write failed|iostream error"
)
_CUT = (
    "a file could not be written to its end, most likely because the disk is full; nothing was "
    "published. Free some space."
)


def explained(error: BaseException, place: Path | str | None = None) -> DotbogiError | None:
    """Return an error of the system as one line for users; None if it is of another kind.

    Args:
        error: from any library, or an error that one of the system led to.
        place: to name if the error names no file.
    """
    for cause in _chain(error):
        number = _number(cause)
        cut_short = number is None and _is_cut_short(cause)
        if number is None and not cut_short:
            continue
        line = _CUT if cut_short else _LINES[number or 0]
        where = _file_of(error) or place
        shown = " ".join(f"{where}: {line}".split("\n")) if where else line
        full = cut_short or number in (errno.ENOSPC, errno.EDQUOT)
        return NoSpaceError(shown) if full else DotbogiError(shown)
    return None


def for_user(error: BaseException, place: Path | None = None) -> DotbogiError | None:
    """Return the error to show to users; None if it is a bug.

    An error that says what to do is shown as it is, unless a full disk led to it.
    """
    system = explained(error, place)
    if isinstance(error, NoSpaceError) or not isinstance(system, NoSpaceError):
        return error if isinstance(error, DotbogiError) else system
    return system


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what caused it, what caused that, and so on."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    """Return an error's number if it is one of those that have a line."""
    if isinstance(error, NoSpaceError):
        return errno.ENOSPC
    if isinstance(error, DotbogiError):
        return None  # its text may quote anything
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _LINES else None
    text = str(error)
    return next((number for number, parts in _TEXTS.items() if any(p in text for p in parts)), None)


def _is_cut_short(error: BaseException) -> bool:
    """Return whether a library says that it could write only a part."""
    without_number = not isinstance(error, OSError) or error.errno is None
    text = str(error)
    return without_number and not isinstance(error, DotbogiError) and bool(_CUT_SHORT.search(text))


def _file_of(error: BaseException) -> str | None:
    """Return the name of the file that an error, or what led to it, is about."""
    names = (getattr(cause, "filename", None) for cause in _chain(error))
    return next((str(name) for name in names if isinstance(name, str | Path)), None)
