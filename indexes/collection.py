"""The collection: cleaned answers and their known questions."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.tables.table import Row, Skip, Table
from dotbogi.indexes.text import clean, is_valid_unicode, same_text_key

Split = Literal["train", "dev", "test"]
Origin = Literal["feedback"]
_SHOWN = 5  # row numbers for each reason


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: a stable id, its text, and any metadata."""

    id: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownQuestion:
    """A question paired with an answer; `split` is its role in the published model's training."""

    text: str
    answer_id: str
    split: Split | None = None
    origin: Origin | None = None  # None: from the table or a review
    preferred: int = 0  # how many users chose this answer for the question
    opposed: int = 0  # how many users call it wrong; only if any chose it


def pair_key(question: str, answer_id: str) -> tuple[str, str]:
    """Return a key that is equal for all variants of a question paired with one answer."""
    return same_text_key(question), answer_id


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of a table: read = kept + merged + skipped."""

    read: int
    kept: int
    merged: int
    skips: Sequence[Skip] = ()

    def skipped(self) -> dict[str, int]:
        """Return the number of skipped rows by reason."""
        return dict(Counter(skip.reason for skip in self.skips))

    def to_json(self) -> dict[str, Any]:
        """Return the counts as a JSON object."""
        kept = {"read": self.read, "kept": self.kept, "merged": self.merged}
        return {**kept, "skipped": self.skipped()}

    def lines(self) -> list[str]:
        """Return the counts as lines of text, each reason with the first rows that it concerns."""
        lines = [
            f"rows: {self.read} read = {self.kept} kept + {self.merged} merged "
            f"+ {len(self.skips)} skipped"
        ]
        for reason, count in self.skipped().items():
            numbers = [str(skip.number) for skip in self.skips if skip.reason == reason]
            shown = ", ".join(numbers[:_SHOWN]) + (", …" if count > _SHOWN else "")
            lines.append(f"  skipped {count}: {reason} (row{'s' * (count > 1)} {shown})")
        return lines


@dataclass(frozen=True, slots=True)
class Collection:
    """Answers, in order of id, and known questions, in table order."""

    answers: list[Answer]
    questions: list[KnownQuestion]

    def only(self, splits: Sequence[Split]) -> "Collection":
        """Return the collection with all answers and the known questions of these splits."""
        return replace(self, questions=[q for q in self.questions if q.split in splits])

    def holds(self, other: "Collection") -> bool:
        """Return whether this collection has all answers and pairs of another one.

        Variants of a question count as the same.
        """
        mine = {(answer.id, answer.text) for answer in self.answers}
        pairs = {pair_key(q.text, q.answer_id) for q in self.questions}
        return all((a.id, a.text) in mine for a in other.answers) and all(
            pair_key(q.text, q.answer_id) in pairs for q in other.questions
        )

    def digest(self) -> str:
        """Return a digest of the answers and the pairs, independent of their order and splits."""
        pairs = sorted({(q.text, q.answer_id) for q in self.questions})
        answers = sorted((a.id, a.text, _canonical(a.metadata)) for a in self.answers)
        return hashlib.sha256(_canonical([answers, pairs]).encode()).hexdigest()[:16]


def build_collection(table: Table) -> tuple[Collection, Counts]:
    """Clean a table's rows: NFC, trimmed, exact duplicates merged, unusable rows counted.

    An answer without an id gets one derived from its text, so that the same text has the same id
    in every later table.

    Raises:
        DotbogiError: no row can be used.
    """
    answers: dict[str, Answer] = {}
    questions: dict[tuple[str, str], KnownQuestion] = {}
    skips = list(table.skips)
    kept = merged = 0
    for row in table.rows:
        question, answer_text, answer_id = clean(row.question), clean(row.answer), row.answer_id
        reason = _unusable(question, answer_text, answer_id, answers)
        if reason:
            skips.append(Skip(row.number, reason))
            continue
        answer_id = answer_id or _id_of(answer_text)
        new_answer = answer_id not in answers
        new_question = bool(question) and (question, answer_id) not in questions
        if new_answer:
            answers[answer_id] = Answer(answer_id, answer_text, _clean_metadata(row))
        if new_question:
            questions[question, answer_id] = KnownQuestion(question, answer_id)
        if new_answer or new_question:
            kept += 1
        else:
            merged += 1
    counts = Counts(len(table.rows) + len(table.skips), kept, merged, skips)
    if not answers:
        why = "; ".join(f"{count} × {reason}" for reason, count in counts.skipped().items())
        raise DotbogiError(
            f"{table.path}: none of the {counts.read} rows can be used ({why}). "
            f"Answers were read from column {table.columns.answer!r}; "
            "name another with --answer-column."
        )
    ordered = sorted(answers.values(), key=lambda answer: answer.id)
    return Collection(ordered, list(questions.values())), counts


def _unusable(question: str, answer: str, answer_id: str, answers: Mapping[str, Answer]) -> str:
    if not answer:
        return "the answer is blank"
    if not all(map(is_valid_unicode, (question, answer, answer_id))):
        return "not valid Unicode"
    if answer_id in answers and answers[answer_id].text != answer:
        return "its answer id belongs to another text"
    return ""


def _id_of(text: str) -> str:
    return "a" + hashlib.sha256(text.encode()).hexdigest()[:15]


def _clean_metadata(row: Row) -> dict[str, str]:
    cleaned = {clean(name): clean(value) for name, value in row.metadata.items()}
    return {
        name: value
        for name, value in cleaned.items()
        if value and is_valid_unicode(name) and is_valid_unicode(value)
    }


def save_collection(collection: Collection, folder: Path) -> None:
    """Write answers.parquet (id, text, metadata as JSON) and questions.parquet."""
    answers = collection.answers
    _write_parquet(
        folder / "answers.parquet",
        {
            "id": [answer.id for answer in answers],
            "text": [answer.text for answer in answers],
            "metadata": [_canonical(answer.metadata) for answer in answers],
        },
    )
    questions = collection.questions
    _write_parquet(
        folder / "questions.parquet",
        {
            "text": [question.text for question in questions],
            "answer_id": [question.answer_id for question in questions],
            "split": [question.split for question in questions],
            "origin": [question.origin for question in questions],
            "preferred": [question.preferred for question in questions],
            "opposed": [question.opposed for question in questions],
        },
    )


def open_collection(folder: Path) -> Collection:
    """Read what `save_collection` wrote."""
    answers = _read_parquet(folder / "answers.parquet")
    questions = _read_parquet(folder / "questions.parquet")
    count = len(questions["text"])  # older generations lack the columns about users
    return Collection(
        [
            Answer(id_, text, json.loads(metadata))
            for id_, text, metadata in zip(
                answers["id"], answers["text"], answers["metadata"], strict=True
            )
        ],
        [
            KnownQuestion(*row)
            for row in zip(
                questions["text"],
                questions["answer_id"],
                questions["split"],
                questions.get("origin", [None] * count),
                questions.get("preferred", [0] * count),
                questions.get("opposed", [0] * count),
                strict=True,
            )
        ],
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _write_parquet(path: Path, columns: Mapping[str, Sequence[str | int | None]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"preferred": pa.int64(), "opposed": pa.int64()}
    arrays = {
        name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()
    }
    pq.write_table(pa.table(arrays), path, compression="zstd")


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet as pq

    # pq.read_table would import pyarrow.dataset and pandas, which takes half a second.
    columns: dict[str, list[Any]] = pq.ParquetFile(path).read().to_pydict()
    return columns
