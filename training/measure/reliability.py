"""How far confidences can be believed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ConfidenceQuality:
    """How far confidences can be believed, on queries that have an answer."""

    ece: float  # expected calibration error, ten bins of equal width
    auroc: float | None  # P(a right first answer is surer than a wrong one); None without both
    threshold: float  # below it there is no good answer
    coverage: float  # share of the queries that reach it
    precision: float  # share of those whose first answer is right
    bins: list[Mapping[str, Any]]  # low, high, n, confidence, accuracy
    thresholds: list[Mapping[str, float | None]]  # see `at_thresholds`

    @classmethod
    def of(
        cls, confidence: Sequence[float], right: Sequence[bool], threshold: float
    ) -> "ConfidenceQuality":
        """Measure confidences of queries against whether their first answers are right."""
        values, marks = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
        error, bins = expected_calibration_error(values, marks)
        sure = values >= threshold
        return cls(
            ece=error,
            auroc=roc_auc(values[marks > 0], values[marks == 0])
            if 0 < marks.sum() < len(marks)
            else None,
            threshold=threshold,
            coverage=float(sure.mean()),
            precision=float(marks[sure].mean()) if sure.any() else 1.0,
            bins=bins,
            thresholds=at_thresholds(confidence, right),
        )


def at_thresholds(
    confidence: Sequence[float], right: Sequence[bool], only: Sequence[bool] | None = None
) -> list[Mapping[str, float | None]]:
    """Return {threshold, coverage, precision} for each `--min-confidence` from 0.1 to 0.9.

    Coverage is the share of the queries that get an answer, precision the share of those whose
    first answer is right; None where none gets one. Nothing where there are no queries, or no
    confidences.

    Args:
        confidence: of each query, or of none.
        right: whether its first answer is.
        only: marks the queries that are looked at; all if left out.

    >>> at_thresholds([0.95, 0.3], [True, False])[4]
    {'threshold': 0.5, 'coverage': 0.5, 'precision': 1.0}
    """
    if not confidence:
        return []
    chosen = np.ones(len(confidence), bool) if only is None else np.asarray(only, bool)
    values = np.asarray(confidence, np.float64)[chosen]
    marks = np.asarray(right, np.float64)[chosen]
    if not len(values):
        return []
    found: list[Mapping[str, float | None]] = []
    for tenth in range(1, 10):
        sure = values >= tenth / 10
        precision = float(marks[sure].mean()) if sure.any() else None
        coverage = float(sure.mean())
        found.append({"threshold": tenth / 10, "coverage": coverage, "precision": precision})
    return found


def expected_calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.float64], bins: int = 10
) -> tuple[float, list[Mapping[str, Any]]]:
    """Return the mean |confidence − accuracy| over bins of equal width, and the bins.

    Naeini et al., AAAI 2015; a bin counts by its queries. Bins are {low, high, n, confidence,
    accuracy}; empty ones are left out.

    >>> expected_calibration_error(np.array([0.8, 0.8]), np.array([1.0, 0.0]))[0]
    0.3
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    found: list[Mapping[str, Any]] = []
    for number in range(bins):
        inside = place == number
        if not inside.any():
            continue
        stated, true = float(confidence[inside].mean()), float(right[inside].mean())
        error += abs(stated - true) * float(inside.mean())
        found.append(
            {
                "low": number / bins,
                "high": (number + 1) / bins,
                "n": int(inside.sum()),
                "confidence": stated,
                "accuracy": true,
            }
        )
    return round(error, 12), found


def roc_auc(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: P(a positive's score is above a negative's), ties ½.

    NaN where one side is empty.

    >>> roc_auc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    if not len(positives) or not len(negatives):
        return float("nan")
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float((below + not_above).mean() / 2 / len(ordered))
