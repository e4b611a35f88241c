"""Rows by the names of their columns, from any file that holds a table."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.tables.delimited import read_delimited, read_text
from dotbogi.indexes.tables.header import (
    LOOKED_AT,
    Header,
    NumberedRow,
    find_header,
    header_at,
    without_header,
)
from dotbogi.indexes.tables.layout import is_export
from dotbogi.indexes.tables.table import Grid, Reading, Records, Skip
from dotbogi.indexes.tables.workbook import Workbook, is_workbook, refuse_old_formats

_DELIMITED = (".csv", ".tsv", ".tab", ".txt")
_JSON_LINES = (".jsonl", ".ndjson")
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


def quoted(names: Sequence[str]) -> str:
    """Return column names quoted for an error message, at most twelve."""
    shown = ", ".join(repr(name) for name in names[:12])
    return shown + (f", … ({len(names)} in all)" if len(names) > 12 else "")


def _read(path: Path, reading: Reading) -> Records:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if is_workbook(path):
        return _read_workbook(path, reading, named_so=suffix in {".xlsx", ".xlsm"})
    if suffix == ".parquet":
        return _read_parquet(path)
    refuse_old_formats(path)
    if suffix in _JSON_LINES:
        return read_json_lines(path, reading)
    if suffix in _DELIMITED:
        grid = read_delimited(path, reading)
        head, rest = _head(grid)
        return _records(path, grid, head, rest, reading)
    if suffix in {".xlsx", ".xlsm"}:
        raise DamagedError(f"{path}: not an Excel workbook, whatever its name. {EXPECTED}")
    raise UsageError(f"{path}: files of type {suffix or '(none)'!r} cannot be read. {EXPECTED}")


def _head(grid: Grid) -> tuple[list[NumberedRow], Iterator[tuple[int, list[str]]]]:
    head = list(itertools.islice(grid.rows, LOOKED_AT + 1))
    return list(head), itertools.chain(head, grid.rows)


def _read_workbook(path: Path, reading: Reading, *, named_so: bool) -> Records:
    """Read the sheet that is asked for, or else the first one with an answer column."""
    book = Workbook(path)
    names = [reading.sheet] if reading.sheet else book.names
    notes: tuple[str, ...] = () if named_so else ("it is an Excel workbook, whatever its name",)
    first: Records | None = None
    for name in names:
        grid = book.sheet(name)
        head, rest = _head(grid)
        if not reading.sheet and len(names) > 1 and find_header(head, reading) is None:
            continue
        first = _records(path, grid, head, rest, reading)
        if not reading.sheet and len(names) > 1:
            notes += (f"sheet {name!r} is read, the first of {len(names)} with answers (--sheet)",)
        break
    if first is None:
        if not names:
            raise DotbogiError(f"{path}: all sheets are hidden or empty. Name one with --sheet.")
        grid = book.sheet(names[0])
        head, rest = _head(grid)
        first = _records(path, grid, head, rest, reading)
    return Records(first.names, first.rows, first.numbers, first.skips, notes + first.notes)


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
    for number, cells in rows:
        if number <= header.last:
            continue
        if any(cell.strip() for cell in cells[width:]):
            skips.append(Skip(number, "more cells than the header (an unquoted comma?)"))
            continue
        pairs = zip(header.names, cells, strict=False)
        records.append({name: same.setdefault(cell, cell) for name, cell in pairs if cell})
        numbers.append(number)
    if grid.merged:
        notes += ("merged cells are filled with what they show",)
    names = list(header.names)
    return Records(names, records, numbers, skips, grid.notes + notes)


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
                f"{path}: --header {reading.header}: row {reading.header} is blank, or not among "
                f"the first {LOOKED_AT} rows."
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


def read_json_lines(path: Path, reading: Reading | None = None) -> Records:
    """Read a file of JSON objects, one per line.

    Raises:
        DamagedError: the bytes cannot be decoded, or a line is not a JSON object.
    """
    text, notes = read_text(path, reading.encoding if reading else None)
    records: list[dict[str, str]] = []
    numbers: list[int] = []
    names: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{path}, line {number}: not JSON ({error}).") from error
        if not isinstance(record, dict):
            raise DamagedError(f"{path}, line {number}: not a JSON object. Expected one per line.")
        names.update(dict.fromkeys(record))
        records.append({name: _as_text(value) for name, value in record.items()})
        numbers.append(number)
    return Records(list(names), records, numbers, notes=notes)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _read_parquet(path: Path) -> Records:
    import pandas as pd
    import pyarrow as pa

    try:
        # Integers stay integers where values are missing: an id 1 is not read as "1.0".
        frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedError(f"{path}: not a readable Parquet file ({reason}).") from error
    frame.columns = frame.columns.map(str)
    blank = frame.isna()
    columns = {
        name: ["" if b else str(v) for v, b in zip(frame[name], blank[name], strict=True)]
        for name in frame.columns
    }
    names = list(columns)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Records(names, rows, list(range(1, len(rows) + 1)))
