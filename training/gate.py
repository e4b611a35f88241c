"""Kept or dropped: the one place that decides whether a gain is real."""

from dataclasses import dataclass

from training.measure.bootstrap import Floats, Interval

# P(gain > 0) that a round needs. Few questions change in a round, so of rounds without effect more
# than 2% reach it; docs/design.md has what it keeps and drops (benchmarks/gate.py).
LEVEL = 0.98


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one round against the best so far."""

    kept: bool
    gain: Interval  # a query
    probability: float  # that the gain is above 0


def judge(gains: Floats, gain: float) -> Verdict:
    """Keep a round whose gain is real with a probability of at least LEVEL.

    Keeping a round that is no better costs a little (the model changes for nothing), dropping a
    better one costs the gain: no more is asked for than that chance seldom does as well.

    Args:
        gains: mean gains in bootstrap draws of the queries.
        gain: the mean gain as it was measured.
    """
    probability = float((gains > 0).mean() + (gains == 0).mean() / 2)
    return Verdict(probability >= LEVEL and gain > 0, Interval.of(gain, gains), probability)
