"""A table's rows as answers and known questions that keep their row numbers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dotbogi.indexes.tables import Row, Table
from dotbogi.indexes.text import clean, is_valid_unicode


@dataclass(frozen=True, slots=True)
class Cell:
    """A text of one column, and all rows that have it there."""

    column: str  # question, answer, id, or the name of a column of metadata
    text: str
    rows: list[int]


@dataclass(frozen=True, slots=True)
class Question:
    """A known question, the position of its answer, and its row."""

    text: str
    answer: int
    row: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and the rows that have it."""

    text: str
    answer_id: str
    rows: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pairs:
    """What would be indexed, as `build_collection` decides it, with row numbers."""

    answers: list[Answer]
    questions: list[Question]
    # Rows whose id belongs to another text, each with the answer that has the id.
    contradictions: list[tuple[Row, Answer]]


def pairs_of(rows: Iterable[Row]) -> Pairs:
    """Return the pairs of a table's rows.

    `build_collection` raises if no row can be used, and forgets the numbers of those that can. A
    check needs both.
    """
    answers: list[Answer] = []
    by_text: dict[str, int] = {}
    by_id: dict[str, int] = {}
    questions: dict[tuple[str, int], Question] = {}
    contradictions = []
    for row in rows:
        question, text, answer_id = clean(row.question), clean(row.answer), row.answer_id
        if not text or not all(map(is_valid_unicode, (question, text, answer_id))):
            continue
        if answer_id in by_id and answers[by_id[answer_id]].text != text:
            contradictions.append((row, answers[by_id[answer_id]]))
            continue
        place = by_text.setdefault(text, len(answers))
        if place == len(answers):
            answers.append(Answer(text, answer_id))
        if answer_id:
            by_id.setdefault(answer_id, place)
        answers[place].rows.append(row.number)
        if question:
            questions.setdefault((question, place), Question(question, place, row.number))
    return Pairs(answers, list(questions.values()), contradictions)


def cells_of(table: Table) -> Iterator[Cell]:
    """Yield every different text of every column that is not empty."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in table.rows:
        fixed = {"question": row.question, "answer": row.answer, "id": row.answer_id}
        for column, text in [*fixed.items(), *row.metadata.items()]:
            if text:
                rows[column, text].append(row.number)
    for (column, text), numbers in rows.items():
        yield Cell(column, text, numbers)
