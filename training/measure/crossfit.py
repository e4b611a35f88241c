"""Cross-fitting: each query is scored with weights and confidence fitted on others."""

from collections.abc import Sequence
from dataclasses import dataclass

from dotbogi.search.fitted import Fitted
from dotbogi.search.known_questions import Asked, fit
from dotbogi.training.measure.evaluation import Evaluation, joined, score

_PARTS = 5  # of a single fold


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """The evaluation of all queries, and the parameters fitted on all of them."""

    evaluation: Evaluation  # of each query, with weights and confidence fitted on other folds
    fitted: Fitted  # on all of them: what is published


def out_of_fold(folds: Sequence[Asked]) -> OutOfFold:
    """Score each fold with weights and confidence fitted on the others.

    Args:
        folds: the search results of each fold, in an index that has neither the fold's queries
            nor anything learned from them. A single fold is divided into five parts.
    """
    parts = list(folds) if len(folds) > 1 else _divided(folds[0])
    what = "questions, each searched with a model trained without it"
    evaluations = []
    for number, part in enumerate(parts):
        others = fit([*parts[:number], *parts[number + 1 :]], what)
        evaluations.append(score(part.queries, part.found, others))
    return OutOfFold(joined(evaluations), fit(parts, what))


def _divided(fold: Asked) -> list[Asked]:
    """Return a fold in parts, which are then treated as folds."""
    parts = [slice(start, None, _PARTS) for start in range(_PARTS)]
    return [
        Asked(fold.queries[s], fold.found[s], fold.cut[s], fold.found_for_cut[s])
        for s in parts
        if fold.queries[s]
    ]
