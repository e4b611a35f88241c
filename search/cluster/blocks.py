"""Blocks of work: each becomes one small Parquet file, from which an interrupted run goes on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.files import open_regular, reading, remove, replace_file

_PLAIN = {"PLAIN", "RLE"}
_COLUMNS = ("key", "value")


@dataclass(frozen=True, slots=True)
class Block:
    """Some items of work, and a name that is a digest of all that determines their values."""

    name: str
    keys: list[bytes]  # one for each item
    work: Any  # what a worker is given

    @classmethod
    def of(cls, recipe: str, keys: Sequence[bytes], work: Any) -> "Block":
        """Name a block.

        Args:
            recipe: fingerprint of what is done with the items.
            keys: one for each item; with the recipe, it determines the item's value.
            work: what a worker is given.
        """
        hasher = hashlib.blake2b(recipe.encode(), digest_size=16)
        for key in keys:
            hasher.update(len(key).to_bytes(8, "little") + key)
        return cls(hasher.hexdigest(), list(keys), work)


class BlockFolder:
    """The finished blocks of a run. Writing a block again changes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, block: Block) -> list[bytes] | None:
        """Return the values of a block, or None if it is not finished, or its file is damaged."""
        path = self.folder / f"{block.name}.parquet"
        try:
            with reading(path), open_regular(path) as file:
                return unpack(file.read(), block.keys)
        except DotbogiError:
            return None

    def write(self, block: Block, packed: bytes) -> list[bytes]:
        """Keep the file of a finished block, and return the values in it."""
        values = unpack(packed, block.keys)
        if self.folder.is_symlink() or not self.folder.is_dir():
            remove(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(self.folder / f"{block.name}.parquet", packed)
        return values


def pack(keys: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return a Parquet file with the columns `key` and `value`, and one row for each item."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert len(keys) == len(values)
    table = pa.table({"key": pa.array(keys, pa.binary()), "value": pa.array(values, pa.binary())})
    buffer = pa.BufferOutputStream()
    # Neither compressed nor in a dictionary: so a file holds no more than its size.
    pq.write_table(
        table, buffer, compression="none", use_dictionary=False, write_page_checksum=True
    )
    return bytes(buffer.getvalue())


def unpack(packed: bytes, keys: Sequence[bytes]) -> list[bytes]:
    """Return the values of a packed block.

    Raises:
        ValueError: it is damaged, or its rows are not those of these keys, each once and in order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(pa.BufferReader(packed), page_checksum_verification=True)
    footer = parquet.metadata
    chunks = [
        footer.row_group(group).column(column)
        for group in range(footer.num_row_groups)
        for column in range(footer.num_columns)
    ]
    if (
        tuple(parquet.schema_arrow.names) != _COLUMNS
        or footer.num_rows != len(keys)
        or any(
            c.compression != "UNCOMPRESSED" or not _PLAIN.issuperset(c.encodings) for c in chunks
        )
    ):
        raise ValueError("not the file of this block")
    table = parquet.read(use_threads=False)
    if table["key"].to_pylist() != list(keys):
        raise ValueError("not the rows of this block")
    return [bytes(value) for value in table["value"].to_pylist()]
