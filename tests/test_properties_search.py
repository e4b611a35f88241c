"""What a search promises for any text, and its arithmetic against formulas written out again."""

import itertools
import math
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LetterEncoder
from effort import effort
from hypothesis import given, settings
from hypothesis import strategies as st

from dotbogi.indexes.collection import Collection, build_collection
from dotbogi.indexes.hits import Candidate, Hit
from dotbogi.indexes.tables import Reading, Row, Table
from dotbogi.indexes.views import SIGNALS
from dotbogi.search.calibration import fit_calibration, logistic, threshold_for
from dotbogi.search.candidates import PARTS, Candidates
from dotbogi.search.fusion import FusionWeights, fuse
from dotbogi.search.index import build_index
from dotbogi.search.searcher import Searcher
from dotbogi.search.weights import fit_weights
from dotbogi.training.measure.metrics import METRICS

pytestmark = pytest.mark.soak

# --- NFC and NFD ---

# Syllables, single jamo that compose with their neighbours, Latin letters with accents.
SYLLABLES = st.sampled_from([*"배송환불쿠폰이틀", "가", "ㅎ", "\u1100", "\u1161", "\u11a8"])
LATIN = st.sampled_from([*"wifi", "é", "Å", "\u212b", "ﬁ", "n\u0303"])
WORD = st.lists(st.one_of(SYLLABLES, SYLLABLES, LATIN), min_size=1, max_size=6).map("".join)
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
ROWS = st.lists(st.tuples(TEXT, TEXT, WORD), min_size=1, max_size=6)


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def read(rows: list[tuple[str, str, str]], form: Any) -> Collection:
    made = [
        Row(form(question), form(answer), "", {form("분류é"): form(topic)})
        for question, answer, topic in rows
    ]
    return build_collection(Table(path=Path("faq.csv"), rows=made, columns=Reading()))[0]


@settings(max_examples=effort(5, 1000))
@given(rows=ROWS, query=TEXT, data=st.data())
def test_composed_and_decomposed_texts_are_the_same(
    rows: list[tuple[str, str, str]], query: str, data: st.DataObject
) -> None:
    composed, decomposed = (read(rows, form) for form in (nfc, nfd))
    assert decomposed == composed
    searcher = Searcher(build_index(composed, LetterEncoder()))
    question, answer, topic = data.draw(st.sampled_from(rows))
    for asked in (query, question, answer):
        for where in (None, {"분류é": topic}):
            found: list[list[Hit]] = [
                searcher.search(
                    form(asked), where=where and {form(k): form(v) for k, v in where.items()}
                )
                for form in (nfc, nfd)
            ]
            assert found[0] == found[1]
            assert where is None or {h.metadata["분류é"] for h in found[0]} <= {nfc(topic).strip()}
        assert np.array_equal(*(searcher.encode([form(asked)]) for form in (nfc, nfd)))
    known = {q.answer_id for q in composed.questions if q.text == nfc(question).strip()}
    assert searcher.search(nfd(question))[0].answer_id in known


# --- fusion ---

ids = st.sampled_from([f"a{number}" for number in range(8)])
bm25_lists = st.dictionaries(ids, st.sampled_from([-0.5, 0.0, 0.1, 1.0, 2.5, 7.0]), max_size=6)
dense_lists = st.dictionaries(ids, st.sampled_from([-0.4, 0.0, 0.1, 0.3, 0.5, 0.95]), max_size=6)
signals = st.fixed_dictionaries(
    {name: bm25_lists if name.startswith("bm25") else dense_lists for name in SIGNALS}
)
weights = st.lists(st.integers(0, 5), min_size=8, max_size=8).filter(any)
Scores = Mapping[str, Mapping[str, float]]  # by signal, then by answer


def candidates_of(scores: Scores) -> Candidates:
    rankings = {
        name: [Candidate(id_, score) for id_, score in sorted(of_signal.items(), key=_best_first)]
        for name, of_signal in scores.items()
    }
    return Candidates.of(rankings)


def _best_first(scored: tuple[str, float]) -> tuple[float, str]:
    return -scored[1], scored[0]


def better(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {id_: max(s[id_] for s in (one, other) if id_ in s) for id_ in {*one, *other}}


def hybrid_by_hand(scores: Scores, weighted: list[int]) -> dict[str, float]:
    """Σ w·s / Σ w; see `Fusion` in docs/design.md."""
    parts: dict[str, Mapping[str, float]] = {n.replace(".", "_"): s for n, s in scores.items()}
    parts["bm25_best"] = better(scores["bm25.answer"], scores["bm25.question"])
    lifted = {id_: score + 0.1 for id_, score in scores["dense.answer"].items()}
    parts["dense_best"] = better(lifted, scores["dense.question"])
    fused = {}
    for id_ in {id_ for of_signal in scores.values() for id_ in of_signal}:
        total = 0.0
        for name, weight in zip(PARTS, weighted, strict=True):
            part = parts[name]
            if name.startswith("bm25"):
                best = max(part.values(), default=0.0)
                value = max(part.get(id_, 0.0) / best, 0.0) if best > 0 else 0.0
            else:
                value = min(max(part.get(id_, min(part.values(), default=0.0)), 0.0), 1.0)
            total += weight * value
        fused[id_] = total / sum(weighted)
    return fused


@settings(max_examples=effort(30, 1000))
@given(signals, weights, st.integers(1, 10))
def test_the_hybrid_is_the_weighted_mean_of_its_parts(
    scores: Scores, weighted: list[int], k: int
) -> None:
    candidates = candidates_of(scores)
    found = fuse(candidates, weights=FusionWeights(**dict(zip(PARTS, weighted, strict=True))))
    expected = hybrid_by_hand(scores, weighted)
    assert {c.answer_id: c.score for c in found} == pytest.approx(expected, abs=1e-9)
    assert found == sorted(found, key=lambda c: (-c.score, c.answer_id))
    weights = FusionWeights(**dict(zip(PARTS, weighted, strict=True)))
    assert fuse(candidates, weights=weights, k=k) == found[:k]


# --- metrics ---

rankings = st.permutations([f"a{number:02}" for number in range(14)])
grades = st.dictionaries(
    st.sampled_from([f"a{number:02}" for number in range(16)]), st.integers(0, 3), max_size=5
)


def dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(1 + rank) for rank, gain in enumerate(gains, 1))


@settings(max_examples=effort(30, 1000))
@given(rankings, st.integers(0, 14), grades)
def test_metrics_are_their_formulas(
    ranking: list[str], length: int, graded: dict[str, int]
) -> None:
    ranking = ranking[:length]
    right = [id_ for id_, grade in graded.items() if grade]
    ranks = [ranking.index(id_) + 1 for id_ in right if id_ in ranking]
    best = max((dcg(list(order)) for order in itertools.permutations(graded.values())), default=0)
    gains = [graded.get(id_, 0) for id_ in ranking[:10]]
    expected = {
        **{
            f"recall@{k}": sum(rank <= k for rank in ranks) / len(right) if right else 0.0
            for k in (1, 5, 10)
        },
        "MRR@10": max((1 / rank for rank in ranks if rank <= 10), default=0.0),
        "nDCG@10": dcg(gains) / best if best else 0.0,
    }
    measured = {name: metric(ranking, graded) for name, metric in METRICS.items()}
    assert measured == pytest.approx(expected, abs=1e-12)


# --- what is fitted ---

right_answers = st.dictionaries(ids, st.just(1), min_size=1, max_size=2)
labelled = st.lists(st.tuples(signals, right_answers), min_size=1, max_size=8)
Labelled = list[tuple[Candidates, dict[str, int]]]


def mean_reciprocal_rank(asked: Labelled, weights: FusionWeights) -> float:
    total = 0.0
    for candidates, right in asked:
        ranked = [candidate.answer_id for candidate in fuse(candidates, weights=weights)[:10]]
        total += max((1 / (ranked.index(id_) + 1) for id_ in right if id_ in ranked), default=0.0)
    return total / len(asked)


@settings(max_examples=effort(10, 1000))
@given(labelled)
def test_fitted_weights_are_no_worse_than_any_part_or_the_defaults(
    made: list[tuple[Scores, dict[str, int]]],
) -> None:
    asked = [(candidates_of(scores), right) for scores, right in made]
    lists, graded = zip(*asked, strict=True)
    fitted = fit_weights(lists, graded, prior=FusionWeights(), source="a test")
    reached = mean_reciprocal_rank(asked, fitted)
    nothing = dict.fromkeys(PARTS, 0.0)
    for other in [FusionWeights(), *(FusionWeights(**{**nothing, part: 1.0}) for part in PARTS)]:
        assert reached >= mean_reciprocal_rank(asked, other) - 1e-9, (fitted, other)


numbers = st.floats(-3, 3).map(lambda number: round(number, 3))


@settings(max_examples=effort(30, 1000))
@given(
    rows=st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=1, max_size=30),
    prior=st.tuples(numbers, numbers, numbers),
    ridge=st.tuples(st.sampled_from([0.3, 5.0, 20.0]), st.sampled_from([0.3, 1.0])),
)
def test_a_logistic_fit_is_where_its_loss_is_least(
    rows: list[tuple[float, float, bool]],
    prior: tuple[float, float, float],
    ridge: tuple[float, float],
) -> None:
    """The loss is convex: it is least where no small step makes it smaller."""
    fitted = logistic(
        np.asarray([row[:2] for row in rows]),
        np.asarray([float(row[2]) for row in rows]),
        prior=np.asarray(prior),
        ridge=ridge,
    )

    def loss(weights: tuple[float, ...]) -> float:
        total = 0.0
        for x, y, is_right in rows:
            logit = weights[0] * x + weights[1] * y + weights[2]
            total += math.log1p(math.exp(-logit if is_right else logit))
        pulls = zip((ridge[0], ridge[0], ridge[1]), weights, prior, strict=True)
        return total + sum(strength * (w - p) ** 2 / 2 for strength, w, p in pulls)

    least = loss(tuple(fitted))
    for position, step in itertools.product(range(3), (-0.01, 0.01)):
        moved = fitted.copy()
        moved[position] += step
        assert loss(tuple(moved)) >= least - 1e-9


def found_with(cosine: float) -> Candidates:
    nothing: dict[str, dict[str, float]] = {name: {} for name in SIGNALS}
    return candidates_of({**nothing, "dense.answer": {"a": cosine}})


@settings(max_examples=effort(4, 1000))
@given(st.integers(0, 10**6), st.integers(60, 200), st.floats(0, 0.5))
def test_confidence_rises_with_what_makes_answers_right(seed: int, count: int, luck: float) -> None:
    """Where closer answers are more often right, a closer one never gets a lower confidence.

    Above a cosine of .9, one part of the score rises no further.
    """
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(0, 0.9, count)
    graded = [{"a" if rng.random() < luck + (1 - luck) * c else "b": 1} for c in cosines]
    asked = [found_with(cosine) for cosine in cosines]
    fitted = fit_calibration(["질문"] * count, asked, graded, FusionWeights(), source="a test")
    grid = [found_with(cosine) for cosine in np.linspace(0, 0.9, 19)]
    stated = [fitted.confidence("질문", each, fuse(each)) for each in grid]
    assert stated == sorted(stated)
    assert 0 < stated[0] <= stated[-1] < 1


@settings(max_examples=effort(30, 1000))
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.sampled_from([0.5, 0.75, 0.9, 0.93, 1.0]),
)
def test_the_threshold_is_the_highest_that_enough_confidences_reach(
    confidences: list[float], share: float
) -> None:
    reached = {
        hundredths: sum(c >= hundredths / 100 for c in confidences) / len(confidences)
        for hundredths in range(101)
    }
    highest = max(hundredths for hundredths, part in reached.items() if part >= share - 1e-9)
    assert threshold_for(share, np.asarray(confidences)) == pytest.approx(highest / 100)
