"""Errors for users: one line with what was found, what was expected and what to do."""


class DotbogiError(Exception):
    """An error that the user can act on; its text is the one line that is printed."""

    exit_code = 1


class UsageError(DotbogiError):
    """An argument, option or file cannot be used."""

    exit_code = 2


class NothingIndexedError(DotbogiError):
    """The workspace has no published generation yet."""


class DamagedError(DotbogiError):
    """A file is damaged: its bytes are not the expected ones."""

    exit_code = 3


class OldFormatError(DamagedError):
    """A file is in the format of another version of dotbogi."""


class LockedError(DotbogiError):
    """Another process is writing to the workspace."""

    exit_code = 4


class NoSpaceError(DotbogiError):
    """The disk is full; the incomplete write was undone."""

    exit_code = 5


class ModelMismatchError(DotbogiError):
    """The index was built with another model or analyzer."""
