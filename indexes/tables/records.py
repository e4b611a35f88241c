"""Read CSV, TSV, JSON Lines and Parquet files into column names and rows."""

import codecs
import csv
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.tables.table import Skip

_MAX_CELL = 1 << 20  # characters; some answers exceed the csv module's default of 131,072


@dataclass(frozen=True, slots=True)
class Records:
    """A file's column names, its rows as strings with their numbers, and the unreadable rows."""

    names: list[str]
    rows: list[dict[str, str]]
    numbers: list[int]  # the line of each row
    skips: list[Skip] = field(default_factory=list)


def read_records(path: Path) -> Records:
    """Read a .csv, .tsv, .jsonl/.ndjson or .parquet file that has at least one row.

    Raises:
        UsageError: the file does not exist or is of another type.
        DamagedError: the bytes cannot be decoded or parsed.
        DotbogiError: the table has no rows.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file. Expected a CSV, TSV, JSON Lines or Parquet table.")
    readers = {
        ".csv": read_delimited,
        ".tsv": read_delimited,
        ".tab": read_delimited,
        ".txt": read_delimited,
        ".jsonl": read_json_lines,
        ".ndjson": read_json_lines,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path}: files of type {path.suffix or '(none)'!r} cannot be read. "
            "Expected .csv, .tsv, .jsonl or .parquet, or a BEIR folder."
        )
    records = reader(path)
    if not records.names and not records.rows:
        raise DotbogiError(f"{path}: the table is empty. Expected a header and at least one row.")
    if not records.rows:
        raise DotbogiError(f"{path}: the table has a header but no rows. Expected one or more.")
    return records


def quoted(names: list[str]) -> str:
    """Return column names quoted for an error message, at most twelve."""
    shown = ", ".join(repr(name) for name in names[:12])
    return shown + (f", … ({len(names)} in all)" if len(names) > 12 else "")


def _decode(path: Path) -> str:
    """Decode a file by its byte-order mark, else as strict UTF-8, else as strict CP949.

    This was right for all of eight files saved by Korean spreadsheets; statistical detectors
    were right for 6 and 7.
    """
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp949"]
    first_error: UnicodeDecodeError | None = None
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as error:
            first_error = first_error or error
    assert first_error is not None
    line = raw.count(b"\n", 0, first_error.start) + 1
    raise DamagedError(
        f"{path}, line {line}: byte 0x{raw[first_error.start]:02x} is neither UTF-8 nor CP949. "
        "Save the table as UTF-8."
    )


def read_delimited(path: Path) -> Records:
    """Read a delimited table whose first row names the columns.

    Raises:
        UsageError: a column name appears twice.
        DamagedError: the bytes cannot be decoded or parsed.
    """
    text = _decode(path)
    if not text.strip():
        return Records([], [], [])
    delimiter = _delimiter(path, text[: text.find("\n")] if "\n" in text else text)
    records: list[dict[str, str]] = []
    numbers: list[int] = []
    skips: list[Skip] = []
    names: list[str] = []
    is_regular = delimiter == "\t" and _is_regular(text)
    for line, cells in _tab_cells(text) if is_regular else _cells(path, text, delimiter):
        if not any(cell.strip() for cell in cells):
            continue  # a blank line is not a row
        if not names:
            names = [cell.strip() for cell in cells]
            repeated = sorted({name for name in names if name and names.count(name) > 1})
            if repeated:
                raise UsageError(f"{path}: the column {repeated[0]!r} appears twice in the header.")
        elif len(cells) > len(names):
            skips.append(Skip(line, "more cells than the header (an unquoted comma?)"))
        else:
            records.append(dict(zip(names, cells, strict=False)))
            numbers.append(line)
    return Records(names, records, numbers, skips)


def _delimiter(path: Path, header: str) -> str:
    if path.suffix.lower() in {".tsv", ".tab"}:
        return "\t"
    return max(",;\t", key=header.count) if any(c in header for c in ",;\t") else ","


def _is_regular(text: str) -> bool:
    """Return whether all lines of a tab-separated text have the same number of cells."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\r" not in text.replace("\r\n", "") and (
        len({line.count("\t") for line in lines if line.strip()}) == 1
    )


def _tab_cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each line of a regular tab-separated table.

    Quotes there are mostly text: a cell may begin with one and never close it. Only a cell that
    is quoted as a whole, with its inner quotes doubled as in CSV, is unquoted.
    """
    for number, line in enumerate(text.split("\n"), 1):
        yield number, [_unquoted(cell) for cell in line.rstrip("\r").split("\t")]


def _unquoted(cell: str) -> str:
    inside = cell[1:-1]
    if len(cell) < 2 or not cell[0] == cell[-1] == '"' or '"' in inside.replace('""', ""):
        return cell
    return inside.replace('""', '"')


def _cells(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line number and the cells of each row; an unclosed quote is an error."""
    sentinel = "\0end of table\0"
    csv.field_size_limit(_MAX_CELL)
    lines = io.StringIO(text.rstrip("\r\n") + "\n", newline="")
    reader = csv.reader(itertools.chain(lines, [sentinel]), delimiter=delimiter)
    start = 1
    try:
        for cells in reader:
            if cells == [sentinel]:
                return
            if cells and cells[-1].endswith(sentinel):
                break
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DamagedError(f"{path}, line {start}: {error}. Check the quotes there.") from error
    raise DamagedError(
        f"{path}, line {start}: a quote is opened but never closed. Close or double it."
    )


def read_json_lines(path: Path) -> Records:
    """Read a file of JSON objects, one per line.

    Raises:
        DamagedError: the bytes cannot be decoded, or a line is not a JSON object.
    """
    records: list[dict[str, str]] = []
    numbers: list[int] = []
    names: dict[str, None] = {}
    for number, line in enumerate(_decode(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{path}, line {number}: not JSON ({error}).") from error
        if not isinstance(record, dict):
            raise DamagedError(f"{path}, line {number}: expected a JSON object per line.")
        names.update(dict.fromkeys(record))
        records.append({name: _as_text(value) for name, value in record.items()})
        numbers.append(number)
    return Records(list(names), records, numbers)


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
