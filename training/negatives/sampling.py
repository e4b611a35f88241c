"""Bounds on the cosines of candidates, and sampling among those that pass."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sampling = Literal["top", "random", "near"]

Floats = NDArray[np.float32]

# Constants of SimANS. Cosines of a question's candidates differ by about 0.1: with these, one that
# is 0.1 from the positive's cosine is drawn e times less often than one equal to it.
NEAR_A = 100.0
NEAR_B = 0.0


def limits(positives: Floats, bound: float | None, bound_absolute: float | None) -> Floats:
    """Return the highest allowed cosine for each pair; infinity without a bound.

    The relative bound is that of NV-Retriever (Moreira et al. 2024). If the positive's cosine is
    negative, the distance to it is computed from its absolute value.

    Args:
        positives: float32, the cosine of each question and its right answer.
        bound: at most this share of the positive's cosine.
        bound_absolute: at least this far below the positive's cosine.
    """
    highest = np.full(len(positives), np.inf, np.float32)
    if bound is not None:
        highest = np.minimum(highest, positives - np.float32(1 - bound) * np.abs(positives))
    if bound_absolute is not None:
        highest = np.minimum(highest, positives - np.float32(bound_absolute))
    return highest


def near_weights(
    cosines: Floats, positives: Floats, *, a: float = NEAR_A, b: float = NEAR_B
) -> NDArray[np.float64]:
    """Return exp(−a (s − s⁺ − b)²), the sampling weight of SimANS (Zhou et al. 2022).

    As in the paper, s is the cosine by the model that is trained, whatever the source.
    """
    return np.asarray(np.exp(_near_logs(cosines, positives, a, b)))


def order_keys(
    sampling: Sampling,
    scores: NDArray[np.floating],
    cosines: Floats,
    positives: Floats,
    rng: np.random.Generator,
) -> NDArray[np.floating]:
    """Return a key for each candidate; those with the highest keys are taken.

    With Gumbel noise on the logarithms of weights, the k highest keys are a weighted sample of k
    without replacement.
    """
    if sampling == "top":
        return scores
    if sampling == "random":
        return rng.random(len(cosines))
    return _near_logs(cosines, positives, NEAR_A, NEAR_B) + rng.gumbel(size=len(cosines))


def _near_logs(cosines: Floats, positives: Floats, a: float, b: float) -> NDArray[np.float64]:
    gaps = np.asarray(cosines, np.float64) - np.asarray(positives, np.float64) - b
    return np.asarray(-a * gaps**2)
