import math
import random

import numpy as np
import pytest

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.hits import Candidate
from dotbogi.indexes.views import SIGNALS
from dotbogi.search.calibration import DEFAULT, fit_calibration, threshold_for
from dotbogi.search.candidates import Candidates
from dotbogi.search.confidence import FEATURES, Calibration, features_of
from dotbogi.search.fitted import Fitted
from dotbogi.search.fusion import FusionWeights, fuse
from dotbogi.search.index import build_index
from dotbogi.search.searcher import Searcher
from dotbogi.training.measure.reliability import (
    ConfidenceQuality,
    expected_calibration_error,
    roc_auc,
)

EMPTY = {name: [] for name in SIGNALS}


def made_queries(count: int, seed: int):  # type: ignore[no-untyped-def]
    """Queries whose right answer is first with the probability that its cosine has."""
    rng = random.Random(seed)
    signals, grades = [], []
    for _ in range(count):
        chance = rng.uniform(0.3, 1)
        found = [Candidate("a", chance), Candidate("b", 0.3 * rng.random())]
        signals.append(Candidates.of(EMPTY | {"dense.answer": found}))
        grades.append({"a" if rng.random() < chance else "c": 1})
    return ["가나다라"] * count, signals, grades


def test_confidence_is_the_share_of_first_answers_that_are_right() -> None:
    weights = FusionWeights()
    calibration = fit_calibration(*made_queries(2000, 1), weights, source="test")
    queries, signals, grades = made_queries(2000, 2)
    fused = [fuse(of_query, weights=weights) for of_query in signals]
    stated = [calibration.confidence(*each) for each in zip(queries, signals, fused, strict=True)]
    right = [f[0].answer_id in g for f, g in zip(fused, grades, strict=True)]
    quality = ConfidenceQuality.of(stated, right, calibration.threshold)
    assert quality.ece < 0.05
    assert quality.auroc is not None
    assert quality.auroc > 0.7
    sure = [said >= calibration.threshold for said, mark in zip(stated, right, strict=True) if mark]
    assert np.mean(sure) == pytest.approx(0.93, abs=0.03)


def test_a_query_whose_answer_is_missing_gets_a_lower_confidence() -> None:
    weights = FusionWeights()
    queries, signals, grades = made_queries(500, 3)
    calibration = fit_calibration(queries, signals, grades, weights, source="test")

    def mean(rankings) -> float:  # type: ignore[no-untyped-def]
        pairs = zip(queries, rankings, strict=True)
        return float(
            np.mean([calibration.confidence(q, s, fuse(s, weights=weights)) for q, s in pairs])
        )

    without = [candidates.without({"a"}) for candidates in signals]
    assert mean(without) < mean(signals) - 0.3


def test_few_queries_get_the_defaults_and_more_move_away_from_them() -> None:
    queries, signals, grades = made_queries(100, 4)

    def fitted(count: int) -> Calibration:
        return fit_calibration(
            queries[:count], signals[:count], grades[:count], FusionWeights(), source="test"
        )

    assert fitted(59) == DEFAULT
    assert fit_calibration([], [], [], FusionWeights(), source="test") == DEFAULT
    assert fitted(60) != DEFAULT
    always = fit_calibration(queries, signals, [{"a": 1}] * 100, FusionWeights(), source="test")
    found = fuse(signals[0])
    said = always.confidence(queries[0], signals[0], found)
    assert DEFAULT.confidence(queries[0], signals[0], found) < said < 1


def test_nothing_found_is_confidence_0() -> None:
    zeros = Calibration(
        coefficients=dict.fromkeys(FEATURES, 0.0), intercept=0.0, threshold=0.9, source="test"
    )
    assert zeros.confidence("가", Candidates.of(EMPTY), []) == 0
    one = [Candidate("a", 1.0)]
    assert zeros.confidence("가", Candidates.of(EMPTY | {"dense.whole": one}), one) == 0.5


def test_features_are_the_written_out_ones() -> None:
    signals = EMPTY | {
        "bm25.joined": [Candidate("b", 6.0), Candidate("a", 4.0)],
        "bm25.answer": [Candidate("a", 2.0)],
        "dense.question": [Candidate("a", 0.8)],
        "dense.answer": [Candidate("a", 0.5)],
        "dense.whole": [Candidate("a", 0.7)],
    }
    ranked = [Candidate("a", 0.6), Candidate("b", 0.4)]
    found = features_of("배고파", Candidates.of(signals), ranked)
    values = dict(zip(FEATURES, found, strict=True))
    assert values == pytest.approx(
        {
            "score": 0.6,
            "margin": 0.2,
            "cosine": 0.8,
            "answer_cosine": 0.5,
            "whole": 0.7,
            "agreement": 4 / 5,
            "joined": 4 / 3,
            "best": 2 / 3,
            "length": math.log(4),
        }
    )


def test_calibration_error_equals_the_written_out_sum() -> None:
    stated = np.array([0.05, 0.15, 0.15, 0.95])
    right = np.array([0.0, 0.0, 1.0, 1.0])
    error, bins = expected_calibration_error(stated, right)
    assert error == pytest.approx(0.25 * 0.05 + 0.5 * abs(0.15 - 0.5) + 0.25 * 0.05)
    assert [(b["low"], b["n"]) for b in bins] == [(0.0, 1), (0.1, 2), (0.9, 1)]


def test_roc_auc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    positives, negatives = rng.integers(0, 5, 30) / 5, rng.integers(0, 4, 20) / 5
    pairs = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    assert roc_auc(positives, negatives) == pytest.approx(np.mean(pairs))
    assert math.isnan(roc_auc(positives, np.zeros(0)))


def test_the_threshold_lets_the_share_of_right_answers_through() -> None:
    stated = np.linspace(0.01, 1, 100)
    assert threshold_for(0.93, stated) == 0.08
    assert (stated >= threshold_for(0.93, stated)).mean() == 0.93
    assert threshold_for(0.93, np.zeros(0)) == DEFAULT.threshold


def test_below_the_confidence_asked_for_there_is_no_answer(collection: Collection, encoder) -> None:  # type: ignore[no-untyped-def]
    coefficients = dict.fromkeys(FEATURES, 0.0) | {"cosine": 10.0}
    calibration = Calibration(
        coefficients=coefficients, intercept=-8.0, threshold=0.8, source="test"
    )
    index = build_index(collection, encoder, fitted=Fitted(calibration=calibration))
    searcher = Searcher(index)
    known, strange = searcher.search_many(["배고프다", "xyz 배"])
    assert known[0].confidence == pytest.approx(1 / (1 + math.exp(-2)), abs=1e-6)
    assert known[1].confidence is None
    assert strange[0].confidence is not None
    assert strange[0].confidence < 0.5
    assert searcher.search("배고프다", min_confidence=0.8)
    assert searcher.search("xyz 배", min_confidence=0.8) == []
    assert searcher.search("배고프다", min_confidence="auto")
    assert searcher.search("xyz 배", min_confidence="auto") == []


def test_every_index_has_a_confidence_and_a_threshold(collection: Collection, encoder) -> None:  # type: ignore[no-untyped-def]
    searcher = Searcher(build_index(collection, encoder))
    found = searcher.search("배고프다", min_confidence="auto")[0].confidence
    assert found is not None
    assert found >= DEFAULT.threshold
    assert searcher.search("zzz qqq", min_confidence="auto") == []
    with pytest.raises(UsageError, match="expected 0 to 1"):
        searcher.search("배고프다", min_confidence=1.5)
