"""Read tables of questions and answers: CSV, TSV, JSON Lines, Parquet, BEIR."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.tables.records import quoted, read_delimited, read_json_lines, read_records
from dotbogi.indexes.tables.table import Columns, Row, Skip, Table

QUESTION_NAMES = ("question", "q", "query", "질문", "문의", "질문내용", "문의내용", "발화")
ANSWER_NAMES = ("answer", "a", "response", "reply", "답변", "답", "응답", "답변내용", "대답")
ID_NAMES = ("answer_id", "answerid", "답변id", "답변번호")

SAMPLE_FOLDER = Path(__file__).parent.parent / "sample"
SAMPLE_PATH = SAMPLE_FOLDER / "pairs.csv"


def read_table(path: Path, columns: Columns | None = None) -> Table:
    """Read a table of questions and answers.

    Args:
        path: a .csv, .tsv, .jsonl/.ndjson or .parquet file, or a BEIR folder (corpus.jsonl,
            queries.jsonl, qrels/*.tsv).
        columns: names given by the user; None finds a column by its usual names.

    Raises:
        UsageError: the file does not exist or has no usable columns.
        DamagedError: the bytes cannot be decoded or parsed.
        DotbogiError: the table has no rows.
    """
    wanted = columns or Columns()
    if path.is_dir():
        return _read_beir(path, wanted)
    records = read_records(path)
    resolved, notes = _find_columns(path, records.names, wanted)
    return Table(
        path=path,
        rows=[
            _row(record, resolved, number)
            for record, number in zip(records.rows, records.numbers, strict=True)
        ],
        columns=resolved,
        notes=notes,
        skips=tuple(records.skips),
    )


def _row(record: Mapping[str, str], columns: Columns, number: int) -> Row:
    used = {columns.question, columns.answer, columns.answer_id, ""}  # "": row numbers

    def cell(name: str | None) -> str:
        return record.get(name, "") if name else ""

    return Row(
        question=cell(columns.question),
        answer=cell(columns.answer),
        answer_id=cell(columns.answer_id).strip(),
        metadata={name: value for name, value in record.items() if name not in used and value},
        number=number,
    )


def _find_columns(path: Path, names: list[str], wanted: Columns) -> tuple[Columns, tuple[str, ...]]:
    def given(name: str | None, option: str) -> str | None:
        if name is not None and name not in names:
            raise UsageError(
                f"{path}: no column {name!r}; the columns are {quoted(names)}. Change {option}."
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
            f"{path}: no answer column among {quoted(names)}. "
            "Name it with --answer-column (and --question-column)."
        )
    notes: tuple[str, ...] = ()
    if question is None:
        notes = (
            f"no question column among {quoted(names)}: only answers are read. "
            "If a column holds questions, name it with --question-column.",
        )
    return Columns(question=question, answer=answer, answer_id=answer_id), notes


def _read_beir(folder: Path, wanted: Columns) -> Table:
    """Read corpus.jsonl, queries.jsonl and every qrels/*.tsv; grades above 0 are positives."""
    if (wanted.question, wanted.answer, wanted.answer_id) != (None, None, None):
        raise UsageError(
            f"{folder}: a BEIR folder has fixed columns; leave the column options out."
        )
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise UsageError(f"{folder}: not a BEIR folder: {name} is missing.")
    answers = {
        record.get("_id", ""): " ".join(filter(None, (record.get("title"), record.get("text"))))
        for record in read_json_lines(folder / "corpus.jsonl").rows
    }
    queries = {
        record.get("_id", ""): record.get("text", "")
        for record in read_json_lines(folder / "queries.jsonl").rows
    }
    rows: list[Row] = []
    paired: set[str] = set()
    skips: list[Skip] = []
    for path in sorted((folder / "qrels").glob("*.tsv")):
        judgements = read_delimited(path)
        for number, record in zip(judgements.numbers, judgements.rows, strict=True):
            query_id, answer_id = record.get("query-id", ""), record.get("corpus-id", "")
            if query_id not in queries or answer_id not in answers:
                skips.append(Skip(number, "a judgement for an unknown query or answer"))
            elif _grade(path, record) > 0:
                rows.append(Row(queries[query_id], answers[answer_id], answer_id, number=number))
                paired.add(answer_id)
    rows += [Row("", text, key) for key, text in answers.items() if key not in paired]
    if not rows:
        raise DotbogiError(f"{folder}: the corpus is empty. Expected one answer or more.")
    columns = Columns(question="queries.jsonl", answer="corpus.jsonl", answer_id="_id")
    return Table(path=folder, rows=rows, columns=columns, skips=tuple(skips))


def _grade(path: Path, record: Mapping[str, str]) -> float:
    try:
        return float(record.get("score", "1"))
    except ValueError as error:
        raise DamagedError(f"{path}: the score {record['score']!r} is not a number.") from error
