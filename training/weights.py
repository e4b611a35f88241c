"""Fusion weights fitted on labelled queries."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.hits import Ranking
from search.fusion import FusionWeights, lists_of, normalised_scores, weight_vector

GRID = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
DEPTH = 10  # MRR@10


def fit_weights(
    signals: Sequence[Mapping[str, Ranking]],
    grades: Sequence[Mapping[str, int]],
    *,
    floor: float,
) -> FusionWeights:
    """Return the weights of the hybrid's lists with the highest MRR@10 on these queries.

    A grid of ratios; the default weights stay unless others are better. A weight can be 0, so
    the fit is never below the best of the lists alone.

    Args:
        signals: for each query, its ranking by every signal.
        grades: for each query, its right answers.
        floor: of the cosines, as the index has it.
    """
    fallback = weight_vector(FusionWeights())
    ratios = {
        tuple((np.asarray(weights) / sum(weights)).round(12)): np.asarray(weights) / sum(weights)
        for weights in itertools.product(GRID, repeat=3)
        if any(weights)
    }
    tried = np.stack([fallback, *ratios.values()])  # the first of equals wins
    total = np.zeros(len(tried))
    for found, graded in zip(signals, grades, strict=True):
        total += _reciprocal_ranks(found, graded, tried, floor)
    best = int(np.argmax(total.round(9)))
    if best == 0:
        return FusionWeights(floor=floor)
    joined, bm25, dense = tried[best].tolist()
    return FusionWeights(joined=joined, bm25=bm25, dense=dense, floor=floor)


def _reciprocal_ranks(
    signals: Mapping[str, Ranking],
    grades: Mapping[str, int],
    tried: NDArray[np.float64],
    floor: float,
) -> NDArray[np.float64]:
    """Return one query's reciprocal rank at 10 under each row of weights."""
    lists = lists_of(signals)
    answer_ids, parts = normalised_scores(lists, floor)
    rows = {answer_id: row for row, answer_id in enumerate(answer_ids)}
    listed = np.zeros(parts.shape, bool)
    for column, ranking in enumerate(lists):
        for candidate in ranking:
            listed[rows[candidate.answer_id], column] = True
    found = listed @ (tried.T > 0)  # by a list that has a vote
    scores = np.where(found, (parts @ tried.T).round(12), -1.0)  # answers × weightings
    first = np.full(len(tried), np.inf)
    for answer_id in grades.keys() & rows.keys():
        row = rows[answer_id]
        above = (scores > scores[row]).sum(axis=0) + (scores[:row] == scores[row]).sum(axis=0)
        first = np.minimum(first, np.where(found[row], above + 1, np.inf))
    return np.where(first <= DEPTH, 1 / first, 0.0)
