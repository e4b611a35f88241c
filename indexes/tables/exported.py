"""Read an exported table: every cell is what was written."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import get_args

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.tables.layout import (
    ANSWER,
    ANSWER_ID,
    OPPOSED,
    ORIGIN,
    PREFERRED,
    QUESTION,
    metadata_name,
)
from dotbogi.indexes.tables.neutral import from_xml, restored
from dotbogi.indexes.tables.signs import is_workbook
from dotbogi.indexes.tables.table import Origin, Reading, Records, Row, Table

_OURS = {QUESTION, ANSWER, ANSWER_ID, ORIGIN, PREFERRED, OPPOSED}


def exported_table(path: Path, records: Records) -> Table:
    """Return the rows of an exported table. Options on how to read tables do not apply to it.

    Raises:
        UsageError: a column about votes holds something else.
    """
    restore = _restorer(path)
    rows = [
        _row(path, number, {restore(name): restore(cell) for name, cell in record.items()})
        for number, record in zip(records.numbers, records.rows, strict=True)
    ]
    columns = Reading(question=QUESTION, answer=ANSWER, answer_id=ANSWER_ID, further=())
    return Table(
        path=path, rows=rows, columns=columns, notes=records.notes, skips=tuple(records.skips)
    )


def _restorer(path: Path) -> Callable[[str], str]:
    if is_workbook(path):
        return lambda cell: restored(from_xml(cell))
    return str if ".jsonl" in path.name or ".ndjson" in path.name else restored


def _row(path: Path, number: int, cells: Mapping[str, str]) -> Row:
    def stated(column: str, expected: Iterable[str] | None, what: str) -> str:
        cell = cells.get(column, "").strip()
        fits = cell in expected if expected else cell.isascii() and cell.isdecimal()
        if cell and not fits:
            raise UsageError(f"{path}, row {number}: {column} is {cell!r}; expected {what}.")
        return cell

    origin = stated(ORIGIN, get_args(Origin), "feedback, review or nothing")
    return Row(
        question=cells.get(QUESTION, ""),
        answer=cells.get(ANSWER, ""),
        answer_id=cells.get(ANSWER_ID, "").strip(),
        metadata={metadata_name(n): v for n, v in cells.items() if n not in _OURS and v},
        number=number,
        origin=next((known for known in get_args(Origin) if known == origin), None),
        preferred=int(stated(PREFERRED, None, "a number or nothing") or 0),
        opposed=int(stated(OPPOSED, None, "a number or nothing") or 0),
    )
