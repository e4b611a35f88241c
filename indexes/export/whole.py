"""Files and folders that are written as a whole, or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.files import naming


def check_free(out: Path, *, is_folder: bool = False, force: bool | None = None) -> None:
    """Refuse a path that cannot be written, or that would overwrite something.

    Args:
        out: the file or folder to write.
        is_folder: whether a folder is going to be written.
        force: whether it may exist; None: no, and the command has no option --force.

    Raises:
        UsageError: there is no folder for it, it is of the other kind, or it exists.
    """
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent} to write into. Create it first.")
    if not out.exists():
        return
    if out.is_dir() != is_folder:
        found, expected = ("folder", "file") if out.is_dir() else ("file", "folder")
        raise UsageError(f"{out}: is a {found}; expected the name of a {expected}.")
    if not force:
        mend = "or delete it" if force is None else "or replace it with --force"
        raise UsageError(f"{out}: exists already. Name another one, {mend}.")


@contextlib.contextmanager
def whole(out: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `out` in the end, or is deleted if there is an error."""
    target = out.resolve()  # a link stays a link
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield temporary
        if target.is_dir():
            with naming(target):
                shutil.rmtree(target)
        temporary.replace(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)
