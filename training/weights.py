"""Fusion weights fitted on labelled queries."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.hits import Ranking
from search.fusion import RRF_K, FusionWeights, lists_of

GRID = (0.0, 0.25, 0.5, 1.0, 2.0)
DEPTH = 10  # MRR@10


def fit_weights(
    signals: Sequence[Mapping[str, Ranking]], grades: Sequence[Mapping[str, int]]
) -> FusionWeights:
    """Return the weights of the hybrid's lists with the highest MRR@10 on these queries.

    A grid of ratios; the default weights stay unless others are better. A weight can be 0, so
    the fit is never below the best of the lists alone.

    Args:
        signals: for each query, its ranking by every signal.
        grades: for each query, its right answers.
    """
    default = FusionWeights()
    fallback = np.asarray([default.joined, default.bm25, default.dense])
    ratios = {
        tuple(np.asarray(weights) / max(weights)): np.asarray(weights)
        for weights in itertools.product(GRID, repeat=3)
        if any(weights)
    }
    tried = np.stack([fallback, *ratios.values()])  # the first of equals wins
    total = np.zeros(len(tried))
    for found, graded in zip(signals, grades, strict=True):
        total += _reciprocal_ranks(found, graded, tried)
    best = tried[int(np.argmax(total.round(9)))]
    return FusionWeights(joined=float(best[0]), bm25=float(best[1]), dense=float(best[2]))


def _reciprocal_ranks(
    signals: Mapping[str, Ranking], grades: Mapping[str, int], tried: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return one query's reciprocal rank at 10 under each row of weights."""
    lists = lists_of(signals)
    answer_ids = sorted({candidate.answer_id for ranking in lists for candidate in ranking})
    rows = {answer_id: row for row, answer_id in enumerate(answer_ids)}
    parts = np.zeros((len(rows), len(lists)))
    for column, ranking in enumerate(lists):
        for rank, candidate in enumerate(ranking, 1):
            parts[rows[candidate.answer_id], column] = 1 / (RRF_K + rank)
    scores = parts @ tried.T  # answers × weightings
    first = np.full(len(tried), np.inf)
    for answer_id in grades.keys() & rows.keys():
        row = rows[answer_id]
        above = (scores > scores[row]).sum(axis=0) + (scores[:row] == scores[row]).sum(axis=0)
        # Without a list that holds it, an answer is not found at all.
        first = np.minimum(first, np.where(scores[row] > 0, above + 1, np.inf))
    return np.where(first <= DEPTH, 1 / first, 0.0)
