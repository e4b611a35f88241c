"""CSV, TSV and other delimited text."""

import codecs
import csv
import gzip
import io
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.tables.header import LOOKED_AT, find_header
from dotbogi.indexes.tables.layout import CSV_BEGINS
from dotbogi.indexes.tables.table import Grid, Reading

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
MAX_CELL = 1 << 20  # characters; some answers exceed the csv module's default of 131,072
_MAX_BYTES = 128 << 20  # of a file that was compressed
_STATED = re.compile(r'"?sep=([^"\r\n])"?[,;\t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
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
        except (LookupError, ValueError) as error:
            raise UsageError(f"--encoding {name}: no such encoding; try utf-8 or cp949.") from error
        else:
            guessed = not encoding and name != "utf-8-sig"
            # With --encoding utf-8 too; some programs write two.
            text = text.lstrip("\ufeff")
            return text, (f"its encoding is {name.upper()} (--encoding)",) if guessed else ()
    assert first_error is not None
    line = raw.count(b"\n", 0, first_error.start) + 1
    raise DamagedError(
        f"{path}, line {line}: byte 0x{raw[first_error.start]:02x} is "
        f"{'neither UTF-8 nor CP949' if len(encodings) > 1 else f'not {encodings[0].upper()}'}. "
        "Save the table as UTF-8, or name its --encoding."
    )


def _unzipped(path: Path) -> bytes:
    with path.open("rb") as plain:
        is_plain = plain.read(2) != b"\x1f\x8b"
    if is_plain and path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            raw = file.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedError(f"{path}: not a readable gzip file ({error}). Copy it again.") from error
    if len(raw) > _MAX_BYTES:
        raise UsageError(
            f"{path}: more than {_MAX_BYTES >> 20} MiB when decompressed. Decompress it yourself "
            "if it is what it should be."
        )
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
    stated = _STATED.match(text)  # for Excel, which hides this line
    if stated:
        text = text[stated.end() :]
        first = 2
    if stated and not reading.delimiter:
        delimiter = stated[1]
        what = DELIMITERS.get(delimiter, repr(delimiter))
        notes += (f"its first line says that {what} separate cells (--delimiter)",)
    else:
        delimiter, more = _delimiter(path, text, reading)
        notes += more
    is_regular = delimiter == "\t" and _is_regular(text)
    rows = _tab_cells(text, first) if is_regular else _cells(path, text, delimiter, first)
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
    if Path(path.name.lower().removesuffix(".gz")).suffix in (".tsv", ".tab"):
        return "\t", ()

    def fitness(delimiter: str) -> tuple[int, int]:
        lines = io.StringIO(text[:_LOOKED_AT], newline="")
        rows = []
        try:
            for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), 1):
                rows.append((number, cells))
                if number > LOOKED_AT:
                    break
        except csv.Error:
            pass  # reported when the table is read
        header = find_header(rows, reading)
        head = rows[0][1] if rows else []
        if header is None:  # answers hold bars and semicolons too: all rows have to divide alike
            divided = Counter(len(cells) for _, cells in rows[:LOOKED_AT] if any(cells))
            width, count = max(divided.items(), key=lambda item: item[1], default=(1, 0))
            return (0, count if width > 1 else 0)
        return (header.known, len([c for c in head if c.strip()]))

    csv.field_size_limit(MAX_CELL)
    best = max(DELIMITERS, key=fitness)
    return best, () if best == "," else (f"{DELIMITERS[best]} separate its cells (--delimiter)",)


def _is_regular(text: str) -> bool:
    """Return whether all lines of a tab-separated text have the same number of cells."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\r" not in text.replace("\r\n", "") and (
        len({line.count("\t") for line in lines if line.strip()}) == 1
    )


def _tab_cells(text: str, start: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each line of a regular tab-separated table.

    Quotes there are mostly text: a cell may begin with one and never close it. Only a cell that
    is quoted as a whole, with its inner quotes doubled as in CSV, is unquoted.
    """
    for number, line in enumerate(text.split("\n"), start):
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
    taken: list[str] = []  # the lines of the row that is being read
    reader = csv.reader(
        _noted(itertools.chain(_lines(text.rstrip("\r\n") + "\n"), [sentinel]), taken),
        delimiter=delimiter,
    )
    before = start - 1
    try:
        for cells in reader:
            if cells == [sentinel]:
                return
            if cells and cells[-1].endswith(sentinel):
                break
            if len(taken) > 1:  # a quote that is not closed runs on to the next one, rows below
                next(csv.reader(taken, delimiter=delimiter, strict=True))
            taken.clear()
            yield start, cells
            start = before + reader.line_num + 1
    except csv.Error as error:
        raise DamagedError(f"{path}, line {start}: {error}. Check the quotes there.") from error
    raise DamagedError(
        f"{path}, line {start}: a quote is opened but never closed. Close or double it."
    )


def _noted(lines: Iterator[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _lines(text: str) -> Iterator[str]:
    r"""Yield lines with their ends: \n, \r\n or \r, and none of the others that Unicode has."""
    return (line[0] for line in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))
