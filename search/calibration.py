"""Confidence fitted on queries whose right answers are known."""

from collections.abc import Mapping, Sequence

import numpy as np

from dotbogi.search.candidates import Candidates, Floats
from dotbogi.search.confidence import FEATURES, Calibration, features_of
from dotbogi.search.fusion import FusionWeights, fuse

FEWEST = 60  # queries; below, the defaults are as honest (benchmarks/LOG.md)
KEPT = 0.93  # of the right first answers, that the threshold lets through

# Over four development sets, each counting as much (benchmarks/confidence.py): mean and spread of
# each feature, and its slope in standard deviations.
_USUAL = {
    "score": (0.6744, 0.1610, -0.2075),
    "margin": (0.1036, 0.1075, 1.3082),
    "cosine": (0.6005, 0.1757, 0.0970),
    "answer_cosine": (0.3446, 0.2429, 0.4445),
    "whole": (0.5112, 0.1790, 0.2153),
    "agreement": (0.4723, 0.2598, 0.1014),
    "joined": (0.9488, 0.6452, -0.2911),
    "best": (0.9404, 0.6100, 0.1883),
    "length": (3.2467, 0.7242, 0.1647),
}
_CENTRES, _SPREADS, _SLOPES = np.asarray([_USUAL[name] for name in FEATURES]).T
_SCALE, _INTERCEPT = 1.1147, 0.1555  # of queries that all have an answer
_THRESHOLD = 0.2  # 87, 93, 99 and 100% of the right first answers of the four sets reach it

# How many queries the usual values count as: chosen on tables of 60, 170 and 500 rows.
_RIDGE = 20.0  # on the slopes
_SCALE_RIDGE, _INTERCEPT_RIDGE = 20.0, 0.3


def _calibration(
    slopes: Floats, scale: float, intercept: float, threshold: float, source: str
) -> Calibration:
    raw = scale * slopes / _SPREADS
    return Calibration(
        coefficients=dict(zip(FEATURES, raw.tolist(), strict=True)),
        intercept=float(intercept - raw @ _CENTRES),
        threshold=threshold,
        source=source,
    )


DEFAULT = _calibration(_SLOPES, _SCALE, _INTERCEPT, _THRESHOLD, "defaults")


def fit_calibration(
    queries: Sequence[str],
    candidates: Sequence[Candidates],
    grades: Sequence[Mapping[str, int]],
    weights: FusionWeights,
    *,
    source: str,
) -> Calibration:
    """Fit P(the first answer is right); the defaults where there are fewer than 60 queries.

    Nobody has labelled queries without an answer. They are made: each query is ranked again
    without its right answers, so that its first answer is wrong for certain. A logistic
    regression on both learns what tells right from wrong; a second one, of one slope and one
    intercept (Platt 1999), brings its scale to the queries as they are, which all have an answer.
    Both are held near what they are on the development sets, the more, the fewer queries there
    are (a Gaussian prior).

    Args:
        queries: texts as the searcher cleaned them.
        candidates: of each query.
        grades: for each query, its right answers.
        weights: the hybrid's.
        source: of the queries, for a person.
    """
    found: list[Floats] = []
    orphaned: list[Floats] = []
    right: list[bool] = []
    for query, of_query, graded in zip(queries, candidates, grades, strict=True):
        for left, kept in ((of_query, found), (of_query.without(graded), orphaned)):
            fused = fuse(left, weights=weights, k=2)
            if not fused:
                continue
            kept.append(features_of(query, left, fused))
            if kept is found:
                right.append(graded.get(fused[0].answer_id, 0) > 0)
    if len(found) < FEWEST:
        return DEFAULT
    marks = np.asarray(right, np.float64)
    rows = (np.stack(found) - _CENTRES) / _SPREADS
    wrong = (np.stack(orphaned) - _CENTRES) / _SPREADS if orphaned else rows[:0]
    labels = np.concatenate([marks, np.zeros(len(wrong))])
    slopes = logistic(
        np.concatenate([rows, wrong]), labels, prior=np.append(_SLOPES, 0.0), ridge=(_RIDGE, 0.0)
    )[:-1]
    scale, intercept = logistic(
        (rows @ slopes)[:, None],
        marks,
        prior=np.asarray([_SCALE, _INTERCEPT]),
        ridge=(_SCALE_RIDGE, _INTERCEPT_RIDGE),
    )
    scale = max(float(scale), 0.0)  # a fit that is upside down says nothing
    confidence = 1 / (1 + np.exp(-np.clip(scale * (rows @ slopes) + intercept, -50, 50)))
    threshold = threshold_for(KEPT, confidence[marks > 0])
    return _calibration(slopes, scale, float(intercept), threshold, source)


def logistic(rows: Floats, labels: Floats, *, prior: Floats, ridge: tuple[float, float]) -> Floats:
    """Return slopes and intercept, last, of a logistic regression near a prior.

    Args:
        rows: queries × features.
        labels: 1 or 0 for each.
        prior: slopes and intercept.
        ridge: how much the slopes, and the intercept, are held to it.
    """
    from scipy.optimize import minimize

    table = np.column_stack([rows, np.ones(len(rows))])
    strength = np.append(np.full(rows.shape[1], ridge[0]), ridge[1])

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = table @ weights
        share = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
        away = strength * (weights - prior)
        value = (np.logaddexp(0, logits) - labels * logits).sum() + away @ (weights - prior) / 2
        return float(value), table.T @ (share - labels) + away

    found: Floats = minimize(loss, prior, jac=True, method="L-BFGS-B").x
    return found


def threshold_for(share: float, confidence: Floats) -> float:
    """Return the highest threshold that at least this share of these confidences reaches.

    Rounded down to whole hundredths; the default one where there are none.

    >>> threshold_for(0.75, np.asarray([0.9, 0.8, 0.456, 0.1]))
    0.45
    """
    if not len(confidence):
        return _THRESHOLD
    ordered = np.sort(confidence)
    return float(np.floor(100 * ordered[int((1 - share) * len(ordered) + 1e-9)]) / 100)
