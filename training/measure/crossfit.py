"""Every question measured by what was learned without it."""

from collections.abc import Sequence
from dataclasses import dataclass

from dotbogi.search.fitted import Fitted
from dotbogi.search.known_questions import Asked, fit
from dotbogi.training.measure.evaluation import Evaluation, joined, score

_PARTS = 5  # of a single fold


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """The evaluation of all queries, and what they teach together."""

    evaluation: Evaluation  # of each query with weights and confidence fitted on other folds
    fitted: Fitted  # on all of them: what is published


def out_of_fold(folds: Sequence[Asked]) -> OutOfFold:
    """Score each fold with weights and confidence fitted on the others.

    Args:
        folds: what an index has found that knows neither the queries of the fold nor anything
            that was learned from them. Of a single fold five parts are made.
    """
    parts = list(folds) if len(folds) > 1 else _divided(folds[0])
    what = "questions, each by what was learned without it"
    evaluations = []
    for place, part in enumerate(parts):
        others = fit([*parts[:place], *parts[place + 1 :]], what)
        evaluations.append(score(part.queries, part.found, others))
    return OutOfFold(joined(evaluations), fit(parts, what))


def _divided(fold: Asked) -> list[Asked]:
    """Return a fold in parts, which then stand for folds."""
    parts = [slice(start, None, _PARTS) for start in range(_PARTS)]
    return [
        Asked(fold.queries[s], fold.found[s], fold.cut[s], fold.found_for_cut[s])
        for s in parts
        if fold.queries[s]
    ]
