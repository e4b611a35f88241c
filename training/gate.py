"""The gate: decides whether the gain of a round is real, and so whether the round is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dotbogi.training.measure.bootstrap import Floats, Interval, mean_draws

# A round has to reach this probability of a gain. A round changes few questions, so about 4% of
# the rounds without effect reach it; docs/design.md has the error rates (benchmarks/gate.py).
LEVEL = 0.97


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision on a round, compared with the best round before it."""

    kept: bool
    gain: Interval  # the mean over the queries
    probability: float  # of a gain; see `judge_searches` for the evidence


def judge(gains: Floats, gain: float, evidence: Floats | None = None) -> Verdict:
    """Keep a round that gained, if the probability of a gain is at least LEVEL.

    Keeping a round that is no better costs little: the model changes for nothing. Dropping a
    better one costs its gain. So it is enough that chance rarely reaches LEVEL.

    Args:
        gains: mean gain in each bootstrap draw of the queries.
        gain: mean gain as measured.
        evidence: draws of a more sensitive measure, for the probability; None uses `gains`.
    """
    draws = gains if evidence is None else evidence
    probability = float((draws > 0).mean() + (draws == 0).mean() / 2)
    return Verdict(probability >= LEVEL and gain > 0, Interval.of(gain, gains), probability)


def judge_searches(
    hybrid: tuple[Sequence[float], Sequence[float]],
    dense: tuple[Sequence[float], Sequence[float]],
    *,
    seed: int,
) -> Verdict:
    """Judge a round by hybrid search, with dense search as additional evidence.

    Training changes dense search alone. A gain is larger there; in the hybrid, BM25 and the
    refitted weights blur it. So the hybrid has to gain, and the mean of both gains has to be
    real. With 300 pairs this keeps gains that the hybrid alone cannot distinguish from chance
    (benchmarks/LOG.md).

    Args:
        hybrid: (new, old) scores of hybrid search, one per query.
        dense: the same for dense search.
        seed: for the bootstrap draws.
    """
    (new, old), (new_dense, old_dense) = np.asarray(hybrid), np.asarray(dense)
    gains = np.stack([new - old, (new - old + new_dense - old_dense) / 2], axis=1)
    draws = mean_draws(gains, seed=seed)
    return judge(draws[:, 0], float(gains[:, 0].mean()), draws[:, 1])
