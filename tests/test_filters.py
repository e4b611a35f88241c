from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import LetterEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

import dotbogi.indexes.views
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.dense import DenseIndex, DenseKind, Vectors
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.hits import Ranking
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.metadata import MetadataIndex
from dotbogi.indexes.views import SIGNALS, View
from dotbogi.search.confidence import FEATURES, Calibration
from dotbogi.search.encoders import unit_rows
from dotbogi.search.fitted import Fitted
from dotbogi.search.index import IndexConfig, build_index
from dotbogi.search.searcher import Searcher

ANSWERS = [
    Answer("a1", "배송은 이틀이면 도착합니다.", {"category": "배송", "lang": "ko"}),
    Answer("a2", "환불은 사흘 안에 됩니다.", {"category": "환불", "lang": "ko"}),
    Answer("a3", "Refunds take three days.", {"category": "환불", "lang": "en"}),
    Answer("a4", "도착한 뒤 이틀 안에 알려 주세요.", {"category": "배송"}),
    Answer("a5", "배송 상자는 이틀 뒤에 가져갑니다."),
]


@pytest.fixture(scope="module")
def searcher() -> Searcher:
    questions = [KnownQuestion("이틀이면 오나요", "a1"), KnownQuestion("이틀이면 되나요", "a2")]
    return Searcher(build_index(Collection(ANSWERS, questions), LetterEncoder()))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"category": "배송"}, {"a1", "a4"}),
        ({"category": ["배송", "환불"]}, {"a1", "a2", "a3", "a4"}),
        ({"category": {"환불"}, "lang": "ko"}, {"a2"}),
        ({"category": "환불", "lang": ("ko", "en")}, {"a2", "a3"}),
        ({" category ": "배송 "}, {"a1", "a4"}),  # NFD and spaces, as tables have them
        ({"category": "없는 값"}, set()),
        ({"no such field": "배송"}, set()),
        ({"category": []}, set()),
        ({}, {"a1", "a2", "a3", "a4", "a5"}),
    ],
)
def test_only_answers_with_the_metadata_come_back(
    searcher: Searcher, where: Any, expected: set[str]
) -> None:
    found = searcher.search("배송 이틀 환불 refunds 도착", k=5, where=where)
    assert {hit.answer_id for hit in found} == expected


@pytest.mark.parametrize(
    "where", ["배송", [("category", "배송")], {"category": 1}, {"category": [1]}, {1: "a"},
              {"category": None}, {"category": b"a"}, {"category": {"a": "b"}}],
)  # fmt: skip
def test_a_filter_of_a_wrong_type_says_what_is_expected(searcher: Searcher, where: Any) -> None:
    with pytest.raises(UsageError, match=r'expected .*\{"category": "배송"\}'):
        searcher.search("배송", where=where)


def test_a_name_that_no_answer_has_is_not_remembered() -> None:
    # A service passes on what anybody sends.
    metadata = MetadataIndex(ANSWERS)
    for number in range(100):
        assert not metadata.allowed({f"field {number}": "배송"}).any()
    assert not metadata._numbered


def test_a_known_question_asked_verbatim_is_filtered_too(searcher: Searcher) -> None:
    assert searcher.search("이틀이면 오나요")[0].answer_id == "a1"
    found = searcher.search("이틀이면 오나요", where={"category": "환불"})
    assert "a1" not in {hit.answer_id for hit in found}


def test_confidence_under_a_filter_is_that_of_its_first_answer(searcher: Searcher) -> None:
    coefficients = dict.fromkeys(FEATURES, 0.0) | {"cosine": 10.0}
    calibration = Calibration(coefficients=coefficients, intercept=-8.0, threshold=0.8, source="")
    calibrated = Searcher(replace(searcher.index, fitted=Fitted(calibration=calibration)))
    query, where = "이틀이면 오나요", {"category": "환불"}
    everywhere = calibrated.search(query)[0].confidence
    filtered = calibrated.search(query, where=where)[0].confidence
    assert everywhere is not None
    assert filtered is not None
    assert filtered < everywhere
    assert calibrated.search(query, min_confidence=everywhere)
    assert calibrated.search(query, where=where, min_confidence=everywhere) == []
    assert calibrated.search(query, where={"category": "-"}, min_confidence=0) == []


words = st.sampled_from(["배송", "환불", "도착", "이틀", "결제", "쿠폰", "wifi", "주문"])
texts = st.lists(words, min_size=1, max_size=4).map(" ".join)
two_sentences = st.lists(texts, min_size=1, max_size=2).map(". ".join)
metadata = st.fixed_dictionaries(
    {}, optional={"category": st.sampled_from("가나다"), "lang": st.sampled_from(["ko", "en"])}
)
wheres = st.fixed_dictionaries(
    {},
    optional={
        "category": st.lists(st.sampled_from("가나다라"), max_size=3),
        "lang": st.sampled_from(["ko", "en"]),
    },
)


def is_allowed(answer: Answer, where: dict[str, Any]) -> bool:
    asked = {field: [v] if isinstance(v, str) else v for field, v in where.items()}
    return all(answer.metadata.get(field) in values for field, values in asked.items())


@settings(max_examples=100)
@given(
    rows=st.lists(st.tuples(two_sentences, metadata), min_size=1, max_size=12),
    asked=st.lists(st.tuples(texts, st.integers(0, 11)), max_size=8),
    query=texts,
    where=wheres,
    n=st.integers(1, 6),
    kind=st.sampled_from(["exact", "hnsw"]),
)
def test_every_signal_filters_before_its_cut(
    rows: list[tuple[str, dict[str, str]]],
    asked: list[tuple[str, int]],
    query: str,
    where: dict[str, Any],
    n: int,
    kind: DenseKind,
) -> None:
    answers = [Answer(f"a{i:02}", text, fields) for i, (text, fields) in enumerate(rows)]
    questions = [KnownQuestion(text, f"a{i % len(rows):02}") for text, i in asked]
    config = IndexConfig(analyzer="bigram", dense=kind)
    searcher = Searcher(build_index(Collection(answers, questions), LetterEncoder(), config))
    allowed = {answer.id for answer in answers if is_allowed(answer, where)}
    everything = searcher.rankings([query], 1000)[0]
    found = searcher.rankings([query], n, where=where)[0]
    for signal in SIGNALS:
        left = [c for c in everything[signal] if c.answer_id in allowed]
        assert_same(found[signal], {c.answer_id: c.score for c in left}, n)
    assert {hit.answer_id for hit in searcher.search(query, k=n, where=where)} <= allowed


def assert_same(ranking: Ranking, scores: dict[str, float], n: int) -> None:
    """The ranking is the n best of these answers, to float32."""
    best = sorted(scores.values(), reverse=True)[:n]
    assert [c.score for c in ranking] == pytest.approx(best, abs=1e-6)
    assert len({c.answer_id for c in ranking}) == len(ranking)
    for candidate in ranking:
        assert candidate.score == pytest.approx(scores[candidate.answer_id], abs=1e-6)
    assert ranking == sorted(ranking, key=lambda c: (-c.score, c.answer_id))


# --- a large collection ---

MANY, CATEGORIES, N = 100_000, 50, 100


def _best_by_answer(
    owners: Iterable[int], scores: Iterable[float], allowed: np.ndarray[Any, Any]
) -> dict[str, float]:
    best: dict[str, float] = {}
    for owner, score in zip(owners, scores, strict=True):
        if allowed[owner]:
            key = f"a{owner:06}"
            best[key] = max(best.get(key, -np.inf), score)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_filtered_search_of_100000_answers_equals_brute_force(signal: str) -> None:
    # Without a filter before the cut, the best 100 of all hold some 2 of a category.
    rng = np.random.default_rng(0)
    scorer, name = signal.split(".")
    answer_ids = [f"a{number:06}" for number in range(MANY)]
    category = rng.integers(CATEGORIES, size=MANY)
    owners = np.arange(MANY)
    if name == "question":  # most of them of a few answers
        owners = np.sort((MANY * rng.random(MANY) ** 3).astype(np.int64))
    empty = BM25Index.build([])
    if scorer == "bm25":
        length = 30 if name == "joined" else 10
        tokens = [
            [f"t{t}" for t in row] for row in rng.zipf(1.3, (MANY, length)).clip(max=5000).tolist()
        ]
        view = View(answer_ids, owners, BM25Index.build(tokens))
        queries: Any = [tokens[row][:5] for row in rng.integers(MANY, size=10)]
    else:
        owners = np.sort(np.concatenate([owners, owners[: MANY // 2]]))  # several rows an answer
        vectors = unit_rows(rng.standard_normal((len(owners), 32), dtype=np.float32))
        vectors[1::1000] = vectors[0]  # equal texts
        view = View(answer_ids, owners, empty, DenseIndex.build(vectors), owners)
        queries = unit_rows(vectors[rng.integers(len(owners), size=10)] + 0.1)
    for number in range(10):
        # The first five: any of several values, more texts than are scored one by one.
        allowed = np.isin(category, rng.permutation(CATEGORIES)[: 25 if number < 5 else 1])
        query = queries[number : number + 1]
        if scorer == "bm25":
            found = view.search_bm25(query, N, allowed)[0]
            scores = view.bm25.scores(query[0])
            rows = np.flatnonzero(scores > view.bm25.floor)
            expected = _best_by_answer(owners[rows].tolist(), scores[rows].tolist(), allowed)
        else:
            found = view.search_dense(query, N, allowed)[0]
            products = (vectors.astype(np.float64) @ query[0].astype(np.float64)).tolist()
            expected = _best_by_answer(owners.tolist(), products, allowed)
        assert len(found) == min(N, len(expected))
        assert_same(found, expected, N)


def test_texts_of_one_answer_crowd_no_other_out_of_a_filtered_search() -> None:
    # More rows of one answer than a search without a filter fetches at most.
    rows = dotbogi.indexes.views.MOST_ROWS + 10
    vectors = np.zeros((rows + 2, 4), np.float32)
    vectors[:rows, 0] = 1
    vectors[rows:] = unit_rows(np.asarray([[1, 1, 0, 0], [1, 2, 0, 0]], np.float32))
    owners = np.asarray([0] * rows + [1, 2])
    view = View(["a", "b", "c"], owners, BM25Index.build([]), DenseIndex.build(vectors), owners)
    found = view.search_dense(vectors[:1], 3, np.asarray([True, True, False]))[0]
    assert [candidate.answer_id for candidate in found] == ["a", "b"]


@pytest.mark.parametrize("allowed_share", [0.02, 0.5])
@pytest.mark.parametrize("by_graph", [False, True])
def test_hnsw_under_a_filter_is_exact_or_nearly(
    allowed_share: float, by_graph: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_graph:  # what many allowed rows get
        monkeypatch.setattr(dotbogi.indexes.views, "_SCORED_ROWS", 0)
    rng = np.random.default_rng(1)
    vectors: Vectors = unit_rows(rng.standard_normal((4000, 16), dtype=np.float32))
    owners = np.arange(4000)
    answer_ids = [f"a{number:06}" for number in range(4000)]
    view = View(answer_ids, owners, BM25Index.build([]), DenseIndex.build(vectors, "hnsw"), owners)
    allowed = rng.random(4000) < allowed_share
    shared = []
    for query in range(0, 4000, 200):
        found = view.search_dense(vectors[query : query + 1], 20, allowed)[0]
        expected = _best_by_answer(range(4000), (vectors @ vectors[query]).tolist(), allowed)
        best = sorted(expected, key=lambda key: -expected[key])[:20]
        assert {candidate.answer_id for candidate in found} <= expected.keys()
        shared.append(len(set(best) & {candidate.answer_id for candidate in found}) / 20)
    assert np.mean(shared) >= (0.95 if by_graph else 1)
