"""Spearman's rank correlation, and bootstrap draws of the difference between two models."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dotbogi.training.measure.bootstrap import SAMPLES, Floats

SPEARMAN = "Spearman"  # the metric of scored pairs

Counts = NDArray[np.int64]
Ranks = NDArray[np.float64]


def spearman(predicted: Sequence[float], expected: Sequence[float]) -> float:
    """Return the rank correlation of two lists; equal values share their mean rank.

    It is 0 if all values of a list are equal: there is no order to compare.

    >>> round(spearman([0.1, 0.2, 0.9], [1.0, 3.0, 2.0]), 6)
    0.5
    """
    once = np.ones((1, len(predicted)), np.int64)
    first, second = (_Ranker(values).ranks(once) for values in (predicted, expected))
    return float(_correlations(first, second, once)[0])


def spearman_draws(
    new: Sequence[float], old: Sequence[float], expected: Sequence[float], *, seed: int
) -> tuple[Floats, float]:
    """Return Spearman of `new` − Spearman of `old` in 10,000 bootstrap draws, and on all pairs.

    Pairs are drawn with replacement; the cosines of both models stay together. A draw is a count
    per pair. Ranks follow from cumulative counts, so values are sorted only once.

    Args:
        new: one model's cosine for each pair.
        old: the other's, for the same pairs in the same order.
        expected: the scores that people gave.
        seed: for the draws.
    """
    rng = np.random.default_rng(seed)
    rankers = [_Ranker(values) for values in (new, old, expected)]
    size = len(expected)
    at_once = max(1, min(500, 5_000_000 // size))  # bounds the memory
    gains = []
    for start in range(0, SAMPLES, at_once):
        drawn = rng.multinomial(size, [1 / size] * size, min(at_once, SAMPLES - start))
        ours, theirs, wanted = (ranker.ranks(drawn) for ranker in rankers)
        gains.append(_correlations(ours, wanted, drawn) - _correlations(theirs, wanted, drawn))
    return np.concatenate(gains), spearman(new, expected) - spearman(old, expected)


class _Ranker:
    """Ranks values that may each occur any number of times."""

    def __init__(self, values: Sequence[float]) -> None:
        array = np.asarray(values, np.float64)
        self._order = np.argsort(array, kind="stable")
        distinct, self._group_of = np.unique(array, return_inverse=True)
        self._starts = np.searchsorted(array[self._order], distinct)

    def ranks(self, counts: Counts) -> Ranks:
        """Return mean ranks, draws × values, where value i occurs counts[draw, i] times."""
        sizes = np.add.reduceat(counts[:, self._order], self._starts, axis=1)
        before = np.cumsum(sizes, axis=1) - sizes
        ranks: Ranks = (before + (sizes + 1) / 2)[:, self._group_of]
        return ranks


def _correlations(first: Ranks, second: Ranks, counts: Counts) -> NDArray[np.float64]:
    """Return one Pearson correlation per draw; all ranks have the mean (n + 1) / 2."""
    middle = (counts.sum(axis=1, keepdims=True) + 1) / 2
    a, b = first - middle, second - middle
    product = (counts * a * b).sum(axis=1)
    size = np.sqrt((counts * a * a).sum(axis=1) * (counts * b * b).sum(axis=1))
    rho: NDArray[np.float64] = np.zeros_like(product)
    np.divide(product, size, out=rho, where=size > 0)
    return rho
