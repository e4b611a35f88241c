"""Users' votes in a run: their counts, and the metrics of the questions that came from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from statistics import fmean
from typing import Any

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.text import same_text_key
from dotbogi.training.judgements.feedback import read_feedback
from dotbogi.training.measure.metrics import GATE_METRIC
from dotbogi.training.measure.outcomes import Outcomes

SHOWN = 10  # conflicts


@dataclass(frozen=True, slots=True)
class Conflict:
    """An answer to a query that equally many users called right and wrong."""

    query: str
    answer: str
    votes: int  # right, and the same number wrong


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions that came from feedback: mean MRR@10 of the hybrid."""

    what: str  # "questions in folds" or "held-out questions"
    queries: int
    before: float  # of round 0
    after: float  # of the kept round, or of round 0 if none was kept


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """The feedback in the report of a run."""

    counts: Mapping[str, Any]  # as in the ledger
    negatives: int  # mined in the first round from answers called wrong
    conflicts: list[Conflict]
    asked: list[Asked]  # kinds without such questions are left out


def read_feedback_report(
    folder: Path,
    collection: Collection,
    yields: Mapping[str, Mapping[str, int]],
    outcomes: Mapping[str, Sequence[Outcomes]],
) -> FeedbackReport | None:
    """Return what a run made of feedback; None for a run without feedback.

    Args:
        folder: the run's folder.
        collection: its questions have splits.
        yields: yields of the first round's mining, by source.
        outcomes: before and after, by the kind of questions.
    """
    stored = read_feedback(folder)
    if stored is None:
        return None
    texts = {answer.id: answer.text for answer in collection.answers}
    keys = {same_text_key(q.text) for q in collection.questions if q.origin == "feedback"}
    return FeedbackReport(
        counts=stored["counts"],
        negatives=yields.get("feedback", {}).get("kept", 0),
        conflicts=[
            Conflict(poll["query"], texts[poll["answer_id"]], poll["right"])
            for poll in stored["conflicts"][:SHOWN]
        ],
        asked=[asked for what, pair in outcomes.items() if (asked := _asked(what, pair, keys))],
    )


def _asked(what: str, outcomes: Sequence[Outcomes], keys: set[str]) -> Asked | None:
    marks = [same_text_key(query) in keys for query in outcomes[0].queries]
    if not any(marks):
        return None
    means = [fmean(compress(part.scores["hybrid"][GATE_METRIC], marks)) for part in outcomes]
    return Asked(what, sum(marks), means[0], means[-1])
