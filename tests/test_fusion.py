import pytest

from dotbogi.indexes.hits import Candidate
from dotbogi.indexes.views import SIGNALS
from dotbogi.search.candidates import PARTS, Candidates
from dotbogi.search.fusion import METHODS, FusionWeights
from dotbogi.search.fusion import fuse as fuse_candidates

EMPTY = {name: [] for name in SIGNALS}
SIGNALS_OF_A_QUERY = EMPTY | {
    "bm25.joined": [Candidate("a", 8.0), Candidate("b", 2.0)],
    "bm25.answer": [Candidate("a", 2.0)],
    "bm25.question": [Candidate("b", 4.0, "bm25's")],
    "dense.question": [Candidate("b", 0.9, "dense's"), Candidate("c", 0.6), Candidate("d", 0.3)],
    "dense.whole": [Candidate("c", 0.7), Candidate("a", 0.1)],
}


def fuse(signals, *settings, **named):  # type: ignore[no-untyped-def]
    return fuse_candidates(Candidates.of(signals), *settings, **named)


def only(**weights: float) -> FusionWeights:
    return FusionWeights(**(dict.fromkeys(PARTS, 0.0) | weights))


def test_the_hybrid_equals_the_written_out_sum() -> None:
    weights = only(bm25_joined=2, bm25_best=1, dense_best=1, dense_whole=3)
    fused = {c.answer_id: c.score for c in fuse(SIGNALS_OF_A_QUERY, weights=weights)}
    assert fused == pytest.approx(
        {
            # an answer that a dense list lacks counts as its last
            "a": (2 * 8 / 8 + 2 / 4 + 0.3 + 3 * 0.1) / 7,
            "b": (2 * 2 / 8 + 4 / 4 + 0.9 + 3 * 0.1) / 7,
            "c": (0 + 0 + 0.6 + 3 * 0.7) / 7,
            "d": (0 + 0 + 0.3 + 3 * 0.1) / 7,
        }
    )


def test_each_part_is_its_signal_or_the_better_of_two() -> None:
    signals = SIGNALS_OF_A_QUERY | {"dense.answer": [Candidate("b", 0.85), Candidate("c", 0.2)]}
    found = Candidates.of(signals)
    ids, parts = found.answer_ids, found.parts()
    of_b = dict(zip(PARTS, parts[ids.index("b")], strict=True))
    assert of_b == pytest.approx(
        {
            "bm25_answer": 0,
            "bm25_question": 1,
            "bm25_joined": 2 / 8,
            "bm25_best": 1,
            "dense_answer": 0.85,
            "dense_question": 0.9,
            "dense_best": 0.85 + 0.1,  # an answer lies further from a query than a question does
            "dense_whole": 0.1,
        }
    )


def test_one_scorer_alone_is_its_own_list() -> None:
    assert [c.answer_id for c in fuse(SIGNALS_OF_A_QUERY, "bm25")] == ["a", "b"]
    assert [(c.answer_id, c.score) for c in fuse(SIGNALS_OF_A_QUERY, "dense")] == [
        ("b", 0.9),
        ("c", 0.6),
        ("d", 0.3),
    ]


def test_a_part_of_weight_0_moves_nothing() -> None:
    found = fuse(SIGNALS_OF_A_QUERY, weights=only(bm25_joined=1))
    assert [(c.answer_id, c.score) for c in found[:2]] == [("a", 1.0), ("b", 0.25)]
    assert {c.score for c in found[2:]} == {0.0}


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
    signals = EMPTY | {
        "bm25.joined": [Candidate("a", 0.0), Candidate("b", -1.0)],
        "bm25.answer": [Candidate("a", 2.0), Candidate("b", -1.0)],
        "dense.answer": [Candidate("a", 1.0), Candidate("b", -0.2)],
    }
    found = Candidates.of(signals)
    ids, parts = found.answer_ids, found.parts()
    assert ids == ["a", "b"]
    assert parts.min() == 0
    assert parts.max() == 1
    assert parts[:, PARTS.index("bm25_joined")].tolist() == [0, 0]
    assert parts[:, PARTS.index("dense_best")].tolist() == [1, 0]


@pytest.mark.parametrize("method", METHODS)
def test_nothing_found_is_an_empty_ranking(method: str) -> None:
    assert fuse(EMPTY, method) == []
