"""CSV, TSV and other delimited text."""

import codecs
import csv
import gzip
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.tables.header import find_header
from dotbogi.indexes.tables.layout import CSV_BEGINS
from dotbogi.indexes.tables.table import Grid, Reading

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
MAX_CELL = 1 << 20  # characters; some answers exceed the csv module's default of 131,072
_MAX_BYTES = 1 << 30  # of a file that was compressed
_LOOKED_AT = 64 << 10  # characters, to find the delimiter


def read_text(path: Path, encoding: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Return a file's text, decompressed if it is gzip, and notes on its encoding.

    It is decoded by its byte-order mark, else as strict UTF-8, else as strict CP949. Of eight
    files saved by Korean spreadsheets, this decoded all correctly; two statistical detectors
    decoded 6 and 7.

    Raises:
        UsageError: there is no such encoding.
        DamagedError: the bytes cannot be decoded.
    """
    raw = _unzipped(path)
    if encoding:
        encodings = [encoding]
    elif raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp949"]
    first_error: UnicodeDecodeError | None = None
    for name in encodings:
        try:
            text = raw.decode(name)
        except UnicodeDecodeError as error:
            first_error = first_error or error
        except LookupError as error:
            raise UsageError(f"--encoding {name}: no such encoding; try utf-8 or cp949.") from error
        else:
            guessed = not encoding and name != "utf-8-sig"
            return text, (f"its encoding is {name.upper()} (--encoding)",) if guessed else ()
    assert first_error is not None
    line = raw.count(b"\n", 0, first_error.start) + 1
    raise DamagedError(
        f"{path}, line {line}: byte 0x{raw[first_error.start]:02x} is "
        f"{f'not {encoding}' if encoding else 'neither UTF-8 nor CP949'}. "
        "Save the table as UTF-8, or name its --encoding."
    )


def _unzipped(path: Path) -> bytes:
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            raw = file.read(_MAX_BYTES + 1)
    except (OSError, EOFError) as error:
        raise DamagedError(f"{path}: not a readable gzip file ({error}).") from error
    if len(raw) > _MAX_BYTES:
        raise UsageError(f"{path}: more than 1 GiB when decompressed. Split the table.")
    return raw


def read_delimited(path: Path, reading: Reading | None = None) -> Grid:
    """Read a delimited text.

    Raises:
        UsageError: there is no such encoding or delimiter.
        DamagedError: the bytes cannot be decoded or parsed.
    """
    reading = reading or Reading()
    text, notes = read_text(path, reading.encoding)
    first = 1
    stated = text[:5].lower()
    if stated.startswith("sep=") and text[5:6] in ("\r", "\n", ""):  # for Excel
        delimiter = text[4]
        notes += (f"its first line says that {DELIMITERS.get(delimiter, delimiter)} separate",)
        line, _, text = text.partition("\n")
        first += 1 if line else 0
    else:
        delimiter, more = _delimiter(path, text, reading)
        notes += more
    is_regular = delimiter == "\t" and _is_regular(text)
    rows = _tab_cells(text) if is_regular else _cells(path, text, delimiter, first)
    filled = ((line, cells) for line, cells in rows if any(cell.strip() for cell in cells))
    return Grid(filled, notes)


def _delimiter(path: Path, text: str, reading: Reading) -> tuple[str, tuple[str, ...]]:
    """Return what separates cells: what finds the header, or else fills the most cells."""
    if text.startswith(CSV_BEGINS):
        return ",", ()
    if reading.delimiter:
        delimiter = {"tab": "\t", "\\t": "\t"}.get(reading.delimiter, reading.delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise UsageError(
                f"--delimiter {reading.delimiter!r}: expected one character, or 'tab'."
            )
        return delimiter, ()
    if ".tsv" in path.name.lower() or ".tab" in path.name.lower():
        return "\t", ()

    def fitness(delimiter: str) -> tuple[int, int]:
        lines = io.StringIO(text[:_LOOKED_AT], newline="")
        rows = []
        try:
            for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), 1):
                rows.append((number, cells))
        except csv.Error:
            pass  # reported when the table is read
        header = find_header(rows, reading)
        head = rows[0][1] if rows else []
        return (header.known if header else 0, len([c for c in head if c.strip()]))

    csv.field_size_limit(MAX_CELL)
    best = max(DELIMITERS, key=fitness)
    return best, () if best == "," else (f"{DELIMITERS[best]} separate its cells (--delimiter)",)


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


def _cells(path: Path, text: str, delimiter: str, start: int) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's first line number and its cells; an unclosed quote raises DamagedError."""
    sentinel = "\0end of table\0"
    csv.field_size_limit(MAX_CELL)
    lines = io.StringIO(text.rstrip("\r\n") + "\n", newline="")
    reader = csv.reader(itertools.chain(lines, [sentinel]), delimiter=delimiter)
    before = start - 1
    try:
        for cells in reader:
            if cells == [sentinel]:
                return
            if cells and cells[-1].endswith(sentinel):
                break
            yield start, cells
            start = before + reader.line_num + 1
    except csv.Error as error:
        raise DamagedError(f"{path}, line {start}: {error}. Check the quotes there.") from error
    raise DamagedError(
        f"{path}, line {start}: a quote is opened but never closed. Close or double it."
    )
