from pathlib import Path

import numpy as np
import pytest

from indexes.collection import Answer, Collection, KnownQuestion
from search.encoders import StaticEncoder
from search.index import build_index
from search.maxsim import MAXSIM, MaxSim
from search.searcher import Searcher

STARTER = Path(__file__).parents[1] / "search" / "starter"
TEXTS = [
    "배송은 보통 이틀 걸립니다. 도서 지역은 나흘까지 걸릴 수 있습니다.",
    "환불은 카드사에 따라 사흘에서 닷새 걸립니다.",
    "",
    "The router restarts by itself after an update.",
]
ANSWERS = {f"a{number}": text for number, text in enumerate(TEXTS)}


@pytest.fixture(scope="module")
def encoder() -> StaticEncoder:
    return StaticEncoder(STARTER)


def written_out(encoder: StaticEncoder, query: str, answer: str) -> float:
    asked = encoder.query_pieces([query])[0]
    said = encoder.answer_pieces([answer])[0]
    total = best = 0.0
    for q in asked:
        vector = encoder.piece_vectors(np.asarray([q]))[0].astype(np.float64)
        length = float(np.linalg.norm(vector))
        cosines = [0.0]
        for a in said:
            other = encoder.piece_vectors(np.asarray([a]))[0].astype(np.float64)
            cosines.append(float(vector @ other / (length * np.linalg.norm(other))))
        best += length * max(cosines)
        total += length
    return best / total


def test_scores_equal_the_written_out_sum(encoder: StaticEncoder) -> None:
    query = "환불 얼마나 걸려요?"
    found = MaxSim(encoder, ANSWERS).scores(query, list(ANSWERS))
    assert found == pytest.approx([written_out(encoder, query, a) for a in TEXTS], abs=1e-5)
    assert found.argmax() == 1


def test_a_text_finds_itself_whole(encoder: StaticEncoder) -> None:
    assert MaxSim(encoder, ANSWERS).scores(TEXTS[1], ["a1", "a2"]) == pytest.approx(
        [1, 0], abs=1e-5
    )


@pytest.mark.parametrize("query", ["", " ", "🫠"])
def test_a_query_without_pieces_scores_between_0_and_1(encoder: StaticEncoder, query: str) -> None:
    found = MaxSim(encoder, ANSWERS).scores(query, list(ANSWERS))
    assert found.min() >= 0
    assert found.max() <= 1


def test_no_candidates_are_no_scores(encoder: StaticEncoder) -> None:
    assert MaxSim(encoder, ANSWERS).scores("환불", []).shape == (0,)


def test_a_very_long_query_is_cut_and_answered(encoder: StaticEncoder) -> None:
    long = " ".join(f"{n}번 주문 환불" for n in range(20_000))
    assert MaxSim(encoder, ANSWERS).scores(long, ["a0", "a1"]).max() <= 1


def test_every_answer_found_by_another_signal_has_a_maxsim_score(encoder: StaticEncoder) -> None:
    collection = Collection(
        [Answer(key, text or "네.") for key, text in ANSWERS.items()],
        [KnownQuestion("며칠이면 와요", "a0")],
    )
    searcher = Searcher(build_index(collection, encoder))
    signals = searcher.rankings(["며칠이면 오나요"])[0]
    others = {c.answer_id for name, found in signals.items() if name != MAXSIM for c in found}
    assert {c.answer_id for c in signals[MAXSIM]} == others


def test_a_known_question_asked_verbatim_finds_its_answer_first(encoder: StaticEncoder) -> None:
    # Whatever the weights say: its answer is known.
    questions = [("택배 언제 와", "a0"), ("환불 며칠 걸립니까 카드사 사흘 닷새", "a3")]
    collection = Collection(
        [Answer(key, text or "네.") for key, text in ANSWERS.items()],
        [KnownQuestion(text, answer_id) for text, answer_id in questions],
    )
    searcher = Searcher(build_index(collection, encoder))
    for text, answer_id in questions:
        assert searcher.search(f"{text}?")[0].answer_id == answer_id
