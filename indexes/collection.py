"""The collection: cleaned answers and their known questions."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.files import reading, write_parquet
from dotbogi.indexes.json_files import MOST_VALUES, parse_json
from dotbogi.indexes.parquet import NUMBERS, TEXTS, read_parquet
from dotbogi.indexes.shapes import fits
from dotbogi.indexes.tables.table import Origin, Row, Skip, Table
from dotbogi.indexes.text import clean, is_valid_unicode, same_text_key

Split = Literal["train", "dev", "test"]
_SHOWN = 5  # row numbers for each reason
_ANSWERS = dict.fromkeys(("id", "text", "metadata", "aliases"), TEXTS)
_QUESTIONS = {
    **dict.fromkeys(("text", "answer_id", "split", "origin"), TEXTS),
    **dict.fromkeys(("preferred", "opposed"), NUMBERS),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: a stable id, its text, and any metadata."""

    id: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()  # other ids: of rows with the same text, or earlier ones


@dataclass(frozen=True, slots=True)
class KnownQuestion:
    """A question paired with an answer; `split` is its role in the published model's training."""

    text: str
    answer_id: str
    split: Split | None = None
    origin: Origin | None = None  # None: from the table
    preferred: int = 0  # how many users chose this answer for the question
    opposed: int = 0  # how many users call it wrong; 0 unless some user chose it


def pair_key(question: str, answer_id: str) -> tuple[str, str]:
    """Return a key that all variants of a question with the same answer share."""
    return same_text_key(question), answer_id


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of a table: read = kept + merged + skipped."""

    read: int
    kept: int
    merged: int
    skips: Sequence[Skip] = ()
    aliases: int = 0  # ids of rows whose text has another id already

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
        if self.aliases:
            lines.append(f"  {self.aliases} ids belong to a text that has another id: one answer")
        return lines


@dataclass(frozen=True, slots=True)
class Collection:
    """Answers, in order of id, and known questions, in table order."""

    answers: list[Answer]
    questions: list[KnownQuestion]
    # Answers that are no longer searched, with what users taught about them.
    removed: "Collection | None" = None

    def only(self, splits: Sequence[Split]) -> "Collection":
        """Return a collection with all answers but only the known questions of these splits."""
        return replace(self, questions=[q for q in self.questions if q.split in splits])

    def ids(self) -> dict[str, str]:
        """Return the id of an answer by each id that it has or had."""
        by_alias = {alias: answer.id for answer in self.answers for alias in answer.aliases}
        return by_alias | {answer.id: answer.id for answer in self.answers}

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
    """Return the collection of a table, and what became of its rows.

    Texts are put in NFC and trimmed, exact duplicates merged, and unusable rows skipped. An answer
    without an id gets one derived from its text, so that the same text has the same id in every
    later table.

    Raises:
        DotbogiError: no row can be used.
    """
    building = _Building()
    skips = list(table.skips)
    kept = merged = read = 0
    for number, rows in itertools.groupby(enumerate(table.rows), _row_of_file):
        read += 1
        group = [row for _, row in rows]
        reason = building.refuses(group[0])
        if reason:
            skips.append(Skip(number[1], reason))
        elif any([building.add(row) for row in group]):
            kept += 1
        else:
            merged += 1
    answers = building.answers
    counts = Counts(read + len(table.skips), kept, merged, skips, len(building.aliases))
    if not answers:
        why = "; ".join(f"{count} × {reason}" for reason, count in counts.skipped().items())
        raise DotbogiError(
            f"{table.path}: none of the {counts.read} rows can be used ({why}). "
            f"Answers were read from column {table.columns.answer!r}; "
            "name another with --answer-column."
        )
    return building.collection(), counts


def _row_of_file(numbered: tuple[int, Row]) -> tuple[int, int]:
    """Return a key that is equal for the phrasings of one row of the file."""
    position, row = numbered
    return (0, row.number) if row.number else (position + 1, 0)


class _Building:
    """The collection that grows row by row."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.questions: dict[tuple[str, str], KnownQuestion] = {}
        self.aliases: dict[str, str] = {}  # id → the id that the same text has already
        self._ids: dict[str, str] = {}  # text → id

    def refuses(self, row: Row) -> str:
        """Return why a row cannot be used; "" if it can."""
        answer = clean(row.answer)
        if not answer:
            return "the answer is blank"
        if not all(map(is_valid_unicode, (row.question, answer, row.answer_id))):
            return "not valid Unicode"
        if row.answer_id in self.answers and self.answers[row.answer_id].text != answer:
            return "its answer id belongs to another text"
        if row.answer_id in self.aliases and self.aliases[row.answer_id] != self._ids.get(answer):
            return "its answer id belongs to another text"
        return ""

    def add(self, row: Row) -> bool:
        """Add a row; return whether it brings an answer or a question."""
        question, text = clean(row.question), clean(row.answer)
        if not is_valid_unicode(question):
            return False
        known = self._ids.get(text)
        answer_id = known or row.answer_id or id_of(text)
        if known and row.answer_id not in ("", known):
            self.aliases[row.answer_id] = known
        if not known:
            self._ids[text] = answer_id
            self.answers[answer_id] = Answer(answer_id, text, _clean_metadata(row))
        is_new = bool(question) and (question, answer_id) not in self.questions
        if is_new:
            self.questions[question, answer_id] = KnownQuestion(
                question, answer_id, None, row.origin, row.preferred, row.opposed
            )
        return is_new or not known

    def collection(self) -> Collection:
        """Return the answers in order of id, and the questions in order of the table."""
        aliases: dict[str, list[str]] = {}
        for alias, answer_id in self.aliases.items():
            aliases.setdefault(answer_id, []).append(alias)
        answers = [
            replace(answer, aliases=tuple(aliases.get(answer.id, ())))
            for answer in sorted(self.answers.values(), key=lambda answer: answer.id)
        ]
        return Collection(answers, list(self.questions.values()))


def id_of(text: str) -> str:
    """Return the id of an answer whose table states none."""
    return "a" + hashlib.sha256(text.encode()).hexdigest()[:15]


def _clean_metadata(row: Row) -> dict[str, str]:
    cleaned = {clean(name): clean(value) for name, value in row.metadata.items()}
    return {
        name: value
        for name, value in cleaned.items()
        if value and is_valid_unicode(name) and is_valid_unicode(value)
    }


def save_collection(collection: Collection, folder: Path) -> None:
    """Write answers.parquet (id, text, metadata and aliases as JSON) and questions.parquet.

    Removed answers are in removed_answers.parquet and removed_questions.parquet.
    """
    _save(collection, folder, "")
    if collection.removed:
        _save(collection.removed, folder, "removed_")


def _save(collection: Collection, folder: Path, prefix: str) -> None:
    answers = collection.answers
    _write_parquet(
        folder / f"{prefix}answers.parquet",
        {
            "id": [answer.id for answer in answers],
            "text": [answer.text for answer in answers],
            "metadata": [_canonical(answer.metadata) for answer in answers],
            "aliases": [_canonical(answer.aliases) for answer in answers],
        },
    )
    questions = collection.questions
    _write_parquet(
        folder / f"{prefix}questions.parquet",
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
    collection = _open(folder, "")
    if (folder / "removed_answers.parquet").exists():
        return replace(collection, removed=_open(folder, "removed_"))
    return collection


def _open(folder: Path, prefix: str) -> Collection:
    answers = read_parquet(folder / f"{prefix}answers.parquet", _ANSWERS)
    questions = read_parquet(folder / f"{prefix}questions.parquet", _QUESTIONS)
    path = folder / f"{prefix}answers.parquet"
    with reading(path):
        opened = _answers(answers, MOST_VALUES + path.stat().st_size)
    with reading(folder / f"{prefix}questions.parquet"):
        count = len(questions["text"])  # older generations lack the last three columns
        columns = (
            questions["text"],
            questions["answer_id"],
            questions["split"],
            questions.get("origin", [None] * count),
            questions.get("preferred", [0] * count),
            questions.get("opposed", [0] * count),
        )
        known = [KnownQuestion(*row) for row in zip(*columns, strict=True)]
        if not all(map(_is_whole, known)):
            raise ValueError("a question without a text, an answer or counts")
        return Collection(opened, known)


def _answers(columns: Mapping[str, list[Any]], most: int) -> list[Answer]:
    """Return the answers.

    Args:
        columns: those of the Parquet file.
        most: values of metadata and aliases that answers do not share.

    Raises:
        ValueError: a column is missing, or holds something else.
    """
    aliases = columns.get("aliases", ["[]"] * len(columns["id"]))
    metadata = _parsed(columns["metadata"], dict[str, str], most)
    others = _parsed(aliases, list[str], most)
    answers = [
        Answer(id_, text, metadata[packed], tuple(others[alias]))
        for id_, text, packed, alias in zip(
            columns["id"], columns["text"], columns["metadata"], aliases, strict=True
        )
    ]
    if not all(answer.id and answer.text for answer in answers):
        raise ValueError("an answer without id or text")
    if len({answer.id for answer in answers}) < len(answers):
        raise ValueError("two answers of one id")
    return answers


def _parsed(texts: Sequence[str], kind: Any, most: int) -> dict[str, Any]:
    """Return the value of each JSON text."""
    values: dict[str, Any] = {}
    for text in texts:
        if text not in values:
            value = values[text] = parse_json(text.encode(), most)
            if not fits(value, kind):
                raise ValueError(f"expected {kind}")
            most -= len(value)
    return values


def _is_whole(question: KnownQuestion) -> bool:
    return (
        bool(question.text and question.answer_id)
        and question.split in (None, *get_args(Split))
        and question.origin in (None, *get_args(Origin))
        and min(question.preferred, question.opposed) >= 0
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _write_parquet(path: Path, columns: Mapping[str, Sequence[str | int | None]]) -> None:
    import pyarrow as pa

    types = {"preferred": pa.int64(), "opposed": pa.int64()}
    arrays = {
        name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()
    }
    write_parquet(path, pa.table(arrays), compression="zstd")
