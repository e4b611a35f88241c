"""How reliable confidences are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ConfidenceQuality:
    """How reliable confidences are, measured on queries that have an answer."""

    ece: float  # expected calibration error, ten bins of equal width
    auroc: float | None  # P(a right first answer has more than a wrong one); None without both
    threshold: float  # a first answer below it is not a good answer
    coverage: float  # share of the queries whose first answer reaches it
    precision: float  # share of those first answers that are right
    bins: list[Mapping[str, Any]]  # low, high, n, confidence, accuracy
    thresholds: list[Mapping[str, float | None]]  # see `at_thresholds`

    @classmethod
    def of(
        cls, confidence: Sequence[float], right: Sequence[bool], threshold: float
    ) -> "ConfidenceQuality":
        """Compare the confidences in first answers with whether these are right."""
        values, marks = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
        error, bins = expected_calibration_error(values, marks)
        reached = values >= threshold
        return cls(
            ece=error,
            auroc=roc_auc(values[marks > 0], values[marks == 0])
            if 0 < marks.sum() < len(marks)
            else None,
            threshold=threshold,
            coverage=float(reached.mean()),
            precision=float(marks[reached].mean()) if reached.any() else 1.0,
            bins=bins,
            thresholds=at_thresholds(confidence, right),
        )


def at_thresholds(
    confidence: Sequence[float], right: Sequence[bool], only: Sequence[bool] | None = None
) -> list[Mapping[str, float | None]]:
    """Return {threshold, coverage, precision} for each `--min-confidence` from 0.1 to 0.9.

    Coverage is the share of the queries that get an answer. Precision is the share of those whose
    first answer is right, or None if no query gets one. The list is empty without queries or
    without confidences.

    Args:
        confidence: confidence in each query's first answer; may be empty.
        right: for each query, whether its first answer is right.
        only: marks the queries to count; None counts all.

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
    rows: list[Mapping[str, float | None]] = []
    for tenth in range(1, 10):
        reached = values >= tenth / 10
        precision = float(marks[reached].mean()) if reached.any() else None
        coverage = float(reached.mean())
        rows.append({"threshold": tenth / 10, "coverage": coverage, "precision": precision})
    return rows


def expected_calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.float64], bins: int = 10
) -> tuple[float, list[Mapping[str, Any]]]:
    """Return the mean |confidence − accuracy| over bins of equal width, and the bins.

    Naeini et al., AAAI 2015; a bin is weighted by its number of queries. Bins are {low, high, n,
    confidence, accuracy}; empty ones are left out.

    >>> expected_calibration_error(np.array([0.8, 0.8]), np.array([1.0, 0.0]))[0]
    0.3
    """
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    filled: list[Mapping[str, Any]] = []
    for number in range(bins):
        inside = bin_of == number
        if not inside.any():
            continue
        stated, true = float(confidence[inside].mean()), float(right[inside].mean())
        error += abs(stated - true) * float(inside.mean())
        filled.append(
            {
                "low": number / bins,
                "high": (number + 1) / bins,
                "n": int(inside.sum()),
                "confidence": stated,
                "accuracy": true,
            }
        )
    return round(error, 12), filled


def roc_auc(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: P(a positive's score is above a negative's), ties ½.

    NaN if one side is empty.

    >>> roc_auc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    if not len(positives) or not len(negatives):
        return float("nan")
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float((below + not_above).mean() / 2 / len(ordered))
