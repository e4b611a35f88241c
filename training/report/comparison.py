"""The same queries before and after training: which queries and kinds of queries changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from statistics import fmean

from dotbogi.training.ledger import Measured
from dotbogi.training.measure.bootstrap import Interval, paired_bootstrap
from dotbogi.training.measure.metrics import GATE_METRIC
from dotbogi.training.measure.outcomes import Outcomes
from dotbogi.training.report.slices import length_of, politeness_of

SHOWN = 15  # queries that got better, and as many that got worse
SHOWN_ANSWERS = 3
FEW = 30  # slices with fewer queries are not conclusive


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer in a ranking."""

    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One query whose first right answer changed its rank; a rank beyond 10 is None."""

    query: str
    right: list[str]
    rank_before: int | None
    rank_after: int | None
    before: list[Shown]
    after: list[Shown]


@dataclass(frozen=True, slots=True)
class Slice:
    """One kind of queries: MRR@10 of the hybrid before and after; None without queries."""

    group: str
    name: str
    queries: int
    before: float | None
    after: float | None
    interval: Interval | None  # of the gain; None if only the means are known

    @property
    def gain(self) -> float | None:
        """Return the difference of the means; None without queries."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """A round compared with round 0, by the hybrid's MRR@10."""

    round: int
    kept: bool
    queries: int
    better_count: int
    worse_count: int
    better: list[Change]  # the largest changes first
    worse: list[Change]
    slices: list[Slice]


def compare(
    before: tuple[Measured, Outcomes],
    after: tuple[Measured, Outcomes],
    texts: Mapping[str, str],
    *,
    seed: int,
) -> Comparison:
    """Compare two rounds, query by query.

    Args:
        before: round 0, and its outcomes.
        after: the other round, and its outcomes for the same queries in the same order.
        texts: the answers' texts by id.
        seed: for the bootstrap.
    """
    (first, outcomes), (last, later) = before, after
    old, new = _reciprocal_ranks(outcomes), _reciprocal_ranks(later)
    gains = [b - a for a, b in zip(old, new, strict=True)]
    order = sorted(range(len(gains)), key=lambda i: -abs(gains[i]))  # stable
    better = [i for i in order if gains[i] > 0]
    worse = [i for i in order if gains[i] < 0]

    def changes(numbers: Sequence[int]) -> list[Change]:
        return [_change(i, outcomes, later, texts) for i in numbers[:SHOWN]]

    return Comparison(
        round=last.round,
        kept=last.kept,
        queries=len(gains),
        better_count=len(better),
        worse_count=len(worse),
        better=changes(better),
        worse=changes(worse),
        slices=[*_measured_slices(first, last), *_slices(outcomes.queries, old, new, seed)],
    )


def _reciprocal_ranks(outcomes: Outcomes) -> list[float]:
    return outcomes.scores["hybrid"][GATE_METRIC]


def _change(i: int, before: Outcomes, after: Outcomes, texts: Mapping[str, str]) -> Change:
    right = before.right[i]

    def shown(outcomes: Outcomes) -> list[Shown]:
        return [Shown(texts[id_], id_ in right) for id_ in outcomes.top[i][:SHOWN_ANSWERS]]

    return Change(
        query=before.queries[i],
        right=[texts[id_] for id_ in right],
        rank_before=_rank(_reciprocal_ranks(before)[i]),
        rank_after=_rank(_reciprocal_ranks(after)[i]),
        before=shown(before),
        after=shown(after),
    )


def _rank(reciprocal: float) -> int | None:
    return round(1 / reciprocal) if reciprocal else None


def _measured_slices(before: Measured, after: Measured) -> list[Slice]:
    """Return the slices by known answer; they are from the ledger, as they depend on the fold."""
    slices = []
    for name, part in before.slices.items():
        label, count = name.removeprefix("answer "), part["queries"]
        old, new = (
            measured.slices[name]["metrics"]["hybrid"][GATE_METRIC] if count else None
            for measured in (before, after)
        )
        slices.append(Slice("answer", label, count, old, new, None))
    return slices


def _slices(
    queries: Sequence[str], old: Sequence[float], new: Sequence[float], seed: int
) -> list[Slice]:
    marks = {}
    for length, meaning in (
        ("short", "up to 8 characters"),
        ("medium", "9 to 20 characters"),
        ("long", "more than 20 characters"),
    ):
        marks["length", meaning] = [length_of(query) == length for query in queries]
    for politeness, meaning in (
        ("polite", "polite (…요, …습니다)"),
        ("plain", "plain (…해, …다)"),
        ("other", "other (no ending)"),
    ):
        marks["politeness", meaning] = [politeness_of(query) == politeness for query in queries]
    return [_slice(*name, chosen, old, new, seed) for name, chosen in marks.items()]


def _slice(
    group: str,
    name: str,
    chosen: Sequence[bool],
    old: Sequence[float],
    new: Sequence[float],
    seed: int,
) -> Slice:
    before, after = list(compress(old, chosen)), list(compress(new, chosen))
    if not before:
        return Slice(group, name, 0, None, None, None)
    interval = paired_bootstrap(after, before, seed=seed)
    return Slice(group, name, len(before), fmean(before), fmean(after), interval)
