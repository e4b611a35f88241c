"""The errors a user can meet: one line that names the found, the expected and the mend."""

import errno


class DotbogiError(Exception):
    """Anything the user can act on; its text is the one line that is printed."""

    exit_code = 1


class UsageError(DotbogiError):
    """The command was called with something it cannot use."""

    exit_code = 2


class DamagedError(DotbogiError):
    """Bytes on disk are not what they have to be."""

    exit_code = 3


class OldFormatError(DamagedError):
    """Written by another version of dotbogi."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error of any library means that the disk is full.

    Python says it by number; FAISS, SQLite and safetensors only in words.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error) or "disk is full" in str(error)


class LockedError(DotbogiError):
    """Another process is writing to the workspace."""

    exit_code = 4


class NoSpaceError(DotbogiError):
    """The disk is full; what was being written has been taken back."""

    exit_code = 5


class ModelMismatchError(DotbogiError):
    """Vectors of one model were about to be compared with those of another."""
