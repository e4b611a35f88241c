import random

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from dotbogi.indexes.hits import Candidate
from dotbogi.indexes.views import SIGNALS
from dotbogi.search.candidates import PARTS, Candidates
from dotbogi.search.fusion import FusionWeights, fuse
from dotbogi.search.weights import _Lists, fit_weights
from dotbogi.training.measure.metrics import reciprocal_rank_at

EMPTY = {name: [] for name in SIGNALS}


def random_signals(seed: int, count: int = 30):  # type: ignore[no-untyped-def]
    rng = random.Random(seed)
    signals, grades = [], []
    for _ in range(count):
        found = {}
        for name in SIGNALS:
            ids = rng.sample([f"a{n}" for n in range(25)], 12)
            found[name] = [Candidate(a, 1 - rank / 20) for rank, a in enumerate(ids)]
        signals.append(Candidates.of(found))
        grades.append({f"a{rng.randrange(25)}": 1})
    return signals, grades


def mrr(signals, grades, weights: FusionWeights) -> float:  # type: ignore[no-untyped-def]
    return float(
        np.mean(
            [
                reciprocal_rank_at(10, [c.answer_id for c in fuse(s, weights=weights)], g)
                for s, g in zip(signals, grades, strict=True)
            ]
        )
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_hybrid_is_never_below_a_part_alone_nor_the_default(seed: int) -> None:
    signals, grades = random_signals(seed)
    fitted = mrr(
        signals, grades, fit_weights(signals, grades, prior=FusionWeights(), source="test")
    )
    assert fitted >= mrr(signals, grades, FusionWeights()) - 1e-9
    for part in PARTS:
        alone = FusionWeights(**(dict.fromkeys(PARTS, 0.0) | {part: 1.0}))
        assert fitted >= mrr(signals, grades, alone) - 1e-9


def test_the_gradient_is_that_of_the_loss() -> None:
    signals, grades = random_signals(7)
    lists = _Lists(signals, grades)
    prior = np.linspace(0.5, 3, len(PARTS))
    weights = np.linspace(2, 0.1, len(PARTS))
    numeric = approx_fprime(weights, lambda w: lists._loss(w, prior)[0], 1e-6)
    assert lists._loss(weights, prior)[1] == pytest.approx(numeric, abs=1e-4)


def test_the_mrr_that_is_fitted_is_that_of_the_search() -> None:
    signals, grades = random_signals(8)
    lists = _Lists(signals, grades)
    found = lists.mrr(FusionWeights().vector()) * len(lists.starts) / len(signals)
    assert found == pytest.approx(mrr(signals, grades, FusionWeights()))


def test_a_list_that_knows_nothing_loses_its_vote() -> None:
    right = {"dense.answer": [Candidate("a", 0.9), Candidate("b", 0.1)]}
    wrong = {"bm25.joined": [Candidate("b", 9.0)], "bm25.answer": [Candidate("b", 9.0)]}
    signals = [Candidates.of(EMPTY | right | wrong)] * 50
    weights = fit_weights(signals, [{"a": 1}] * 50, prior=FusionWeights(), source="test")
    assert mrr(signals, [{"a": 1}] * 50, weights) == 1
    assert weights.dense_best + weights.dense_answer > weights.bm25_joined + weights.bm25_best


def test_without_a_right_answer_to_learn_from_the_default_stays() -> None:
    signals = [Candidates.of(EMPTY | {"dense.answer": [Candidate("a", 0.9)]})]
    assert fit_weights(signals, [{"b": 1}], prior=FusionWeights(), source="test") == FusionWeights()
    assert fit_weights([], [], prior=FusionWeights(), source="test") == FusionWeights()
