"""Mined negatives with their provenance, as Parquet files."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from dotbogi.indexes.errors import DamagedError
from dotbogi.training.negatives.negative import Negative

_TYPES = {"rank": "int32", "score": "double", "cosine": "double", "positive_cosine": "double",
          "bound": "double"}  # fmt: skip


def save_negatives(negatives: Sequence[Negative], path: Path) -> None:
    """Write negatives with their provenance as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [field.name for field in fields(Negative)]
    schema = pa.schema([(name, _TYPES.get(name, "string")) for name in names])
    columns = {name: [getattr(n, name) for n in negatives] for name in names}
    temporary = path.with_suffix(".tmp")
    pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")
    temporary.replace(path)


def open_negatives(path: Path) -> list[Negative]:
    """Read what `save_negatives` wrote.

    Raises:
        DamagedError: the file is missing, cannot be read, or is of another version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return [Negative(**row) for row in pq.ParquetFile(path).read().to_pylist()]
    except (OSError, pa.ArrowException, TypeError) as error:
        raise DamagedError(
            f"{path}: cannot be read, or is of another version. Start another run: dotbogi train"
        ) from error
