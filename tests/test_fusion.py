import pytest

from indexes.hits import Candidate
from indexes.views import SIGNALS
from search.fusion import FusionWeights, fuse, reciprocal_rank_fusion


def test_rrf_equals_the_written_out_sum() -> None:
    first = [Candidate("a", 9.0), Candidate("b", 8.0), Candidate("c", 7.0)]
    second = [Candidate("c", 0.9), Candidate("a", 0.1)]
    fused = {c.answer_id: c.score for c in reciprocal_rank_fusion([first, second])}
    assert fused == pytest.approx({"a": 1 / 61 + 1 / 62, "b": 1 / 62, "c": 1 / 63 + 1 / 61})


def test_rrf_weights_multiply_the_ranks() -> None:
    fused = reciprocal_rank_fusion(
        [[Candidate("a", 1.0)], [Candidate("b", 1.0)]], weights=[1.0, 3.0]
    )
    assert [(c.answer_id, c.score) for c in fused] == [("b", 3 / 61), ("a", 1 / 61)]


def test_ties_break_by_answer_id() -> None:
    fused = reciprocal_rank_fusion([[Candidate("b", 1.0)], [Candidate("a", 1.0)]])
    assert [c.answer_id for c in fused] == ["a", "b"]


def test_the_known_question_is_that_of_the_highest_rank() -> None:
    first = [Candidate("x", 2.0), Candidate("a", 1.0, "second place")]
    second = [Candidate("a", 0.1, "first place")]
    fused = reciprocal_rank_fusion([first, second])
    assert next(c for c in fused if c.answer_id == "a").question == "first place"


def test_hybrid_is_rrf_of_joined_and_the_better_view_of_each_scorer() -> None:
    signals = {name: [] for name in SIGNALS} | {
        "bm25.joined": [Candidate("a", 5.0)],
        "bm25.answer": [Candidate("a", 2.0)],
        "bm25.question": [Candidate("b", 3.0, "q")],
        "dense.question": [Candidate("b", 0.9, "q")],
    }
    fused = {c.answer_id: c.score for c in fuse(signals, weights=FusionWeights(dense=0.5))}
    assert fused == pytest.approx({"a": 2 / 11 + 1 / 12, "b": 1 / 11 + 0.5 / 11})
    assert [c.answer_id for c in fuse(signals, "bm25")] == ["a"]
    assert [c.answer_id for c in fuse(signals, "dense")] == ["b"]
