"""A table and its findings as an Excel workbook."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.export.workbook import MOST_CHARACTERS
from dotbogi.indexes.tables import Row, Table
from dotbogi.indexes.tables.neutral import neutralise
from dotbogi.search.check.finding import Finding

_COLOURS = ("FFF9DB", "FFE5C2", "FFD1D1")  # yellow, orange, red, by weight
_WIDTHS = {"row": 7, "id": 14, "question": 40, "answer": 60, "findings": 26, "advice": 60}


def save_workbook(table: Table, findings: Sequence[Finding], path: Path) -> None:
    """Write the rows as they were read; those with findings are coloured and say what to do.

    Raises:
        UsageError: the path is not that of a workbook.
    """
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill

    check_path(path)
    of_row: dict[int, list[Finding]] = defaultdict(list)
    for finding in findings:
        for number in finding.rows:
            of_row[number].append(finding)
    names = list(dict.fromkeys(name for row in table.rows for name in row.metadata))
    header = ["row", "question", "answer", "id", *names, "findings", "advice"]
    book = Workbook()
    sheet: Any = book.active
    sheet.title = "check"
    for number, cells in enumerate([header, *_lines(table, names, of_row)], 1):
        found = of_row.get(int(cells[0]), []) if number > 1 else []
        for column, text in enumerate(cells, 1):
            cell = sheet.cell(number, column)
            if column == 1 and number > 1:
                cell.value = int(text)
            else:
                cell.value = safe(text)
                cell.data_type = "s"  # else #N/A becomes an error and a date a date
            cell.alignment = Alignment(vertical="top", wrap_text=True)
            if number == 1:
                cell.font = Font(bold=True)
            elif found:
                colour = _COLOURS[max(finding.kind.weight for finding in found)]
                cell.fill = PatternFill("solid", fgColor=colour)
    for column, name in zip(sheet.iter_cols(1, len(header), 1, 1), header, strict=True):
        sheet.column_dimensions[column[0].column_letter].width = _WIDTHS.get(name, 16)
    sheet.freeze_panes, sheet.auto_filter.ref = "B2", sheet.dimensions
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        book.save(Path(folder) / path.name)
        os.replace(Path(folder) / path.name, path)  # never half a file


def check_path(path: Path) -> None:
    """Check that a workbook can be written here, before the work.

    Raises:
        UsageError: it cannot.
    """
    if path.suffix.lower() != ".xlsx":
        raise UsageError(f"--out {path}: expected a name that ends in .xlsx.")
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--out {path}: expected a file in a folder that exists.")


def _lines(table: Table, names: Sequence[str], of_row: dict[int, list[Finding]]) -> list[list[str]]:
    numbers = {row.number for row in table.rows}
    skipped = [Row("", "", number=n) for n in dict.fromkeys(s.number for s in table.skips)]
    rows = [*table.rows, *(row for row in skipped if row.number not in numbers)]
    return [
        [
            str(row.number), row.question, row.answer, row.answer_id,
            *(row.metadata.get(name, "") for name in names),
            ", ".join(dict.fromkeys(finding.kind.heading for finding in of_row[row.number])),
            "\n".join(dict.fromkeys(_advice(finding, row) for finding in of_row[row.number])),
        ]
        for row in sorted(rows, key=lambda row: row.number)
    ]  # fmt: skip


def _advice(finding: Finding, row: Row) -> str:
    others = [str(number) for number in finding.rows if number != row.number]
    more = ", …" if len(others) > 5 else ""
    beside = f" (with row{'s' * (len(others) > 1)} {', '.join(others[:5])}{more})" if others else ""
    return finding.advice + beside


def safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, and that a workbook can hold.

    >>> safe("=1+1")
    "'=1+1"
    """
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    # For people, not to be read again: codes, as an export has them, would only disturb.
    legal = ILLEGAL_CHARACTERS_RE.sub("\ufffd", text).encode("utf-8", "replace").decode("utf-8")
    return neutralise(legal)[:MOST_CHARACTERS]
