"""BEIR folders: corpus.jsonl, queries.jsonl and qrels/*.tsv."""

import json
from collections.abc import Mapping
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.tables.objects import read_json_lines
from dotbogi.indexes.tables.records import read_records
from dotbogi.indexes.tables.table import Reading, Row, Skip, Table


def read_beir(folder: Path) -> Table:
    """Read corpus.jsonl, queries.jsonl and every qrels/*.tsv; grades above 0 are positives."""
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise UsageError(f"{folder}: not a BEIR folder: {name} is missing.")
    corpus = read_json_lines(folder / "corpus.jsonl").rows
    answers = {
        record.get("_id", ""): " ".join(filter(None, (record.get("title"), record.get("text"))))
        for record in corpus
    }
    fields = {record.get("_id", ""): _metadata(record.get("metadata", "")) for record in corpus}
    queries = {
        record.get("_id", ""): record.get("text", "")
        for record in read_json_lines(folder / "queries.jsonl").rows
    }
    rows: list[Row] = []
    paired: set[str] = set()
    judged: set[str] = set()
    skips: list[Skip] = []
    last = 0  # rows are numbered through all files
    for path in sorted((folder / "qrels").glob("*.tsv")):
        judgements = read_records(path, Reading(header=1))
        for number, record in zip(judgements.numbers, judgements.rows, strict=True):
            query_id, answer_id = record.get("query-id", ""), record.get("corpus-id", "")
            number += last
            if query_id not in queries or answer_id not in answers:
                skips.append(Skip(number, "a judgement for an unknown query or answer"))
            elif _grade(path, record) > 0:
                rows.append(
                    Row(queries[query_id], answers[answer_id], answer_id, fields[answer_id], number)
                )
                paired.add(answer_id)
                judged.add(query_id)
        last += max(judgements.numbers, default=0)
    rows += [Row("", text, key, fields[key]) for key, text in answers.items() if key not in paired]
    if not rows:
        raise DotbogiError(f"{folder}: the corpus is empty. Expected one answer or more.")
    columns = Reading(question="queries.jsonl", answer="corpus.jsonl", answer_id="_id")
    left_out = len(queries.keys() - judged)
    notes = (f"{left_out} queries have no judgement above 0 and are left out",) if left_out else ()
    return Table(path=folder, rows=rows, columns=columns, notes=notes, skips=tuple(skips))


def _metadata(text: str) -> dict[str, str]:
    """Return a document's metadata, as far as it is an object of strings."""
    value = json.loads(text) if text.startswith("{") else {}
    return {name: cell for name, cell in value.items() if isinstance(cell, str)}


def _grade(path: Path, record: Mapping[str, str]) -> float:
    try:
        return float(record.get("score", "1"))
    except ValueError as error:
        raise DamagedError(f"{path}: the score {record['score']!r} is not a number.") from error
