"""Mined negatives with their provenance, as Parquet files."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from dotbogi.indexes.files import reading, write_parquet
from dotbogi.training.negatives.negative import Negative
from dotbogi.training.run_files import REMEDY

_TYPES = {"rank": "int32", "score": "double", "cosine": "double", "positive_cosine": "double",
          "bound": "double"}  # fmt: skip


def save_negatives(negatives: Sequence[Negative], path: Path) -> None:
    """Write negatives with their provenance as Parquet."""
    import pyarrow as pa

    names = [field.name for field in fields(Negative)]
    schema = pa.schema([(name, _TYPES.get(name, "string")) for name in names])
    columns = {name: [getattr(n, name) for n in negatives] for name in names}
    write_parquet(path, pa.table(columns, schema=schema), compression="zstd")


def open_negatives(path: Path) -> list[Negative]:
    """Read what `save_negatives` wrote.

    Raises:
        DamagedError: the file is missing, cannot be read, or is of another version.
    """
    import pyarrow.parquet as pq

    with reading(path, REMEDY):
        return [Negative(**row) for row in pq.ParquetFile(path).read().to_pylist()]
