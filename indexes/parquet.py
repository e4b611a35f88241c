"""Parquet files, read in memory that is bounded by their size.

A file of a few kB can state millions of rows, or pages that grow to gigabytes: pyarrow believes
it. Here the footer and the head of every page are checked before anything is decoded. Texts stay
in their dictionaries, so a text that many rows share is in memory once.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from dotbogi.indexes.files import open_regular, reading

# The most that a file may hold: so much, whatever its size, and so much more for each byte. A table
# of short texts that differ by a number alone has 12 bytes of text and .4 rows in a byte.
_ROWS, _ROWS_A_BYTE = 100_000, 0.5
_VALUES, _VALUES_A_BYTE = 1_000_000, 20
_TEXT, _TEXT_A_BYTE = 1 << 25, 50

_MOST_FOOTER = 1 << 22
_MOST_LISTED = 10_000  # row groups, columns and other lists of the footer
_PAGE_HEAD = 1 << 14
_ENCODINGS = {0, 2, 3, 8}  # plain, dictionaries and runs: others refer to earlier values
TEXTS, NUMBERS, LISTS = "texts", "numbers", "lists of texts"

Columns = dict[str, list[Any]]


def read_parquet(path: Path, kinds: Mapping[str, str]) -> Columns:
    """Return the columns of a Parquet file of texts and whole numbers.

    Args:
        path: a regular file; a link is refused.
        kinds: the columns that the file may have, each "texts", "numbers" or "lists of texts".

    Raises:
        DamagedError: the file cannot be read, has other columns, or holds more than its size
            allows.
    """
    import pyarrow.parquet as pq

    with reading(path), open_regular(path) as file:
        size = file.seek(0, 2)
        _check_footer_length(file, size)
        limits = {
            "thrift_string_size_limit": _MOST_FOOTER,
            "thrift_container_size_limit": _MOST_LISTED,
        }
        names = pq.ParquetFile(file, **limits).schema_arrow.names  # older files have fewer
        leaves = [_leaf(name, kinds[name]) for name in names if name in kinds]
        parquet = pq.ParquetFile(file, read_dictionary=leaves, **limits)
        _check_schema(parquet.schema_arrow, kinds)
        _check_footer(parquet.metadata, size)
        _check_pages(file, parquet.metadata, size)
        # One thread: its pool does not survive a fork.
        table = parquet.read(use_threads=False)
        columns = {name: _values(table[name], kinds[name]) for name in table.column_names}
        for column in columns.values():
            _limit("text", sum(map(_length, column)), _TEXT + _TEXT_A_BYTE * size)
    return columns


def _leaf(name: str, kind: str) -> str:
    return f"{name}.list.element" if kind == LISTS else name


def _check_footer_length(file: BinaryIO, size: int) -> None:
    file.seek(max(size - 8, 0))
    length, magic = struct.unpack("<I4s", file.read(8))
    if magic != b"PAR1":
        raise ValueError("no footer")
    _limit("footer", length, min(_MOST_FOOTER, size))


def _check_schema(schema: Any, kinds: Mapping[str, str]) -> None:
    text = "dictionary<values=string, indices=int32, ordered=0>"
    expected = {TEXTS: text, NUMBERS: "int64", LISTS: f"list<element: {text}>"}
    for field in schema:
        if str(field.type) != expected.get(kinds.get(field.name, "")):
            raise ValueError(f"column {field.name}: {field.type}")
    if len({*schema.names}) != len(schema.names):
        raise ValueError("two columns of one name")


def _check_footer(footer: Any, size: int) -> None:
    """Check that the parts of a file add up to no more than the whole."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    rows = [group.num_rows for group in groups]
    chunks = [chunk for group in groups for chunk in _chunks(group)]
    if min(rows, default=0) < 0 or sum(rows) != footer.num_rows:
        raise ValueError("rows do not add up")
    _limit("rows", footer.num_rows, _ROWS + _ROWS_A_BYTE * size)
    if any(min(c.num_values, c.total_compressed_size, _start(c)) < 0 for c in chunks):
        raise ValueError("negative sizes")
    columns = max(footer.num_columns, 1)
    values = sum(chunk.num_values for chunk in chunks)
    _limit("values", values, columns * (_VALUES + _VALUES_A_BYTE * size))
    _limit("bytes", sum(chunk.total_compressed_size for chunk in chunks), size)


def _chunks(group: Any) -> Iterator[Any]:
    for number in range(group.num_columns):
        yield group.column(number)


def _start(chunk: Any) -> int:
    """Return where a chunk begins, as Arrow finds it."""
    data, dictionary = int(chunk.data_page_offset), int(chunk.dictionary_page_offset or 0)
    return dictionary if 0 < dictionary < data else data


def _check_pages(file: BinaryIO, footer: Any, size: int) -> None:
    """Check the head of every page, which states how long the page is when it is decompressed."""
    total = 0
    for number in range(footer.num_row_groups):
        for chunk in _chunks(footer.row_group(number)):
            at = _start(chunk)
            end = at + chunk.total_compressed_size if chunk.num_values else at
            while at < end:
                file.seek(at)
                head, length = _Thrift(file.read(_PAGE_HEAD)).head()
                plain, packed = head[2], head[3]
                data = head.get(5) or head.get(7) or head.get(8) or {}
                if min(plain, packed) < 0 or data.get(4 if 8 in head else 2) not in _ENCODINGS:
                    raise ValueError("a page of another kind")
                total += plain
                _limit("text", total, _TEXT + _TEXT_A_BYTE * size)
                at += length + packed


def _limit(what: str, found: int, most: float) -> None:
    if found > most:
        raise ValueError(f"{found:,} {what}; a file of this size holds at most {int(most):,}")


def _values(column: Any, kind: str) -> list[Any]:
    """Return a column's values; equal texts of a row group are one object."""
    values: list[Any] = []
    for chunk in column.chunks:
        if kind == LISTS:
            starts = chunk.offsets.to_pylist()
            flat = _texts(chunk.values)
            values += [flat[start:end] for start, end in pairwise(starts)]
        else:
            values += _texts(chunk) if kind == TEXTS else chunk.to_pylist()
    return values


def _texts(chunk: Any) -> list[str | None]:
    known = chunk.dictionary.to_pylist()
    return [None if number is None else known[number] for number in chunk.indices.to_pylist()]


def _length(value: str | int | Sequence[str] | None) -> int:
    if isinstance(value, list):
        return sum(map(_length, value))
    return len(value) if isinstance(value, str) else 0


class _Thrift:
    """Thrift's compact protocol, in which the heads of pages are written."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def head(self) -> tuple[dict[int, Any], int]:
        """Return a structure's values by field number, and its length in bytes."""
        return self._struct(), self._at

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _number(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def _signed(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _struct(self) -> dict[int, Any]:
        values: dict[int, Any] = {}
        field = 0
        while kind := self._byte():
            field = field + (kind >> 4) if kind >> 4 else self._signed()
            values[field] = self._value(kind & 15)
        return values

    def _value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (7, 8):  # a number of eight bytes; bytes
            length = 8 if kind == 7 else self._number()
            self._at += length
            return None
        if kind == 12:
            return self._struct()
        raise ValueError(f"a value of kind {kind} in the head of a page")
