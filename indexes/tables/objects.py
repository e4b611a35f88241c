"""Rows from JSON Lines and Parquet, where cells can be numbers and lists."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.tables import names
from dotbogi.indexes.tables.delimited import read_text
from dotbogi.indexes.tables.table import Reading, Records


def read_json_lines(path: Path, reading: Reading | None = None) -> Records:
    """Read a file of JSON objects, one per line.

    Raises:
        DamagedError: the bytes cannot be decoded, or a line is not a JSON object.
    """
    text, notes = read_text(path, reading.encoding if reading else None)
    records: list[dict[str, str]] = []
    numbers: list[int] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DamagedError(
                f"{path}, line {number}: not JSON ({error}). Expected one object per line."
            ) from error
        if not isinstance(record, dict):
            raise DamagedError(f"{path}, line {number}: not a JSON object. Expected one per line.")
        record = dict(_fields(record, reading or Reading(), f"{path}, line {number}"))
        columns.update(dict.fromkeys(record))
        records.append(record)
        numbers.append(number)
    return Records(list(columns), records, numbers, notes=notes)


def _fields(record: Mapping[str, Any], reading: Reading, where: str) -> Iterator[tuple[str, str]]:
    """Yield a record's fields as text; a list of questions becomes a column for each."""
    for name, value in record.items():
        is_answer = name == reading.answer or (not reading.answer and names.role(name) == "answer")
        if is_answer and isinstance(value, list | dict):
            raise UsageError(
                f"{where}: {name!r} holds a list or an object. Write one text for each answer, in "
                "a row of its own, or name another column with --answer-column."
            )
        are_questions = name == reading.question or names.role(name) == "question"
        if are_questions and isinstance(value, list) and all(isinstance(v, str) for v in value):
            for number, text in enumerate(value or [""], 1):
                yield name if number == 1 else f"{name} ({number})", text
        else:
            yield name, _as_text(value)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def read_parquet(path: Path, reading: Reading) -> Records:
    """Read a Parquet file.

    Raises:
        DamagedError: the bytes cannot be parsed.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        # Integers stay integers where values are missing: an id 1 is not read as "1.0".
        frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedError(
            f"{path}: not a readable Parquet file ({reason}). Write it again."
        ) from error
    frame.columns = frame.columns.map(str)
    blank = frame.isna()
    found = {
        name: ["" if b else _plain(v) for v, b in zip(frame[name], blank[name], strict=True)]
        for name in frame.columns
    }
    rows = [
        dict(_fields(dict(zip(found, row, strict=True)), reading, f"{path}, row {number}"))
        for number, row in enumerate(zip(*found.values(), strict=True), 1)
    ]
    columns = dict.fromkeys(name for row in rows for name in row) or dict.fromkeys(found)
    return Records(list(columns), rows, list(range(1, len(rows) + 1)))


def _plain(value: Any) -> Any:
    """Return a list for an array of pandas, and the text of all else."""
    return (
        [*map(_plain, value)]
        if hasattr(value, "tolist") and hasattr(value, "__len__")
        else str(value)
    )
