"""Sheets of Excel workbooks (.xlsx, .xlsm), read row by row within bounds."""

import datetime
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.tables.table import Grid

# What a workbook may hold. Excel's own bounds are 1,048,576 rows, 16,384 columns and 32,767
# characters; the strings of a sheet are held in memory while it is read.
_MAX_SHEET = 1 << 30  # bytes of XML
_MAX_STRINGS = 160 << 20
_MAX_PART = 32 << 20  # of any other part
_MAX_RUN = 1 << 20  # bytes between two tags
_MAX_CELLS = 16_384  # of a row
_MAX_ITEMS = 1_048_576  # strings
_BLOCK = 1 << 20

_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3}\d{1,7}):([A-Z]{1,3}\d{1,7})"')
_CELL = re.compile(r"([A-Z]+)(\d+)")


@dataclass(frozen=True, slots=True)
class Span:
    """A rectangle of merged cells: rows and columns, both counted from 1, ends included."""

    top: int
    left: int
    bottom: int
    right: int


class Workbook:
    """An open workbook; sheets are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Open a workbook after a look at what it declares.

        Raises:
            DamagedError: it cannot be read, or declares more than a workbook may hold.
        """
        import openpyxl

        self.path = path
        with self._reading():
            self._archive = zipfile.ZipFile(path)
            self._check_parts()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about styles and extensions that are not read
                self._book = openpyxl.load_workbook(
                    path, read_only=True, data_only=True, keep_links=False
                )

    def _reading(self) -> "_AsDamage":
        return _AsDamage(self.path)

    def _check_parts(self) -> None:
        for part in self._archive.infolist():
            name = part.filename.lower()
            if not name.endswith((".xml", ".rels")):
                continue  # pictures and the like are never opened
            if "/worksheets/" in name:
                most = _MAX_SHEET
            elif name.endswith("sharedstrings.xml"):
                most = _MAX_STRINGS
                if part.file_size <= most:
                    self._scan(part.filename, b"<si", _MAX_ITEMS)
            else:
                most = _MAX_PART
            if part.file_size > most:
                raise _BombError(f"{part.filename} has {part.file_size >> 20:,} MiB")

    def _scan(self, part: str, tag: bytes, most: int) -> list[Span]:
        """Look through a part without parsing it; return the merged cells in it.

        Raises:
            _BombError: it has more of these tags than a workbook may hold (of cells: in a row), or
                a run without a tag.
        """
        spans: list[Span] = []
        count = run = 0
        tail = b""
        with self._archive.open(part) as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                pieces = block.split(b"<")
                runs = [run + len(pieces[0]), *map(len, pieces[1:])]
                run = runs[-1]
                if max(runs) > _MAX_RUN:
                    raise _BombError(f"a cell in {part} has more than 1 MiB")
                text = tail + block
                if tag == b"<c":
                    rows = re.split(rb"<(?:\w+:)?row\b", text)
                    counts = [len(re.findall(rb"<(?:\w+:)?c[\s>/]", row)) for row in rows]
                    count = (count if len(rows) == 1 else 0) + counts[-1]
                    if max(*counts, count) > _MAX_CELLS:
                        raise _BombError(f"a row in {part} has more than {_MAX_CELLS:,} cells")
                else:
                    count += block.count(tag)
                    if count > most:
                        raise _BombError(f"{part} has more than {most:,} strings")
                spans += [_span(*found.groups()) for found in _MERGED.finditer(text)]
                tail = text[-200:] if len(text) > 200 else b""
        return list(dict.fromkeys(spans))

    @property
    def names(self) -> list[str]:
        """The names of the sheets that are not hidden, in their order."""
        return [sheet.title for sheet in self._sheets() if sheet.sheet_state == "visible"]

    def _sheets(self) -> list[Any]:
        return [s for s in self._book.worksheets if hasattr(s, "reset_dimensions")]

    def sheet(self, name: str) -> Grid:
        """Return the filled rows of a sheet; merged cells repeat what their first cell holds.

        Raises:
            UsageError: there is no sheet of this name.
            DamagedError: it cannot be read, now or while the rows are read.
        """
        found = next((sheet for sheet in self._sheets() if sheet.title == name), None)
        if found is None:
            shown = ", ".join(repr(sheet.title) for sheet in self._sheets())
            raise UsageError(f"{self.path}: no sheet {name!r}; the sheets are {shown}.")
        with self._reading():
            part = found._worksheet_path.lstrip("/")
            spans = self._scan(part, b"<c", _MAX_CELLS)
        return Grid(self._rows(found, spans), merged=bool(spans))

    def _rows(self, sheet: Any, spans: list[Span]) -> Iterator[tuple[int, list[str]]]:
        sheet.reset_dimensions()  # what the sheet says of its size may be anything
        pending = sorted(spans, key=lambda span: span.top, reverse=True)
        open_spans: list[tuple[Span, str]] = []
        with self._reading():
            for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
                cells = [_text(value) for value in values]
                open_spans = [(span, text) for span, text in open_spans if span.bottom >= number]
                while pending and pending[-1].top <= number:
                    span = pending.pop()
                    if span.top == number and span.left <= len(cells):
                        open_spans.append((span, cells[span.left - 1]))
                has_own = any(cell.strip() for cell in cells)
                if has_own:
                    for span, text in open_spans:
                        _fill(cells, span, text)
                    yield number, cells


class _BombError(Exception):
    """A workbook declares more than one can hold."""


class _AsDamage:
    """Turns what a library raises about a workbook's bytes into one line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if isinstance(error, _BombError):
            raise DamagedError(
                f"{self.path}: {error}, more than a workbook can hold. Save it anew in Excel, or "
                "as CSV."
            ) from error
        if isinstance(error, Exception) and not isinstance(error, UsageError | DamagedError):
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise DamagedError(
                f"{self.path}: not a readable Excel workbook ({reason}). Save it anew in Excel, "
                "without a password, or as CSV."
            ) from error


def _span(first: bytes, last: bytes) -> Span:
    corners = []
    for cell in (first, last):
        match = _CELL.fullmatch(cell.decode())
        assert match
        column = 0
        for letter in match[1]:
            column = 26 * column + ord(letter) - 64
        corners.append((int(match[2]), column))
    (top, left), (bottom, right) = corners
    return Span(top, left, bottom, min(right, _MAX_CELLS))


def _fill(cells: list[str], span: Span, text: str) -> None:
    cells += [""] * (span.right - len(cells))
    for column in range(span.left - 1, span.right):
        if not cells[column].strip():
            cells[column] = text


def _text(value: Any) -> str:
    """Return a value as a person sees it: whole numbers without ".0", dates without midnight."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        return str(value.date() if value.time() == datetime.time() else value)
    return str(value)


def is_workbook(path: Path) -> bool:
    """Return whether a file's bytes are those of a workbook, whatever its name."""
    return _begins(path, b"PK\x03\x04") and zipfile.is_zipfile(path)


def refuse_old_formats(path: Path) -> None:
    """Refuse what looks like a spreadsheet and is none that can be read.

    Raises:
        UsageError: an .xls file, a workbook with a password, or a page of HTML.
    """
    if _begins(path, b"\xd0\xcf\x11\xe0"):
        raise UsageError(
            f"{path}: an old .xls workbook, or one with a password. Open it in Excel and save it "
            "as .xlsx without a password."
        )
    if _begins(path, b"<htm", b"<!do", b"<tab", b"<met"):
        raise UsageError(
            f"{path}: a page of HTML, which some systems export under the name of a workbook. "
            "Open it in Excel and save it as .xlsx."
        )


def _begins(path: Path, *starts: bytes) -> bool:
    file: IO[bytes]
    with path.open("rb") as file:
        head = file.read(16).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return any(head.startswith(start.lower()) for start in starts)
