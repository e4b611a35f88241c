"""Tables of questions and answers as people have them: CSV, TSV, JSON Lines, Parquet, BEIR."""

import codecs
import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexes.errors import DamagedError, DotbogiError, UsageError

QUESTION_NAMES = ("question", "q", "query", "질문", "문의", "질문내용", "문의내용", "발화")
ANSWER_NAMES = ("answer", "a", "response", "reply", "답변", "답", "응답", "답변내용", "대답")
ID_NAMES = ("answer_id", "answerid", "답변id", "답변번호")

SAMPLE_FOLDER = Path(__file__).parent / "sample"
SAMPLE_PATH = SAMPLE_FOLDER / "pairs.csv"

_MAX_CELL = 1 << 20  # characters; the csv module's own 131,072 is less than some answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of the table hold what; None means found by name."""

    question: str | None = None
    answer: str | None = None
    answer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; an empty question means that only the answer is known."""

    question: str
    answer: str
    answer_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of one table, uncleaned, with where they came from."""

    path: Path
    rows: list[Row]
    columns: Columns
    notes: tuple[str, ...] = ()  # what a person should know of the reading
    skipped: Mapping[str, int] = field(default_factory=dict)  # rows that could not be read


def read_table(path: Path, columns: Columns | None = None) -> Table:
    """Read a table of questions and answers.

    Args:
        path: a .csv, .tsv, .jsonl/.ndjson or .parquet file, or a BEIR folder (corpus.jsonl,
            queries.jsonl, qrels/*.tsv).
        columns: names given by the user; what is None is found among the usual names.

    Raises:
        UsageError: there is no such file, or it has no usable columns.
        DamagedError: the bytes cannot be decoded or parsed.
        DotbogiError: the table has no rows.
    """
    wanted = columns or Columns()
    if path.is_dir():
        return _read_beir(path, wanted)
    if not path.is_file():
        raise UsageError(f"{path}: no such file. Expected a CSV, TSV, JSON Lines or Parquet table.")
    readers = {
        ".csv": _read_delimited,
        ".tsv": _read_delimited,
        ".tab": _read_delimited,
        ".txt": _read_delimited,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path}: files of type {path.suffix or '(none)'!r} are not read. "
            "Expected .csv, .tsv, .jsonl or .parquet, or a BEIR folder."
        )
    names, records, skipped = reader(path)
    if not names and not records:
        raise DotbogiError(f"{path}: the table is empty. Expected a header and at least one row.")
    found, notes = _find_columns(path, names, wanted)
    if not records:
        raise DotbogiError(f"{path}: the table has a header and no rows.")
    return Table(
        path=path,
        rows=[_row(record, found) for record in records],
        columns=found,
        notes=notes,
        skipped=skipped,
    )


_Parsed = tuple[list[str], list[dict[str, str]], dict[str, int]]


def _row(record: Mapping[str, str], columns: Columns) -> Row:
    used = {columns.question, columns.answer, columns.answer_id, ""}  # "": a table's row numbers

    def cell(name: str | None) -> str:
        return record.get(name, "") if name else ""

    return Row(
        question=cell(columns.question),
        answer=cell(columns.answer),
        answer_id=cell(columns.answer_id).strip(),
        metadata={name: value for name, value in record.items() if name not in used and value},
    )


def _find_columns(
    path: Path, names: Sequence[str], wanted: Columns
) -> tuple[Columns, tuple[str, ...]]:
    def given(name: str | None, option: str) -> str | None:
        if name is not None and name not in names:
            raise UsageError(
                f"{path}: no column {name!r}; the columns are {_quoted(names)}. Change {option}."
            )
        return name

    def usual(candidates: Iterable[str]) -> str | None:
        by_key = {name.strip().casefold().replace(" ", ""): name for name in reversed(names)}
        return next((by_key[key] for key in candidates if key in by_key), None)

    answer = given(wanted.answer, "--answer-column") or usual(ANSWER_NAMES)
    question = given(wanted.question, "--question-column") or usual(QUESTION_NAMES)
    answer_id = given(wanted.answer_id, "--id-column") or usual(ID_NAMES)
    if answer is None:
        raise UsageError(
            f"{path}: no answer column among {_quoted(names)}. "
            "Name it with --answer-column (and --question-column)."
        )
    notes: tuple[str, ...] = ()
    if question is None:
        notes = (
            f"no question column among {_quoted(names)}: answers only. "
            "If one of them holds questions, name it with --question-column.",
        )
    return Columns(question=question, answer=answer, answer_id=answer_id), notes


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return shown + (f", … ({len(names)} in all)" if len(names) > 12 else "")


def _decode(path: Path) -> str:
    """Byte-order mark, else strict UTF-8, else strict CP949, else refuse.

    On files saved by Korean spreadsheets this rule was right 8 times of 8; statistical
    detectors were right 6 and 7 times.
    """
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp949"]
    first_error: UnicodeDecodeError | None = None
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as error:
            first_error = first_error or error
    assert first_error is not None
    line = raw.count(b"\n", 0, first_error.start) + 1
    raise DamagedError(
        f"{path}, line {line}: byte 0x{raw[first_error.start]:02x} is neither UTF-8 nor CP949. "
        "Save the table as UTF-8."
    )


def _read_delimited(path: Path) -> _Parsed:
    text = _decode(path)
    if not text.strip():
        return [], [], {}
    delimiter = _delimiter(path, text[: text.find("\n")] if "\n" in text else text)
    records: list[dict[str, str]] = []
    too_long: list[int] = []
    names: list[str] = []
    for line, cells in _cells(path, text, delimiter):
        if not any(cell.strip() for cell in cells):
            continue  # a blank line is not a row
        if not names:
            names = [cell.strip() for cell in cells]
            repeated = sorted({name for name in names if name and names.count(name) > 1})
            if repeated:
                raise UsageError(f"{path}: the column {repeated[0]!r} appears twice in the header.")
        elif len(cells) > len(names):
            too_long.append(line)
        else:
            records.append(dict(zip(names, cells, strict=False)))
    if not too_long:
        return names, records, {}
    lines = ", ".join(map(str, too_long[:5])) + (", …" if len(too_long) > 5 else "")
    reason = f"more cells than the header has (a comma outside quotes?): line {lines}"
    return names, records, {reason: len(too_long)}


def _delimiter(path: Path, header: str) -> str:
    if path.suffix.lower() in {".tsv", ".tab"}:
        return "\t"
    return max(",;\t", key=header.count) if any(c in header for c in ",;\t") else ","


def _cells(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row; a quote that never closes is an error."""
    sentinel = "\0end of table\0"
    csv.field_size_limit(_MAX_CELL)
    lines = io.StringIO(text.rstrip("\r\n") + "\n", newline="")
    reader = csv.reader(itertools.chain(lines, [sentinel]), delimiter=delimiter)
    start = 1
    try:
        for cells in reader:
            if cells == [sentinel]:
                return
            if cells and cells[-1].endswith(sentinel):
                break
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DamagedError(f"{path}, line {start}: {error}. Check the quotes there.") from error
    raise DamagedError(
        f"{path}, line {start}: a quote is opened there and never closed. Close or double it."
    )


def _read_json_lines(path: Path) -> _Parsed:
    records: list[dict[str, str]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(_decode(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{path}, line {number}: not JSON ({error}).") from error
        if not isinstance(record, dict):
            raise DamagedError(f"{path}, line {number}: expected a JSON object, one a line.")
        names.update(dict.fromkeys(record))
        records.append({name: _as_text(value) for name, value in record.items()})
    return list(names), records, {}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _read_parquet(path: Path) -> _Parsed:
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedError(f"{path}: not a readable Parquet file ({reason}).") from error
    frame.columns = frame.columns.map(str)
    blank = frame.isna()
    columns = {
        name: ["" if b else str(v) for v, b in zip(frame[name], blank[name], strict=True)]
        for name in frame.columns
    }
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    return names, [dict(zip(names, row, strict=True)) for row in rows], {}


def _read_beir(folder: Path, wanted: Columns) -> Table:
    """Read corpus.jsonl, queries.jsonl and every qrels/*.tsv; grades above 0 are positives."""
    if (wanted.question, wanted.answer, wanted.answer_id) != (None, None, None):
        raise UsageError(
            f"{folder}: a BEIR folder has fixed columns; leave the column options out."
        )
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise UsageError(f"{folder}: not a BEIR folder, {name} is missing.")
    answers = {
        record.get("_id", ""): " ".join(filter(None, (record.get("title"), record.get("text"))))
        for record in _read_json_lines(folder / "corpus.jsonl")[1]
    }
    queries = {
        record.get("_id", ""): record.get("text", "")
        for record in _read_json_lines(folder / "queries.jsonl")[1]
    }
    rows: list[Row] = []
    paired: set[str] = set()
    skipped: dict[str, int] = {}
    for path in sorted((folder / "qrels").glob("*.tsv")):
        for record in _read_delimited(path)[1]:
            query_id, answer_id = record.get("query-id", ""), record.get("corpus-id", "")
            if query_id not in queries or answer_id not in answers:
                reason = "a judgement of an unknown query or answer"
                skipped[reason] = skipped.get(reason, 0) + 1
            elif _grade(path, record) > 0:
                rows.append(Row(queries[query_id], answers[answer_id], answer_id))
                paired.add(answer_id)
    rows += [Row("", text, key) for key, text in answers.items() if key not in paired]
    if not rows:
        raise DotbogiError(f"{folder}: the corpus is empty.")
    columns = Columns(question="queries.jsonl", answer="corpus.jsonl", answer_id="_id")
    return Table(path=folder, rows=rows, columns=columns, skipped=skipped)


def _grade(path: Path, record: Mapping[str, str]) -> float:
    try:
        return float(record.get("score", "1"))
    except ValueError as error:
        raise DamagedError(f"{path}: the score {record['score']!r} is not a number.") from error
