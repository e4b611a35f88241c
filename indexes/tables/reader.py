"""Read a table of questions and answers, whatever it looks like."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.tables import names
from dotbogi.indexes.tables.beir import read_beir
from dotbogi.indexes.tables.bots import from_azure, is_azure, is_rasa, read_rasa
from dotbogi.indexes.tables.cells import clean_cell, is_error
from dotbogi.indexes.tables.columns import OPTIONS, column_notes, find_columns
from dotbogi.indexes.tables.exported import exported_table
from dotbogi.indexes.tables.layout import is_export
from dotbogi.indexes.tables.phrasings import find_separator, split_cell
from dotbogi.indexes.tables.records import EXPECTED, quoted, read_records
from dotbogi.indexes.tables.table import Reading, Records, Row, Skip, Table

_NO_METADATA: Mapping[str, str] = {}
SAMPLE_FOLDER = Path(__file__).parent.parent / "sample"
SAMPLE_PATH = SAMPLE_FOLDER / "pairs.csv"


def read_table(
    path: Path,
    reading: Reading | None = None,
    *,
    hints: Reading | None = None,
    answers: Mapping[str, str] | None = None,
) -> Table:
    """Read a table of questions and answers.

    Args:
        path: a .csv, .tsv, .xlsx, .jsonl/.ndjson, .parquet or Rasa .yml file, a BEIR folder
            (corpus.jsonl, queries.jsonl, qrels/*.tsv) or a folder of Rasa files.
        reading: what the user says about it; the rest is found by looking at the table.
        hints: names of columns to prefer to the usual ones, if the table has them.
        answers: texts by id. A table may then name answers by their ids alone.

    Raises:
        UsageError: the file does not exist or has no usable columns.
        DamagedError: the bytes cannot be decoded or parsed.
        DotbogiError: the table has no rows.
    """
    reading = reading or Reading()
    if not path.exists():
        raise UsageError(f"{path}: no such file. {EXPECTED}")
    if path.is_dir() or is_rasa(path):
        if reading != Reading():
            raise UsageError(f"{path}: it has fixed columns; leave the options for tables out.")
        return read_rasa(path) if is_rasa(path) else read_beir(path)
    records = read_records(path, reading)
    if is_export(records.names):
        return exported_table(path, records)
    if is_azure(records):
        records = from_azure(records)
    reading = _with_hints(reading, hints, records.names)
    used = find_columns(path, records.names, reading, by_id=answers is not None)
    records = _cleaned(records, reading)
    records = _only(path, records, reading.only)
    columns = [name for name in (used.question, *(used.further or ())) if name]
    cells = (record.get(name, "") for record in records.rows for name in columns)
    separator, guess = find_separator(cells, reading.split)
    rows, skips = _rows(records, used, separator, answers or {})
    notes = (*records.notes, *column_notes(records.names, used, reading))
    bare = len({row.number for row in rows if not row.question and row.answer})
    if used.question and bare:
        notes += (f"{bare} rows have no question: only their answers are read",)
    return Table(
        path=path,
        rows=rows,
        columns=replace(used, split=reading.split),
        notes=(*notes, guess) if guess else notes,
        skips=(*records.skips, *skips),
    )


def _with_hints(reading: Reading, hints: Reading | None, columns: Sequence[str]) -> Reading:
    keys = {names.key(column) for column in columns}
    usable = {
        role: hint
        for role in OPTIONS
        if hints and (hint := getattr(hints, role)) and names.key(hint) in keys
    }
    return replace(reading, **{r: h for r, h in usable.items() if getattr(reading, r) is None})


def _cleaned(records: Records, reading: Reading) -> Records:
    same: dict[str, str] = {}
    keep = bool(reading.markup)

    def cleaned(cell: str) -> str:
        if cell not in same:
            same[cell] = clean_cell(cell, markup=keep)
        return same[cell]

    rows = [{name: cleaned(cell) for name, cell in row.items()} for row in records.rows]
    changed = sum(cell.count("<") > text.count("<") for cell, text in same.items())
    texts = "1 text" if changed == 1 else f"{changed} texts"
    notes = (f"HTML in {texts} became plain (--keep-markup)",) if changed else ()
    return replace(records, rows=rows, notes=(*records.notes, *notes))


def _only(path: Path, records: Records, conditions: Sequence[str]) -> Records:
    """Leave out the rows that do not have the value that the user wants in a column."""
    by_key = {names.key(name): name for name in reversed(records.names)}
    for condition in conditions:
        name, equals, wanted = condition.partition("=")
        column = by_key.get(names.key(name))
        if not equals or column is None:
            raise UsageError(
                f"{path}: --only {condition!r}: expected COLUMN=VALUE; the columns are "
                f"{quoted(records.names)}."
            )
        reason = f"{column} is not {wanted.strip()} (--only)"
        value = _folded(wanted)
        kept: list[tuple[int, dict[str, str]]] = []
        skips = list(records.skips)
        for number, row in zip(records.numbers, records.rows, strict=True):
            if _folded(row.get(column, "")) == value:
                kept.append((number, row))
            else:
                skips.append(Skip(number, reason, wanted=True))
        if records.rows and not kept:
            values = list(dict.fromkeys(row.get(column, "") for row in records.rows))
            raise UsageError(
                f"{path}: --only {condition!r} leaves no row; {column} holds {quoted(values)}."
            )
        records = replace(
            records, rows=[row for _, row in kept], numbers=[n for n, _ in kept], skips=skips
        )
    return records


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _rows(
    records: Records, used: Reading, separator: str | None, answers: Mapping[str, str]
) -> tuple[list[Row], list[Skip]]:
    """Return a row for each phrasing, and the rows that have no answer."""
    rows: list[Row] = []
    skips: list[Skip] = []
    own = {used.question, used.answer, used.answer_id, *(used.further or ()), ""}
    for number, record in zip(records.numbers, records.rows, strict=True):
        answer_id = record.get(used.answer_id, "") if used.answer_id else ""
        answer = record.get(used.answer, "") if used.answer else answers.get(answer_id, "")
        if is_error(answer):
            skips.append(Skip(number, f"the answer is an error of Excel, {answer}"))
            continue
        if not answer and used.answer is None:
            skips.append(Skip(number, f"no answer has the id in {used.answer_id}"))
            continue
        metadata: Mapping[str, str] = {
            name: cell
            for name, cell in record.items()
            if name not in own and cell and not is_error(cell)
        }
        metadata = metadata or _NO_METADATA
        if records.merged and answer and answer == record.get(used.question or ""):
            skips.append(Skip(number, "a title: one merged cell is question and answer"))
            continue
        answer_id = "" if is_error(answer_id) else answer_id
        phrasings = list(_phrasings(record, used, separator)) or [""]
        rows += [Row(text, answer, answer_id, metadata, number) for text in phrasings]
    return rows, skips


def _phrasings(record: Mapping[str, str], used: Reading, separator: str | None) -> Iterator[str]:
    for name in (used.question, *(used.further or ())):
        cell = record.get(name, "") if name else ""
        if cell and not is_error(cell):
            yield from split_cell(cell, separator)
