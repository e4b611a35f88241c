"""Is a difference between two systems real? Paired bootstrap over queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean difference a query and the interval that holds it at the stated level."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_bootstrap(
    new: Sequence[float], old: Sequence[float], *, seed: int, level: float = 0.95
) -> Interval:
    """Return the mean of `new` − `old` with its percentile interval (Efron 1979; Sakai 2006).

    Queries are drawn with replacement 10,000 times, both systems' scores together.

    Args:
        new: one system's score for each query.
        old: the other's, for the same queries in the same order.
        seed: of the draws.
        level: share of the draws inside the interval.
    """
    if len(new) != len(old) or not len(new):
        raise ValueError(f"{len(new)} and {len(old)} scores; expected as many of both, not 0")
    differences = np.asarray(new, np.float64) - np.asarray(old, np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty(SAMPLES)
    for start in range(0, SAMPLES, 500):  # 500 draws at a time bound the memory
        drawn = rng.integers(0, len(differences), (500, len(differences)))
        means[start : start + 500] = differences[drawn].mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(differences.mean()), float(low), float(high))


def mean_intervals(
    scores: NDArray[np.float64], *, seed: int, level: float = 0.95
) -> list[Interval]:
    """Return the mean of each column with its percentile interval, from draws of whole rows.

    The draws are those of `paired_bootstrap`, made once for all columns.

    Args:
        scores: queries × columns.
        seed: of the draws.
        level: share of the draws inside the interval.
    """
    count, columns = scores.shape
    rng = np.random.default_rng(seed)
    means = np.empty((SAMPLES, columns))
    rows = np.arange(500)[:, np.newaxis] * count
    for start in range(0, SAMPLES, 500):
        drawn = rng.integers(0, count, (500, count)) + rows
        times = np.bincount(drawn.ravel(), minlength=500 * count).reshape(500, count)
        means[start : start + 500] = times @ scores / count
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [
        Interval(*map(float, each)) for each in zip(scores.mean(axis=0), low, high, strict=True)
    ]
