"""Excel workbooks (.xlsx, .xlsm): their sheets, read row by row within bounds.

Libraries for workbooks hold all styles and all rows, which one small file can make gigabytes of.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.tables import names
from dotbogi.indexes.tables.parts import Bomb, Part
from dotbogi.indexes.tables.sheet import (
    MAX_COLUMNS,
    MAX_ROWS,
    TOO_LONG,
    Kinds,
    Sheet,
    column_of,
    strings,
)
from dotbogi.indexes.tables.table import Grid

# What a sheet may hold, to be read within 500 MB even if all texts differ.
_MAX_FILLED = 300_000  # rows
_MAX_CELLS = 1_500_000  # that hold something
_MAX_SPANS = 200_000  # merged cells
_MAX_OPEN = MAX_COLUMNS  # merged cells that one row can cross
_MERGED = re.compile(
    rb"""<(?:\w+:)?mergeCell\s[^>]*?ref=["']\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})"""
)
_WIDE = 256  # columns; merged cells that are wider than the rest of their row are cut here

Span = tuple[int, int, int, int]  # top, left, bottom, right; from 1, ends included


class Workbook:
    """An open workbook; sheets are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Open a workbook and read the list of its sheets.

        Raises:
            DamagedError: it cannot be read, or holds more than a workbook can.
        """
        self.path = path
        self._sheets: dict[str, str] = {}  # parts by names of sheets
        self._visible: list[str] = []
        with AsDamage(path):
            self._archive = zipfile.ZipFile(path)
            self._parts = {part.filename.lower(): part for part in self._archive.infolist()}
            main = next(iter(self._related("", "officeDocument")), "xl/workbook.xml")
            if main not in self._parts:
                raise UsageError(
                    f"{path}: a zip archive but no Excel workbook; .ods, .xlsb and .numbers cannot "
                    "be read. Save the table as .xlsx or as CSV."
                )
            self._since_1904 = False
            self._list_sheets(main)
            shared = self._related(main, "sharedStrings")
            styles = self._related(main, "styles")
            self._kinds = Kinds(self._part(styles[0]) if styles else None)
            self._shared = shared[0] if shared else ""
            self._strings: list[str] | None = None

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            raise KeyError(f"{name} is missing")
        return Part(self._archive, self._parts[name])

    def _related(self, part: str, kind: str) -> list[str]:
        """Return the parts to which a part is related in this way."""
        return list(self._relations(part, kind).values())

    def _relations(self, part: str, kind: str) -> dict[str, str]:
        folder, name = str(PurePosixPath(part).parent), PurePosixPath(part).name
        file = f"{folder}/_rels/{name}.rels" if part else "_rels/.rels"
        found: dict[str, str] = {}
        if file.removeprefix("./") not in self._parts:
            return found
        for tag, values in self._part(file.removeprefix("./")).tags({"Relationship"}):
            target = values.get("Target", "")
            if tag == "Relationship" and values.get("Type", "").endswith(f"/{kind}"):
                within = target if target.startswith("/") else f"{folder}/{target}"
                found[values.get("Id", "")] = within.lstrip("./").lower()
        return found

    def _list_sheets(self, main: str) -> None:
        worksheets = self._relations(main, "worksheet")  # and no sheets of charts or macros
        for tag, values in self._part(main).tags({"sheet", "workbookPr"}):
            if tag == "workbookPr":
                self._since_1904 = values.get("date1904", "0") in ("1", "true")
                continue
            key = next((v for name, v in values.items() if name.split(":")[-1] == "id"), "")
            if key in worksheets:
                self._sheets[values.get("name", "")] = worksheets[key]
                if values.get("state", "visible") == "visible":
                    self._visible.append(values.get("name", ""))

    @property
    def names(self) -> list[str]:
        """The names of the sheets that are not hidden, in their order."""
        return list(self._visible)

    def sheet(self, name: str) -> Grid:
        """Return the filled rows of a sheet; merged cells repeat what their first cell holds.

        Raises:
            UsageError: there is no sheet of this name.
            DamagedError: it cannot be read, now or while the rows are read.
        """
        alike = [n for n in self._sheets if names.key(n) == names.key(name)]
        found = name if name in self._sheets else next(iter(alike), None)
        if found is None:
            shown = ", ".join(repr(sheet) for sheet in list(self._sheets)[:12])
            raise UsageError(
                f"{self.path}: no sheet {name!r}; the sheets are {shown}. Change --sheet."
            )
        with AsDamage(self.path):
            if self._strings is None:
                self._strings = strings(self._part(self._shared)) if self._shared else []
            part = self._part(self._sheets[found])
            spans = _spans(part)
        sheet = Sheet(part, self._strings, self._kinds, since_1904=self._since_1904)
        return Grid(self._rows(sheet, spans), merged=bool(spans))

    def _rows(self, sheet: Sheet, spans: list[Span]) -> Iterator[tuple[int, list[str]]]:
        pending = sorted(spans, reverse=True)
        crossing: list[tuple[Span, str]] = []
        filled = held = 0
        with AsDamage(self.path):
            for number, cells in sheet.rows():
                crossing = [(span, text) for span, text in crossing if span[2] >= number]
                own = sum(1 for cell in cells if cell.strip())
                while pending and pending[-1][0] <= number:
                    span = pending.pop()
                    if span[0] == number and span[1] <= len(cells):
                        crossing.append((span, cells[span[1] - 1]))
                if len(crossing) > _MAX_OPEN:
                    raise Bomb(f"row {number} crosses more than {_MAX_OPEN:,} merged cells")
                filled += own > 0
                held += own
                if filled > _MAX_FILLED:
                    raise Bomb(f"the sheet has more than {_MAX_FILLED:,} filled rows", TOO_LONG)
                if held > _MAX_CELLS:
                    raise Bomb(f"the sheet has more than {_MAX_CELLS:,} filled cells", TOO_LONG)
                if own:
                    for span, text in crossing:
                        # A row with one cell alone is a title: it is not the text of each column.
                        is_title = own == 1 and span[0] == span[2] == number
                        if text and not is_title:
                            _fill(cells, span, text)
                    yield number, cells


def _spans(part: Part) -> list[Span]:
    """Return the merged cells of a sheet, which stand behind its rows."""
    spans: dict[Span, None] = {}
    tail = b""
    for block in part.blocks():
        text = tail + block
        for found in _MERGED.finditer(text) if b"mergeCell" in text else ():
            left, top, right, bottom = found.groups()
            spans[int(top), column_of(left.decode()), int(bottom), column_of(right.decode())] = None
        if len(spans) > _MAX_SPANS:
            raise Bomb(f"{part.name} has more than {_MAX_SPANS:,} merged cells")
        tail = text[-200:]
    return [span for span in spans if span[2] <= MAX_ROWS and span[3] <= MAX_COLUMNS]


def _fill(cells: list[str], span: Span, text: str) -> None:
    _, left, _, right = span
    right = min(right, max(len(cells), left + _WIDE))
    cells += [""] * (right - len(cells))
    for column in range(left - 1, right):
        if not cells[column].strip():
            cells[column] = text


class AsDamage:
    """Turns what a library raises about a workbook's bytes into one line."""

    def __init__(self, path: Path) -> None:
        """Name the workbook."""
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, Bomb):
            raise DamagedError(f"{self.path}: {error}. {error.mend}") from error
        if isinstance(error, Exception) and not isinstance(error, UsageError | DamagedError):
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise DamagedError(
                f"{self.path}: not a readable Excel workbook ({reason}). Save it anew in Excel, "
                "without a password, or as CSV."
            ) from error
