"""Write a workbook (.xlsx) of one sheet."""

from collections.abc import Sequence
from pathlib import Path

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.export.rows import columns_of, rows_of
from dotbogi.indexes.tables.neutral import neutralise, to_xml

# What Excel opens.
MOST_CHARACTERS = 32_767  # of a cell, in UTF-16
MOST_ROWS = 1_048_576
MOST_COLUMNS = 16_384

_WIDTH = 40  # of a column, in characters
_MEND = "Export as .csv or .jsonl instead."


def write_collection(collection: Collection, path: Path) -> None:
    """Write the table of a collection.

    Raises:
        UsageError: a workbook cannot hold it.
    """
    columns = columns_of(collection)
    rows = [[row.get(name, "") for name in columns] for row in rows_of(collection)]
    write_workbook(columns, rows, path)


def write_workbook(
    header: Sequence[str], rows: Sequence[Sequence[str | float]], path: Path
) -> None:
    """Write rows of texts and numbers below a header; no cell is computed.

    Raises:
        UsageError: there are more rows or columns than a sheet holds, or a longer text than a
            cell holds. Excel would cut them off, and the export would not be what was indexed.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.utils import get_column_letter

    if len(header) > MOST_COLUMNS:
        raise UsageError(f"{len(header):,} columns; a sheet holds {MOST_COLUMNS:,}. {_MEND}")
    if len(rows) >= MOST_ROWS:
        raise UsageError(
            f"{len(rows):,} rows below the header; a sheet holds {MOST_ROWS - 1:,}. {_MEND}"
        )
    table = [
        [_cell(value, number) for value in row] for number, row in enumerate([header, *rows], 1)
    ]
    book = Workbook(write_only=True)
    sheet = book.create_sheet("dotbogi")
    sheet.freeze_panes = "A2"
    for number in range(1, min(len(header), 3) + 1):
        sheet.column_dimensions[get_column_letter(number)].width = _WIDTH
    for row in table:
        cells = [WriteOnlyCell(sheet, value) for value in row]
        for cell in cells:
            if isinstance(cell.value, str):
                cell.data_type = "s"  # "#N/A" is a text like any other
        sheet.append(cells)
    book.save(path)


def _cell(value: str | float, row: int) -> str | float:
    if not isinstance(value, str):
        return value
    cell = to_xml(neutralise(value))
    length = len(cell.encode("utf-16-le")) // 2
    if length > MOST_CHARACTERS:
        raise UsageError(
            f"row {row} has a text of {length:,} characters ({value[:20]}…); a cell holds "
            f"{MOST_CHARACTERS:,}. {_MEND}"
        )
    return cell
