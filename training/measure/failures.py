"""The queries whose right answer does not come first, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dotbogi.indexes.hits import Ranking
from dotbogi.search.known_questions import Query
from dotbogi.search.searcher import Searcher
from dotbogi.training.measure.causes import Case, causes_of
from dotbogi.training.measure.evaluation import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A query, its right answer, and what the hybrid put before it."""

    question: str
    right_id: str  # of several right answers, the one that ranks highest
    right: str
    rank: int | None  # of the right answer; None: not among the first DEPTH
    first_id: str | None  # None: nothing was found
    first: str | None
    known_question: str | None  # of the first answer: the one that matched
    confidence: float  # in the first answer
    why: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the failure as a JSON object."""
        return {**asdict(self), "confidence": round(self.confidence, 4)}


def failures_of(
    searcher: Searcher, evaluation: Evaluation, most: int | None = None
) -> list[Failure]:
    """Return the failures of hybrid search, worst first.

    The worst are those whose right answer is not found, then those where it ranks lowest, and
    among equals those with the highest confidence in the wrong answer.

    Args:
        searcher: the generation that was evaluated.
        evaluation: of this searcher.
        most: how many to return; None for all.
    """
    failed = [i for i, is_right in enumerate(evaluation.first_is_right()) if not is_right]
    right = {i: _right(evaluation.queries[i], evaluation.hybrid[i]) for i in failed}

    def badness(i: int) -> tuple[float, float]:
        return -(right[i][1] or float("inf")), -evaluation.confidence[i]

    worst = sorted(failed, key=badness)[:most]
    cases = [_case(evaluation.queries[i].text, *right[i], evaluation.hybrid[i]) for i in worst]
    texts = {id_: answer.text for id_, answer in searcher.index.answers.items()}
    return [
        _failure(case, evaluation.confidence[i], why, texts)
        for i, case, why in zip(worst, cases, causes_of(searcher, cases), strict=True)
    ]


def _case(question: str, right_id: str, rank: int | None, ranking: Ranking) -> Case:
    first = ranking[0] if ranking else None
    lead = first.score - ranking[rank - 1].score if first and rank else None
    return Case(question, right_id, rank, first, lead)


def _failure(case: Case, confidence: float, why: list[str], texts: Mapping[str, str]) -> Failure:
    first = case.first
    return Failure(
        question=case.question,
        right_id=case.right_id,
        right=texts[case.right_id],
        rank=case.rank,
        first_id=first.answer_id if first else None,
        first=texts[first.answer_id] if first else None,
        known_question=first.question if first else None,
        confidence=confidence,
        why=why,
    )


def _right(query: Query, ranking: Ranking) -> tuple[str, int | None]:
    """Return the right answer that ranks highest, and its rank; None if none is ranked."""
    right = {answer_id for answer_id, grade in query.grades.items() if grade > 0}
    for rank, candidate in enumerate(ranking, 1):
        if candidate.answer_id in right:
            return candidate.answer_id, rank
    return min(right), None
