"""What a generation holds, answer by answer, for an engine that has one document per answer."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dotbogi.indexes.collection import Answer
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.views import owners_of_questions
from dotbogi.search.index import SearchIndex

_AT_ONCE = 1000  # answers
_DECIMALS = 8  # of the numbers of a unit vector: as exact as float32


@dataclass(frozen=True, slots=True)
class Content:
    """One answer with its known questions and their vectors."""

    position: int  # in the collection; the row in each view of answers
    answer: Answer
    rows: list[int]  # of its known questions
    questions: list[str]
    vector: list[float]
    whole: list[float]
    question_vectors: list[list[float]]


def contents(index: SearchIndex) -> Iterator[Content]:
    """Yield the answers of an index in their order."""
    answers, questions = index.collection.answers, index.collection.questions
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, owner in enumerate(owners_of_questions(index.collection)):
        rows_of[owner].append(row)
    for start in range(0, len(answers), _AT_ONCE):
        positions = range(start, min(start + _AT_ONCE, len(answers)))
        rows = [row for position in positions for row in rows_of[position]]
        of_question = dict(zip(rows, _vectors(index, "question", rows), strict=True))
        of_answer = _vectors(index, "answer", positions)
        of_whole = _vectors(index, "whole", positions)
        for position, vector, whole in zip(positions, of_answer, of_whole, strict=True):
            own = rows_of[position]
            yield Content(
                position=position,
                answer=answers[position],
                rows=own,
                questions=[questions[row].text for row in own],
                vector=vector,
                whole=whole,
                question_vectors=[of_question[row] for row in own],
            )


def check_exportable(index: SearchIndex) -> None:
    """Refuse an index whose BM25 an engine cannot have.

    Raises:
        UsageError: it was made by rank-bm25.
    """
    if index.config.bm25 != "bm25s":
        raise UsageError(
            "the collection is indexed with rank-bm25; expected bm25s, whose scores are those of "
            "Lucene's BM25. Index it again: dotbogi index TABLE --bm25 bm25s"
        )


def numbers(vector: Vectors) -> list[float]:
    """Return the numbers of a vector, short enough to be read."""
    rounded: list[float] = vector.astype(np.float64).round(_DECIMALS).tolist()
    return rounded


def _vectors(index: SearchIndex, view: str, rows: range | list[int]) -> list[list[float]]:
    dense = index.views[view].dense
    assert dense is not None
    if not len(rows):
        return []
    return [numbers(vector) for vector in dense.vectors(np.asarray(rows, np.int64))]
