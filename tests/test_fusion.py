import pytest

from indexes.hits import Candidate
from indexes.views import SIGNALS
from search.fusion import FusionWeights, fuse, normalised_scores

EMPTY = {name: [] for name in SIGNALS}
SIGNALS_OF_A_QUERY = EMPTY | {
    "bm25.joined": [Candidate("a", 8.0), Candidate("b", 2.0)],
    "bm25.answer": [Candidate("a", 2.0)],
    "bm25.question": [Candidate("b", 4.0, "bm25's")],
    "dense.question": [Candidate("b", 0.9, "dense's"), Candidate("c", 0.6), Candidate("d", 0.3)],
}


def test_the_hybrid_equals_the_written_out_sum() -> None:
    weights = FusionWeights(joined=2, bm25=1, dense=1, floor=0.2)
    fused = {c.answer_id: c.score for c in fuse(SIGNALS_OF_A_QUERY, weights=weights)}
    assert fused == pytest.approx(
        {
            "a": (2 * 8 / 8 + 2 / 4 + (0.3 - 0.2) / 0.8) / 4,  # not in the dense list: as its last
            "b": (2 * 2 / 8 + 4 / 4 + (0.9 - 0.2) / 0.8) / 4,
            "c": (0 + 0 + (0.6 - 0.2) / 0.8) / 4,
            "d": (0 + 0 + (0.3 - 0.2) / 0.8) / 4,
        }
    )


def test_one_scorer_alone_is_its_own_list() -> None:
    assert [c.answer_id for c in fuse(SIGNALS_OF_A_QUERY, "bm25")] == ["a", "b"]
    assert [(c.answer_id, c.score) for c in fuse(SIGNALS_OF_A_QUERY, "dense")] == [
        ("b", 0.9),
        ("c", 0.6),
        ("d", 0.3),
    ]


def test_a_list_of_weight_0_finds_nothing() -> None:
    found = fuse(SIGNALS_OF_A_QUERY, weights=FusionWeights(joined=1, bm25=1, dense=0))
    assert [c.answer_id for c in found] == ["a", "b"]


def test_ties_break_by_answer_id() -> None:
    signals = EMPTY | {"dense.answer": [Candidate("b", 0.5), Candidate("a", 0.5)]}
    assert [c.answer_id for c in fuse(signals)] == ["a", "b"]


def test_the_known_question_is_that_of_the_highest_rank() -> None:
    signals = EMPTY | {
        "bm25.question": [Candidate("x", 2.0), Candidate("a", 1.0, "second place")],
        "dense.question": [Candidate("a", 0.1, "first place")],
    }
    assert next(c for c in fuse(signals) if c.answer_id == "a").question == "first place"


def test_scores_stay_between_0_and_1() -> None:
    # rank-bm25 gives 0 and less where a token is in half of the answers; cosine may be negative.
    lists = (
        [Candidate("a", 0.0), Candidate("b", -1.0)],
        [Candidate("a", 2.0), Candidate("b", -1.0)],
        [Candidate("a", 1.0), Candidate("b", -0.2)],
    )
    ids, scores = normalised_scores(lists, floor=0.5)
    assert ids == ["a", "b"]
    assert scores.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_nothing_found_is_an_empty_ranking() -> None:
    assert fuse(EMPTY) == []
