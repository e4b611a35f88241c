"""Write a collection as CSV."""

import csv
from pathlib import Path

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.export.rows import columns_of, rows_of
from dotbogi.indexes.tables.delimited import MAX_CELL
from dotbogi.indexes.tables.neutral import neutralise

_MEND = "Export as .jsonl instead."


def write_csv(collection: Collection, path: Path) -> None:
    """Write a table that spreadsheets open as well: with a byte order mark, formulas neutralised.

    Raises:
        UsageError: `index` could not read the table again.
    """
    columns = columns_of(collection)
    header = [neutralise(name) for name in columns]
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # Excel needs the mark
        writer = csv.writer(file)
        writer.writerow(header)
        for number, row in enumerate(rows_of(collection), 2):
            cells = [neutralise(row.get(name, "")) for name in columns]
            longest = max(map(len, cells))
            if longest > MAX_CELL:
                raise UsageError(
                    f"row {number} has a cell of {longest:,} characters; CSV is read with at most "
                    f"{MAX_CELL:,}. {_MEND}"
                )
            writer.writerow(cells)
