"""Kept or dropped: the one place that decides whether a gain is real."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dotbogi.training.measure.bootstrap import Floats, Interval, mean_draws

# P(gain > 0) that a round needs. Few questions change in a round, so more than 2% of the rounds
# without effect reach it; docs/design.md has what it keeps and drops (benchmarks/gate.py).
LEVEL = 0.98


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one round against the best so far."""

    kept: bool
    gain: Interval  # a query
    probability: float  # that something was gained


def judge(gains: Floats, gain: float, evidence: Floats | None = None) -> Verdict:
    """Keep a round that gained, if the evidence says so with a probability of at least LEVEL.

    Keeping a round that is no better costs a little (the model changes for nothing), dropping a
    better one costs the gain: no more is asked for than that chance seldom does as well.

    Args:
        gains: mean gains in bootstrap draws of the queries.
        gain: the mean gain as it was measured.
        evidence: draws in which a gain shows sooner than in `gains`; left out, these.
    """
    shown = gains if evidence is None else evidence
    probability = float((shown > 0).mean() + (shown == 0).mean() / 2)
    return Verdict(probability >= LEVEL and gain > 0, Interval.of(gain, gains), probability)


def judge_searches(
    hybrid: tuple[Sequence[float], Sequence[float]],
    dense: tuple[Sequence[float], Sequence[float]],
    *,
    seed: int,
) -> Verdict:
    """Judge by hybrid search, with dense search as a witness.

    Training changes the dense side alone. There a gain is larger; in the hybrid BM25 and weights
    that are fitted anew blur it. So the hybrid has to gain, and the mean of both gains has to be
    real: with 300 pairs this keeps gains that the hybrid alone could not tell from chance
    (benchmarks/LOG.md).

    Args:
        hybrid: a figure a query, new and old.
        dense: the same of dense search.
        seed: of the draws.
    """
    (new, old), (new_dense, old_dense) = np.asarray(hybrid), np.asarray(dense)
    gains = np.stack([new - old, (new - old + new_dense - old_dense) / 2], axis=1)
    draws = mean_draws(gains, seed=seed)
    return judge(draws[:, 0], float(gains[:, 0].mean()), draws[:, 1])
