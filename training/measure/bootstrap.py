"""The bootstrap over queries: is a difference real? (Efron 1979; Sakai 2006)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 10_000
LEVEL = 0.95  # of all intervals
_AT_ONCE = 500  # draws in memory

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, mean: float, draws: Floats) -> "Interval":
        """Return a mean with the percentile interval of its bootstrap draws."""
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
        return cls(float(mean), float(low), float(high))

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_draws(new: Sequence[float], old: Sequence[float], *, seed: int) -> tuple[Floats, float]:
    """Return the mean of `new` − `old` in 10,000 bootstrap draws, and over the queries themselves.

    Queries are drawn with replacement; the scores of both systems stay together.

    Args:
        new: one system's score for each query.
        old: the other's, for the same queries in the same order.
        seed: for the draws.

    Raises:
        ValueError: there are no scores, or the numbers differ.
    """
    if len(new) != len(old) or not len(new):
        raise ValueError(f"{len(new)} and {len(old)} scores; expected equal numbers above 0")
    differences = np.asarray(new, np.float64) - np.asarray(old, np.float64)
    draws = mean_draws(differences[:, None], seed=seed)[:, 0]
    return draws, float(differences.mean())


def paired_bootstrap(new: Sequence[float], old: Sequence[float], *, seed: int) -> Interval:
    """Return the mean of `new` − `old` with its interval; see `paired_draws`."""
    draws, mean = paired_draws(new, old, seed=seed)
    return Interval.of(mean, draws)


def mean_draws(scores: Floats, *, seed: int) -> Floats:
    """Return the mean of each column in 10,000 bootstrap draws of the rows, draws × columns.

    Args:
        scores: queries × columns.
        seed: for the draws.
    """
    count, columns = scores.shape
    rng = np.random.default_rng(seed)
    means = np.empty((SAMPLES, columns))
    rows = np.arange(_AT_ONCE)[:, np.newaxis] * count
    for start in range(0, SAMPLES, _AT_ONCE):
        drawn = rng.integers(0, count, (_AT_ONCE, count)) + rows
        times = np.bincount(drawn.ravel(), minlength=_AT_ONCE * count).reshape(_AT_ONCE, count)
        means[start : start + _AT_ONCE] = times @ scores / count
    return means


def mean_intervals(scores: Floats, *, seed: int) -> list[Interval]:
    """Return the mean of each column with its interval; arguments as in `mean_draws`."""
    draws = mean_draws(scores, seed=seed)
    return [
        Interval.of(mean, column) for mean, column in zip(scores.mean(axis=0), draws.T, strict=True)
    ]
