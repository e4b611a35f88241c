import random

import numpy as np
import pytest

from indexes.hits import Candidate
from indexes.views import SIGNALS
from search.fusion import FusionWeights, fuse
from training.metrics import reciprocal_rank_at
from training.weights import GRID, fit_weights

EMPTY = {name: [] for name in SIGNALS}


def random_signals(seed: int):  # type: ignore[no-untyped-def]
    rng = random.Random(seed)
    signals, grades = [], []
    for _ in range(30):
        found = {}
        for name in SIGNALS:
            ids = rng.sample([f"a{n}" for n in range(25)], 12)
            found[name] = [Candidate(a, 1 - rank / 20) for rank, a in enumerate(ids)]
        signals.append(found)
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
def test_fitted_weights_are_the_best_of_the_grid_through_fuse_itself(seed: int) -> None:
    signals, grades = random_signals(seed)
    fitted = mrr(signals, grades, fit_weights(signals, grades, floor=0.1))
    for joined in GRID:
        for bm25 in GRID:
            for dense in GRID:
                if joined + bm25 + dense:
                    weights = FusionWeights(joined=joined, bm25=bm25, dense=dense, floor=0.1)
                    assert fitted >= mrr(signals, grades, weights) - 1e-9


def test_a_list_that_knows_nothing_loses_its_vote() -> None:
    right = {"dense.answer": [Candidate("a", 0.9)]}
    wrong = {"bm25.joined": [Candidate("b", 9.0)], "bm25.answer": [Candidate("b", 9.0)]}
    signals = [EMPTY | right | wrong] * 5
    weights = fit_weights(signals, [{"a": 1}] * 5, floor=0)
    assert weights.dense > weights.joined + weights.bm25


def test_the_default_stays_where_nothing_is_better() -> None:
    signals = [EMPTY | {"dense.answer": [Candidate("a", 0.9)]}]
    assert fit_weights(signals, [{"a": 1}], floor=0) == FusionWeights()
    assert fit_weights([], [], floor=0) == FusionWeights()
