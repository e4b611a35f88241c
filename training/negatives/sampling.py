"""Which candidates pass the bound, and which of those are drawn."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sampling = Literal["top", "random", "near"]

Floats = NDArray[np.float32]

# Of SimANS. Cosines of the candidates of one question spread by about a tenth: one that is .1 away
# from the positive is drawn e times as rarely as one beside it.
NEAR_A = 100.0
NEAR_B = 0.0


def limits(positives: Floats, bound: float | None, bound_absolute: float | None) -> Floats:
    """Return the highest cosine that passes for each pair; infinity without a bound.

    The relative bound is that of NV-Retriever (Moreira et al. 2024); below a cosine of 0 it is as
    far under the positive as it is above 0.

    Args:
        positives: cosines of the questions and their right answers.
        bound: at most this share of the positive's cosine.
        bound_absolute: at least so far below the positive's cosine.
    """
    found = np.full(len(positives), np.inf, np.float32)
    if bound is not None:
        found = np.minimum(found, positives - np.float32(1 - bound) * np.abs(positives))
    if bound_absolute is not None:
        found = np.minimum(found, positives - np.float32(bound_absolute))
    return found


def near_weights(
    cosines: Floats, positives: Floats, *, a: float = NEAR_A, b: float = NEAR_B
) -> NDArray[np.float64]:
    """Return exp(−a (s − s⁺ − b)²), the weight with which SimANS draws (Zhou et al. 2022).

    The paper scores with the model that is trained, and so does this, whatever the source.
    """
    return np.asarray(np.exp(_near_logs(cosines, positives, a, b)))


def order_keys(
    sampling: Sampling,
    scores: NDArray[np.floating],
    cosines: Floats,
    positives: Floats,
    rng: np.random.Generator,
) -> NDArray[np.floating]:
    """Return a key for each candidate: those with the highest keys are taken.

    Gumbel noise on the logarithm of a weight makes the k highest keys a weighted draw of k without
    replacement.
    """
    if sampling == "top":
        return scores
    if sampling == "random":
        return rng.random(len(cosines))
    return _near_logs(cosines, positives, NEAR_A, NEAR_B) + rng.gumbel(size=len(cosines))


def _near_logs(cosines: Floats, positives: Floats, a: float, b: float) -> NDArray[np.float64]:
    gaps = np.asarray(cosines, np.float64) - np.asarray(positives, np.float64) - b
    return np.asarray(-a * gaps**2)
