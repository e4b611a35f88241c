import numpy as np
import pytest
from conftest import LetterEncoder

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.hits import Candidate
from dotbogi.search.index import build_index


def test_an_answer_counts_with_its_best_question(
    collection: Collection, encoder: LetterEncoder
) -> None:
    index = build_index(collection, encoder)
    view, query = index.views["question"], index.vectors.encode_queries(["배가 너무 고픈데"])
    best = view.search_dense(query, 3)[0][0]
    assert (best.answer_id, best.question) == ("a1", "배가 너무 고픈데")
    assert best.score == pytest.approx(1)


@pytest.mark.parametrize("signal", ["dense", "bm25"])
def test_entry_finds_itself_first(
    collection: Collection, encoder: LetterEncoder, signal: str
) -> None:
    index = build_index(collection, encoder)
    view = index.views["answer"]
    for answer in collection.answers:
        if signal == "dense":
            ranking = view.search_dense(encoder.encode_answers([answer.text]), 1)[0]
        else:
            ranking = view.search_bm25(index.analyzer.tokenize([answer.text]), 1)[0]
        assert ranking[0].answer_id == answer.id


@pytest.mark.parametrize("signal", ["dense", "bm25"])
def test_ties_break_by_answer_id(encoder: LetterEncoder, signal: str) -> None:
    # More equal texts than are asked for: which of them come back must not be left to chance.
    answers = [Answer(f"a{number:02}", "배고프다") for number in range(40)]
    index = build_index(Collection(answers, []), encoder)
    view = index.views["answer"]
    if signal == "dense":
        ranking = view.search_dense(encoder.encode_queries(["배고프다"]), 5)[0]
    else:
        ranking = view.search_bm25(index.analyzer.tokenize(["배고프다"]), 5)[0]
    assert [candidate.answer_id for candidate in ranking] == ["a00", "a01", "a02", "a03", "a04"]


def test_many_questions_of_one_answer_do_not_crowd_out_others(encoder: LetterEncoder) -> None:
    answers = [Answer("a", "가"), Answer("b", "나"), Answer("c", "다")]
    questions = [KnownQuestion("배고프다" + "!" * n, "a") for n in range(200)]
    questions += [KnownQuestion("배고픈데", "b"), KnownQuestion("배가", "c")]
    view = build_index(Collection(answers, questions), encoder).views["question"]
    ranking = view.search_dense(encoder.encode_queries(["배고프다"]), 3)[0]
    assert [candidate.answer_id for candidate in ranking] == ["a", "b", "c"]


def test_a_query_without_tokens_finds_nothing(
    collection: Collection, encoder: LetterEncoder
) -> None:
    view = build_index(collection, encoder).views["answer"]
    assert view.search_dense(np.zeros((1, encoder.dim), np.float32), 5) == [[]]
    assert view.search_bm25([[]], 5) == [[]]


def test_joined_view_finds_an_answer_by_words_of_both(
    collection: Collection, encoder: LetterEncoder
) -> None:
    index = build_index(collection, encoder)
    ranking = index.views["joined"].search_bm25(index.analyzer.tokenize(["배고픈데 맛있는 것"]), 1)
    assert ranking[0] == [Candidate("a1", ranking[0][0].score, None)]


def test_a_collection_without_questions_has_an_empty_question_view(
    collection: Collection, encoder: LetterEncoder
) -> None:
    index = build_index(Collection(collection.answers, []), encoder)
    assert index.views["question"].search_dense(encoder.encode_queries(["배고프다"]), 5) == [[]]
    assert index.views["question"].search_bm25([["배고프/V"]], 5) == [[]]
