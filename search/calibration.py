"""Fit the confidence on queries whose right answers are known."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dotbogi.search.candidates import Candidates, Floats
from dotbogi.search.confidence import FEATURES, Calibration, features_of_many
from dotbogi.search.fusion import FusionWeights
from dotbogi.search.stacked import Stacked

FEWEST = 60  # queries; with fewer, the defaults are as well calibrated (benchmarks/LOG.md)
KEPT = 0.93  # share of the right first answers that reach the threshold

# Each feature's mean, standard deviation, and slope per standard deviation, over four development
# sets of equal weight (benchmarks/confidence.py).
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
_SCALE, _INTERCEPT = 1.1147, 0.1555  # for queries that all have an answer
_THRESHOLD = 0.2  # 87, 93, 99 and 100% of the right first answers of the four sets reach it

# The strength of the prior, in queries; chosen on tables of 60, 170 and 500 rows.
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
    """Fit P(the first answer is right); return the defaults for fewer than 60 queries.

    No labelled query lacks an answer, so such queries are synthesised: each query is ranked again
    without its right answers, so that its first answer is certainly wrong. A logistic regression
    on both kinds separates right from wrong. A second one with one slope and one intercept (Platt
    1999) adjusts the scale to the original queries, which all have an answer. A Gaussian prior
    keeps both near their values on the development sets; with more queries, it weighs less.

    Args:
        queries: the cleaned texts.
        candidates: the candidates of each query.
        grades: for each query, answer id → grade; above 0 is right.
        weights: the fusion weights.
        source: a description of the queries, for display.
    """
    lengths = np.asarray([len(query) for query in queries], np.int64)
    original = Stacked.of(candidates, grades)
    if len(original.queries) < FEWEST:
        return DEFAULT
    rows, first = _features(lengths, original, weights)
    is_right = original.right[first].astype(np.float64)
    wrong, _ = _features(lengths, original.only(~original.right), weights)
    labels = np.concatenate([is_right, np.zeros(len(wrong))])
    slopes = logistic(
        np.concatenate([rows, wrong]), labels, prior=np.append(_SLOPES, 0.0), ridge=(_RIDGE, 0.0)
    )[:-1]
    scale, intercept = logistic(
        (rows @ slopes)[:, None],
        is_right,
        prior=np.asarray([_SCALE, _INTERCEPT]),
        ridge=(_SCALE_RIDGE, _INTERCEPT_RIDGE),
    )
    scale = max(float(scale), 0.0)  # a negative scale would reverse the order
    confidence = 1 / (1 + np.exp(-np.clip(scale * (rows @ slopes) + intercept, -50, 50)))
    threshold = threshold_for(KEPT, confidence[is_right > 0])
    return _calibration(slopes, scale, float(intercept), threshold, source)


def _features(
    lengths: NDArray[np.int64], stacked: Stacked, weights: FusionWeights
) -> tuple[Floats, NDArray[np.int64]]:
    """Return queries × FEATURES, scaled as on the development sets, and each query's first row."""
    fused = (stacked.parts() @ weights.vector()).round(12)
    first, next_ = stacked.best(fused)
    of_queries = lengths[stacked.queries]
    found = features_of_many(of_queries, stacked.scores, stacked.starts, first, fused[first], next_)
    return (found - _CENTRES) / _SPREADS, first


def logistic(rows: Floats, labels: Floats, *, prior: Floats, ridge: tuple[float, float]) -> Floats:
    """Return the slopes and, last, the intercept of a logistic regression with a Gaussian prior.

    Args:
        rows: queries × features.
        labels: 1 or 0 for each row.
        prior: the means of the slopes and, last, of the intercept.
        ridge: the strength of the prior on the slopes, and on the intercept.
    """
    from scipy.optimize import minimize

    design = np.column_stack([rows, np.ones(len(rows))])
    strength = np.append(np.full(rows.shape[1], ridge[0]), ridge[1])

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = design @ weights
        probabilities = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
        pull = strength * (weights - prior)
        value = (np.logaddexp(0, logits) - labels * logits).sum() + pull @ (weights - prior) / 2
        return float(value), design.T @ (probabilities - labels) + pull

    fitted: Floats = minimize(loss, prior, jac=True, method="L-BFGS-B").x
    return fitted


def threshold_for(share: float, confidence: Floats) -> float:
    """Return the highest threshold that at least this share of the confidences reaches.

    It is rounded down to hundredths. Without confidences, it is the default threshold.

    >>> threshold_for(0.75, np.asarray([0.9, 0.8, 0.456, 0.1]))
    0.45
    """
    if not len(confidence):
        return _THRESHOLD
    ordered = np.sort(confidence)
    return float(np.floor(100 * ordered[int((1 - share) * len(ordered) + 1e-9)]) / 100)
