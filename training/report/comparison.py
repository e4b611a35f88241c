"""The same queries before and after: which got better or worse, and what kinds of queries did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from statistics import fmean

from indexes.collection import Collection
from training.measure.bootstrap import Interval, paired_bootstrap
from training.measure.outcomes import Outcomes
from training.report.slices import length_of, politeness_of

SHOWN = 15  # queries of each kind
SHOWN_ANSWERS = 3
FEW = 30  # queries, below which a slice says little


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer in a ranking."""

    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One query whose first right answer moved; a rank is None beyond 10."""

    query: str
    right: list[str]
    rank_before: int | None
    rank_after: int | None
    before: list[Shown]
    after: list[Shown]


@dataclass(frozen=True, slots=True)
class Slice:
    """One kind of queries: mean MRR@10 before and after, and the gain; None without a query."""

    group: str
    name: str
    queries: int
    before: float | None
    after: float | None
    gain: Interval | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a round did to the queries of one split, by the hybrid's MRR@10."""

    split: str  # "test" or "development"
    round: int  # the one after which is "after"; "before" is round 0
    queries: int
    better_count: int
    worse_count: int
    better: list[Change]  # the largest changes first
    worse: list[Change]
    slices: list[Slice]


def compare(
    split: str,
    number: int,
    before: Outcomes,
    after: Outcomes,
    collection: Collection,
    *,
    seed: int,
) -> Comparison:
    """Compare two evaluations of the same queries.

    Args:
        split: what to call the queries.
        number: the round that `after` measures.
        before: outcomes of round 0.
        after: outcomes of the round, on the same queries in the same order.
        collection: split; holds the answers' texts and the train-side questions.
        seed: of the bootstrap.
    """
    old, new = _reciprocal_ranks(before), _reciprocal_ranks(after)
    gains = [b - a for a, b in zip(old, new, strict=True)]
    order = sorted(range(len(gains)), key=lambda i: -abs(gains[i]))  # stable: then as in the table
    better = [i for i in order if gains[i] > 0]
    worse = [i for i in order if gains[i] < 0]
    texts = {answer.id: answer.text for answer in collection.answers}

    def changes(numbers: Sequence[int]) -> list[Change]:
        return [_change(i, before, after, texts) for i in numbers[:SHOWN]]

    return Comparison(
        split=split,
        round=number,
        queries=len(gains),
        better_count=len(better),
        worse_count=len(worse),
        better=changes(better),
        worse=changes(worse),
        slices=_slices(before, collection, old, new, seed),
    )


def _reciprocal_ranks(outcomes: Outcomes) -> list[float]:
    return outcomes.scores["hybrid"]["MRR@10"]


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


def _slices(
    outcomes: Outcomes,
    collection: Collection,
    old: Sequence[float],
    new: Sequence[float],
    seed: int,
) -> list[Slice]:
    known = {question.answer_id for question in collection.questions if question.split == "train"}
    marks = {
        ("answer", "known from training"): [not known.isdisjoint(ids) for ids in outcomes.right],
        ("answer", "not known from training"): [known.isdisjoint(ids) for ids in outcomes.right],
    }
    for length, meaning in (
        ("short", "up to 8 characters"),
        ("medium", "9 to 20 characters"),
        ("long", "more than 20 characters"),
    ):
        marks["length", meaning] = [length_of(query) == length for query in outcomes.queries]
    for politeness, meaning in (
        ("polite", "polite (…요, …습니다)"),
        ("plain", "plain (…해, …다)"),
        ("other", "other (no ending)"),
    ):
        marks["politeness", meaning] = [politeness_of(q) == politeness for q in outcomes.queries]
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
    gain = paired_bootstrap(after, before, seed=seed)
    return Slice(group, name, len(before), fmean(before), fmean(after), gain)
