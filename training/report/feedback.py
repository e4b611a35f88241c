"""What users' votes came to in a run, and how the questions that came from them fare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from statistics import fmean
from typing import Any

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.text import same_text_key
from dotbogi.training.judgements.feedback import read_feedback
from dotbogi.training.measure.outcomes import Outcomes

SHOWN = 10  # conflicts


@dataclass(frozen=True, slots=True)
class Conflict:
    """An answer to a query that as many users called right as wrong."""

    query: str
    answer: str
    votes: int  # right, and as many wrong


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions that came from feedback: mean MRR@10 of the hybrid."""

    what: str  # "questions in folds" or "held-out questions"
    queries: int
    before: float  # of round 0
    after: float  # of the kept round; round 0's again if no round was kept


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """What the report tells of a run with feedback."""

    counts: Mapping[str, Any]  # as the ledger has them
    negatives: int  # mined in the first round from answers called wrong
    conflicts: list[Conflict]
    asked: list[Asked]  # those without such a question are left out


def read_feedback_report(
    folder: Path,
    collection: Collection,
    yields: Mapping[str, Mapping[str, int]],
    looks: Mapping[str, Sequence[Outcomes]],
) -> FeedbackReport | None:
    """Return what a run made of feedback; None for a run without.

    Args:
        folder: of the run.
        collection: split.
        yields: of the first round's mining, by source.
        looks: the outcomes before and after, by what the questions are.
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
        asked=[found for what, pair in looks.items() if (found := _asked(what, pair, keys))],
    )


def _asked(what: str, looks: Sequence[Outcomes], keys: set[str]) -> Asked | None:
    marks = [same_text_key(query) in keys for query in looks[0].queries]
    if not any(marks):
        return None
    means = [fmean(compress(each.scores["hybrid"]["MRR@10"], marks)) for each in looks]
    return Asked(what, sum(marks), means[0], means[-1])
