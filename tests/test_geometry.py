from pathlib import Path

import numpy as np
import pytest
from conftest import LetterEncoder

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.search.candidates import Candidates
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import unit_rows
from dotbogi.search.fitted import Fitted
from dotbogi.search.fusion import fuse
from dotbogi.search.geometry import STAND_INS, AdaptedEncoder, Adapter, Geometry
from dotbogi.search.index import build_index
from dotbogi.search.known_questions import fit_on_known_questions, fold_of, folds_of
from dotbogi.search.searcher import Searcher


def test_vectors_are_centred_mapped_and_normalised() -> None:
    mean = np.array([1.0, 0.0], np.float32)
    turn = np.array([[-1.0, 1.0], [-1.0, -1.0]], np.float32)  # x + x W turns by a right angle
    geometry = Geometry(mean, np.zeros(2, np.float32), Adapter(query=turn, answer=0 * turn))
    base = np.array([[3.0, 0.0]], np.float32)
    np.testing.assert_allclose(geometry.queries(base), [[0, 1]], atol=1e-6)
    np.testing.assert_allclose(geometry.answers(base), [[1, 0]], atol=1e-6)
    plain = Geometry(mean, mean)
    np.testing.assert_allclose(plain.queries(base), [[1, 0]], atol=1e-6)


def test_stand_ins_are_the_mean_of_no_questions_and_steady_that_of_few() -> None:
    stand_ins, answers = np.array([[0.0, 2.0]], np.float32), np.zeros((3, 2), np.float32)
    none = Geometry.measure(np.zeros((0, 2), np.float32), answers, stand_ins)
    np.testing.assert_allclose(none.query_mean, [0, 2])
    few = Geometry.measure(np.full((STAND_INS, 2), 1.0, np.float32), answers, stand_ins)
    np.testing.assert_allclose(few.query_mean, [0.5, 1.5])


def test_what_is_saved_is_opened_and_has_its_fingerprint(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    means, maps = rng.random((2, 4), np.float32), rng.random((2, 4, 4), np.float32)
    plain, adapted = Geometry(*means), Geometry(*means, Adapter(*maps))
    vectors = unit_rows(rng.random((5, 4), np.float32))
    for name, geometry in (("plain", plain), ("adapted", adapted)):
        (tmp_path / name).mkdir()
        geometry.save(tmp_path / name)
        again = Geometry.open(tmp_path / name)
        np.testing.assert_array_equal(again.queries(vectors), geometry.queries(vectors))
        np.testing.assert_array_equal(again.answers(vectors), geometry.answers(vectors))
        assert again.fingerprint("base") == geometry.fingerprint("base")
    prints = {plain.fingerprint("a"), plain.fingerprint("b"), adapted.fingerprint("a")}
    assert len(prints) == 3


class TwoWorldsEncoder(LetterEncoder):
    """Queries near one corner and answers near another, as encoders with prompts have them."""

    def encode_queries(self, texts):  # type: ignore[no-untyped-def]
        return self._near(0, super().encode_queries(texts))

    def encode_answers(self, texts):  # type: ignore[no-untyped-def]
        return self._near(1, LetterEncoder.encode_queries(self, texts))

    def _near(self, corner, vectors):  # type: ignore[no-untyped-def]
        far = 8 * np.eye(2, self.dim, 62, dtype=np.float32)[corner]
        common = 8 * np.ones(self.dim, np.float32) / self.dim**0.5
        return unit_rows(vectors + far + common)


def test_an_asymmetric_model_ranks_in_every_view_and_the_hybrid_follows() -> None:
    """Its answers are nearer to each other than any query is to an answer."""
    texts = [3 * letter for letter in "가나다라마바사아자차카파"]
    answers = [Answer(f"a{i:02}", text) for i, text in enumerate(texts)]
    questions = [
        KnownQuestion(f"{text[0] * 2}{extra}", f"a{i:02}")
        for i, text in enumerate(texts)
        for extra in "xy"
    ]
    encoder = TwoWorldsEncoder()
    own = encoder.encode_answers(texts)
    asked = encoder.encode_queries([f"{text[0]}z" for text in texts])
    assert (asked @ own.T).max() < (own @ own.T).min()
    searcher = Searcher(build_index(Collection(answers, questions), encoder))
    for i, text in enumerate(texts):
        signals = searcher.rankings([f"{text[0]}z"])[0]
        for view in ("dense.answer", "dense.question", "dense.whole"):
            assert signals[view][0].answer_id == f"a{i:02}", (view, text)
            assert 0 < signals[view][0].score < 1
        assert fuse(Candidates.of(signals))[0].answer_id == f"a{i:02}"


def test_an_empty_text_has_no_direction(encoder: LetterEncoder) -> None:
    mean = np.full(encoder.dim, 0.1, np.float32)
    adapted = AdaptedEncoder(encoder, Geometry(mean, mean))  # type: ignore[arg-type]
    assert not adapted.encode_queries(["", "가"])[0].any()
    assert not adapted.encode_answers([""]).any()


def encoded(collection: Collection) -> EncodedCollection:
    return EncodedCollection.of(collection, LetterEncoder(), IndexConfig(analyzer="bigram"), None)  # type: ignore[arg-type]


def test_typings_of_one_question_share_a_fold_and_every_question_has_one() -> None:
    assert fold_of("배 고프다!!", 5, 1) == fold_of("배고프다", 5, 1)
    answers = [Answer("a", "가"), Answer("b", "나")]
    questions = [KnownQuestion(f"물음 {n}{mark}", "a") for n in range(40) for mark in ("", "?")]
    asked: list[str] = []
    for fold in folds_of(encoded(Collection(answers, questions)), 5, seed=3):
        known = {question.text.rstrip("?") for question in fold.rest.collection.questions}
        assert known.isdisjoint(query.text for query in fold.queries)
        assert len(fold.rest.question_tokens) == len(fold.rest.question_vectors)
        asked += [query.text for query in fold.queries]
    assert sorted(asked) == sorted(f"물음 {n}" for n in range(40))


def test_known_questions_that_mislead_lose_their_weight_and_those_that_help_win() -> None:
    """Questions of one kind go to different answers, or all to one."""
    rng = np.random.default_rng(0)
    letters = [chr(0xAC00 + 28 * 7 * n) for n in range(30)]
    answers = [Answer(f"a{n:02}", f"{letter * 4} 설명") for n, letter in enumerate(letters)]

    def collection(misleading: bool) -> Collection:
        questions = []
        for n, letter in enumerate(letters):
            for turn in range(4):
                other = letters[rng.integers(30)] if misleading else chr(0xD000 + n)
                own = letter if misleading else ""
                questions.append(KnownQuestion(f"{other * 3}{own}{turn}", f"a{n:02}"))
        return Collection(answers, questions)

    helped, misled = (fit_on_known_questions(encoded(collection(m))).weights for m in (False, True))
    own = ("bm25_answer", "dense_answer")
    known = ("bm25_question", "dense_question", "bm25_joined", "dense_whole")
    assert sum(getattr(helped, p) for p in known) > sum(getattr(misled, p) for p in known)
    assert sum(getattr(misled, p) for p in own) > sum(getattr(helped, p) for p in own)
    assert helped.source == "120 known questions, each searched in an index without it"


def test_few_known_questions_leave_the_defaults(collection: Collection) -> None:
    assert fit_on_known_questions(encoded(collection)) == Fitted()


def test_questions_that_a_model_was_trained_on_fit_nothing() -> None:
    from dotbogi.search.index import question_digest

    answers = [Answer(f"a{n}", f"답 {n}") for n in range(10)]
    questions = [KnownQuestion(f"물음 {n}", f"a{n % 10}") for n in range(60)]
    whole = encoded(Collection(answers, questions))
    assert "60 known questions" in fit_on_known_questions(whole).weights.source
    trained = frozenset(question_digest(question.text) for question in questions[:30])
    assert fit_on_known_questions(whole, trained_on=trained) == Fitted()


@pytest.mark.parametrize("questions", [0, 3])
def test_an_answer_as_a_whole_is_its_vector_and_its_questions(questions: int) -> None:
    answers = [Answer("a", "가나"), Answer("b", "다라")]
    known = [KnownQuestion(text, "a") for text in ("가마", "바사", "아자")[:questions]]
    index = build_index(Collection(answers, known), LetterEncoder(), IndexConfig(analyzer="bigram"))  # type: ignore[arg-type]
    rows = index.vectors.encode_answers(["가나"])[0]
    for question in known:
        rows = rows + index.vectors.encode_queries([question.text])[0]
    query = index.vectors.encode_queries(["가바"])
    expected = float(query[0] @ unit_rows(rows[None])[0])
    found = {c.answer_id: c.score for c in index.views["whole"].search_dense(query, 2)[0]}
    assert found["a"] == pytest.approx(expected, abs=1e-6)
