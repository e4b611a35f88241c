"""Blocks of work: each becomes one small Parquet file, from which an interrupted run goes on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.files import open_regular, remove, replace_file
from dotbogi.indexes.parquet import TEXTS, read_parquet


@dataclass(frozen=True, slots=True)
class Block:
    """Some items of work, and a name that is a digest of all that determines their values."""

    name: str
    keys: list[str]  # one for each item
    work: Any  # what a worker is given

    @classmethod
    def of(cls, recipe: str, keys: Sequence[str], work: Any) -> "Block":
        """Name a block.

        Args:
            recipe: fingerprint of what is done with the items.
            keys: one for each item; with the recipe, they determine the values.
            work: what a worker is given.
        """
        hasher = hashlib.blake2b(digest_size=16)
        for part in (recipe, *keys):
            data = part.encode()
            hasher.update(len(data).to_bytes(8, "little") + data)
        return cls(hasher.hexdigest(), list(keys), work)


class BlockFolder:
    """The finished blocks of a run, in files that are named by block and contents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, block: Block) -> list[str] | None:
        """Return the values of a block, or None if it is not finished, or its file is damaged."""
        for path in self.folder.glob(f"{block.name}-*.parquet"):
            try:
                with open_regular(path) as file:
                    is_whole = path.name == _file_name(block, file.read())
                # pyarrow may end the process over a damaged file, so it sees whole ones alone.
                rows = read_parquet(path, {"key": TEXTS, "value": TEXTS}) if is_whole else {}
            except (DotbogiError, OSError):
                continue
            # Each item once, in order.
            values = rows.get("value", [])
            if rows.get("key") == block.keys and all(isinstance(v, str) for v in values):
                return values
        return None

    def write(self, block: Block, packed: bytes) -> None:
        """Keep the file of a finished block; to write it again changes nothing."""
        if self.folder.is_symlink() or not self.folder.is_dir():
            remove(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(self.folder / _file_name(block, packed), packed)


def _file_name(block: Block, packed: bytes) -> str:
    return f"{block.name}-{hashlib.blake2b(packed, digest_size=16).hexdigest()}.parquet"


def pack(keys: Sequence[str], values: Sequence[str]) -> bytes:
    """Return a Parquet file with the columns `key` and `value`, and one row for each item."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert len(keys) == len(values)
    table = pa.table({"key": pa.array(keys, pa.string()), "value": pa.array(values, pa.string())})
    buffer = pa.BufferOutputStream()
    # Plain: `read_parquet` takes no more text than fits the size of a file.
    pq.write_table(table, buffer, compression="none", use_dictionary=False)
    return bytes(buffer.getvalue())
