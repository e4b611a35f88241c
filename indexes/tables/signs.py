"""What kind of file it is, by its first bytes, whatever its name."""

import re
import zipfile
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, UsageError

_HTML = re.compile(rb"\s*<(?:html|!doctype|table|meta|head|style|div|body)\b", re.IGNORECASE)


def is_workbook(path: Path) -> bool:
    """Return whether a file's bytes are those of a zip archive, as a workbook is.

    Raises:
        DamagedError: it begins as one, and its end is missing.
    """
    if not _head(path).startswith(b"PK\x03\x04"):
        return False
    if not zipfile.is_zipfile(path):
        raise DamagedError(
            f"{path}: a workbook (a zip archive) whose end is missing. Copy or download it again."
        )
    return True


def refuse_others(path: Path) -> None:
    """Refuse what looks like a spreadsheet and is none that can be read.

    Raises:
        UsageError: an .xls file, a workbook with a password, or a page of HTML.
    """
    head = _head(path)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise UsageError(
            f"{path}: an old .xls workbook, or one with a password. Open it in Excel and save it "
            "as .xlsx without a password."
        )
    if _HTML.match(head):
        raise UsageError(
            f"{path}: a page of HTML, which some systems export under the name of a workbook. "
            "Open it in Excel and save it as .xlsx."
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512).removeprefix(b"\xef\xbb\xbf")
