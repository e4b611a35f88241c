"""Confidence fitted on development queries."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.hits import Ranking
from search.confidence import FEATURES, Calibration, features_of
from search.fusion import FusionWeights, fuse

PRECISION = 0.9  # what `threshold` and the coverage are stated for
RIDGE = 5.0  # on standardised features; chosen on development splits (benchmarks/LOG.md)
FEWEST = 30  # queries
FEWEST_OF_EACH = 5  # right and wrong first answers among them

Floats = NDArray[np.float64]


def fit_calibration(
    queries: Sequence[str],
    signals: Sequence[Mapping[str, Ranking]],
    grades: Sequence[Mapping[str, int]],
    weights: FusionWeights,
) -> Calibration | None:
    """Fit P(the first answer is right); None where there is too little to learn it from.

    Nobody has labelled queries without an answer. They are made: each query is ranked again
    without its right answers, so that its first answer is wrong for certain. A ridge logistic
    regression on both learns what tells right from wrong; a second one, of one slope and one
    intercept (Platt 1999), brings its scale to the queries as they are, which all have an answer.

    Args:
        queries: texts as the searcher cleaned them.
        signals: for each query, its ranking by every signal.
        grades: for each query, its right answers.
        weights: the hybrid's.
    """
    found: list[Floats] = []
    orphaned: list[Floats] = []
    right: list[bool] = []
    for query, of_query, graded in zip(queries, signals, grades, strict=True):
        for rankings, kept in ((of_query, found), (_without(of_query, graded), orphaned)):
            fused = fuse(rankings, weights=weights)
            if not fused:
                continue
            kept.append(features_of(query, rankings, fused))
            if kept is found:
                right.append(graded.get(fused[0].answer_id, 0) > 0)
    marks = np.asarray(right, np.float64)
    if len(marks) < FEWEST or min(marks.sum(), (1 - marks).sum()) < FEWEST_OF_EACH:
        return None
    rows = np.stack(found)
    everything = np.concatenate([rows, np.stack(orphaned)]) if orphaned else rows
    centre, spread = everything.mean(axis=0), everything.std(axis=0)
    scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    labels = np.concatenate([marks, np.zeros(len(everything) - len(rows))])
    slopes = _logistic((everything - centre) * scale, labels, RIDGE)[:-1]
    direction = slopes * scale
    values = (rows - centre) @ direction
    slope, intercept = _logistic(values[:, None], marks, 0.0)
    slope = max(float(slope), 0.0)  # a fit that is upside down says nothing
    confidence = 1 / (1 + np.exp(-np.maximum(slope * values + intercept, -50)))
    return Calibration(
        coefficients=dict(zip(FEATURES, (slope * direction).tolist(), strict=True)),
        intercept=float(intercept - slope * (centre @ direction)),
        threshold=threshold_at(PRECISION, confidence, marks),
        queries=len(marks),
    )


def _without(signals: Mapping[str, Ranking], answers: Mapping[str, int]) -> dict[str, Ranking]:
    return {
        name: [c for c in ranking if c.answer_id not in answers]
        for name, ranking in signals.items()
    }


def _logistic(rows: Floats, labels: Floats, ridge: float) -> Floats:
    """Return slopes and intercept, last, of a logistic regression; ridge on the slopes alone."""
    from scipy.optimize import minimize

    table = np.column_stack([rows, np.ones(len(rows))])

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = table @ weights
        share = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
        penalty = ridge * np.append(weights[:-1], 0.0)
        value = (np.logaddexp(0, logits) - labels * logits).sum() + weights @ penalty / 2
        return float(value), table.T @ (share - labels) + penalty

    found: Floats = minimize(loss, np.zeros(table.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def threshold_at(precision: float, confidence: Floats, right: Floats) -> float:
    """Return the lowest confidence above which at least this share of answers is right.

    Above 1 where no share of the answers is that often right.
    """
    order = np.argsort(-confidence, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Equal confidences stand or fall together.
    ends = np.append(confidence[order][1:] != confidence[order][:-1], True)
    good = np.flatnonzero((shares >= precision) & ends)
    return float(confidence[order][good[-1]]) if len(good) else 1.01
