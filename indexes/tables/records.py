"""Rows by the names of their columns, from any file that holds a table."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.tables.delimited import read_delimited
from dotbogi.indexes.tables.header import (
    LOOKED_AT,
    Header,
    NumberedRow,
    find_header,
    header_at,
    without_header,
)
from dotbogi.indexes.tables.layout import is_export
from dotbogi.indexes.tables.objects import read_json_lines, read_parquet
from dotbogi.indexes.tables.signs import is_workbook, refuse_others
from dotbogi.indexes.tables.table import Grid, Reading, Records, Skip
from dotbogi.indexes.tables.workbook import Workbook

_DELIMITED = (".csv", ".tsv", ".tab", ".txt")
_JSON_LINES = (".jsonl", ".ndjson")
_SHOWN = 5  # columns without a name
EXPECTED = "Expected .csv, .tsv, .xlsx, .jsonl, .parquet, a Rasa .yml, or a BEIR folder."


def read_records(path: Path, reading: Reading | None = None) -> Records:
    """Read a .csv, .tsv, .xlsx, .jsonl/.ndjson (all but .xlsx also as .gz) or .parquet file.

    Raises:
        UsageError: the file does not exist, is of another type, or lacks the sheet.
        DamagedError: the bytes cannot be decoded or parsed.
        DotbogiError: the table has no rows.
    """
    reading = reading or Reading()
    if not path.is_file():
        raise UsageError(f"{path}: no such file. {EXPECTED}")
    records = _read(path, reading)
    if not records.names and not records.rows:
        raise DotbogiError(f"{path}: the table is empty. Expected a header and at least one row.")
    if not records.rows and not records.skips:
        raise DotbogiError(f"{path}: the table has a header but no rows. Expected one or more.")
    return records


def quoted(labels: Sequence[str]) -> str:
    """Return column names quoted for an error message, at most twelve."""
    shown = ", ".join(repr(label) for label in labels[:12])
    return shown + (f", … ({len(labels)} in all)" if len(labels) > 12 else "")


def _read(path: Path, reading: Reading) -> Records:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if is_workbook(path):
        return _read_workbook(path, reading, named_so=suffix in {".xlsx", ".xlsm"})
    if suffix == ".parquet":
        return read_parquet(path, reading)
    refuse_others(path)
    if suffix in _JSON_LINES:
        return read_json_lines(path, reading)
    if suffix in _DELIMITED:
        grid = read_delimited(path, reading)
        return _records(path, grid, *_head(grid, reading.header), reading)
    if suffix in {".xls", ".xlsx", ".xlsm"}:
        raise DamagedError(
            f"{path}: not an Excel workbook, whatever its name. If it is text, rename it to .csv; "
            "if it is compressed, decompress it."
        )
    raise UsageError(f"{path}: files of type {suffix or '(none)'!r} cannot be read. {EXPECTED}")


def _head(
    grid: Grid, header: int | None
) -> tuple[list[NumberedRow], Iterator[tuple[int, list[str]]]]:
    head = list(itertools.islice(grid.rows, max(LOOKED_AT, header or 0) + 1))
    return list(head), itertools.chain(head, grid.rows)


def _read_workbook(path: Path, reading: Reading, *, named_so: bool) -> Records:
    """Read the sheet that is asked for, or else the first one with an answer column."""
    book = Workbook(path)
    notes: tuple[str, ...] = () if named_so else ("it is an Excel workbook, whatever its name",)
    name = reading.sheet
    if name is None:
        name, note = _choose_sheet(path, book, reading)
        notes += note
    grid = book.sheet(name)
    records = _records(path, grid, *_head(grid, reading.header), reading)
    return replace(records, notes=notes + records.notes)


def _choose_sheet(path: Path, book: Workbook, reading: Reading) -> tuple[str, tuple[str, ...]]:
    """Return the visible sheet that is most like a table of questions and answers, and a note."""
    if len(book.names) == 1:
        return book.names[0], ()
    likeness: dict[str, int] = {}
    for name in book.names:
        head, _ = _head(book.sheet(name), None)
        header = find_header(head, reading)
        if head:
            likeness[name] = header.goodness if header else 0
    if not likeness:
        raise DotbogiError(f"{path}: all sheets are hidden or empty. Name one with --sheet.")
    best = max(likeness, key=lambda name: likeness[name])
    if len(likeness) == 1:
        return best, ()
    if not likeness[best]:
        raise UsageError(
            f"{path}: none of the sheets {quoted(list(likeness))} has a column of answers. Name "
            "one with --sheet, and its columns with --question-column and --answer-column."
        )
    equal = [name for name in likeness if likeness[name] == likeness[best]]
    others = f"; {quoted(equal[1:])} would do too, and is not read" if equal[1:] else ""
    return best, (f"sheet {best!r} is read, of {len(likeness)}{others} (--sheet)",)


def _records(
    path: Path,
    grid: Grid,
    head: list[NumberedRow],
    rows: Iterator[tuple[int, list[str]]],
    reading: Reading,
) -> Records:
    """Name the cells of a grid by its header."""
    header, notes = _header(path, head, reading)
    if header is None:
        return Records([], [], [])
    records: list[dict[str, str]] = []
    numbers: list[int] = []
    skips: list[Skip] = []
    width = len(header.names)
    same: dict[str, str] = {}  # answers and categories repeat: one string for each
    unnamed = [i for i, name in enumerate(header.names) if not name]
    left_out: Counter[int] = Counter()
    above = {tuple(cells) for number, cells in head if header.first <= number <= header.last}
    for number, cells in rows:
        if number <= header.last:
            continue
        if any(cell.strip() for cell in cells[width:]):
            skips.append(Skip(number, "more cells than the header (an unquoted comma?)"))
            continue
        if tuple(cells) in above:
            skips.append(Skip(number, "the header once more"))
            continue
        left_out.update(i for i in unnamed if i < len(cells) and cells[i].strip())
        pairs = zip(header.names, cells, strict=False)
        records.append({name: same.setdefault(cell, cell) for name, cell in pairs if cell and name})
        numbers.append(number)
    if grid.merged:
        notes += ("merged cells are filled with what they show",)
    notes += tuple(
        f"column {i + 1} has no name and is left out: {count} of its cells are filled"
        for i, count in sorted(left_out.items())[:_SHOWN]
    )
    return Records(list(header.names), records, numbers, skips, grid.notes + notes, grid.merged)


def _header(
    path: Path, head: list[NumberedRow], reading: Reading
) -> tuple[Header | None, tuple[str, ...]]:
    if not head:
        return None, ()
    if is_export(head[0][1]):
        return Header(list(head[0][1]), head[0][0], head[0][0]), ()
    if reading.header is not None and reading.header > 0:
        position = next((i for i, (n, _) in enumerate(head) if n == reading.header), None)
        if position is None:
            raise UsageError(
                f"{path}: --header {reading.header}: row {reading.header} is blank or missing. "
                "Give the number of the row that names the columns; 0: none does."
            )
        return header_at(head, position), ()
    if reading.header == 0:
        width = max(len(cells) for _, cells in head)
        usual = ["question", "answer"] if width == 2 else []
        return Header(usual or [f"column {i + 1}" for i in range(width)], 0, 0), ()
    header = find_header(head, reading)
    if header is None and (header := without_header(head)):
        why = "no header: column 1 is the question, column 2 the answer (else --header N)"
        return header, (why,)
    header = header or header_at(head, 0)
    first = next(i for i, (number, _) in enumerate(head) if number == header.first)
    if header.last > header.first:
        return header, (f"rows {header.first} and {header.last} are the header (--header)",)
    return header, (f"header found in row {header.first} (--header)",) if first else ()
