import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from dotbogi.indexes.lexical import K1, B, BM25Engine, BM25Index, Tokens

ENGINES: tuple[BM25Engine, ...] = ("bm25s", "rank-bm25")
rows_of_tokens = st.lists(
    st.lists(st.sampled_from("가나다라마"), max_size=6), min_size=1, max_size=12
)


def lucene_bm25(corpus: Tokens, query: list[str]) -> list[float]:
    """The formula as written in Kamphuis et al. 2020, variant Lucene (accurate)."""
    mean_length = sum(map(len, corpus)) / len(corpus)
    scores = []
    for row in corpus:
        score = 0.0
        for token in query:
            df = sum(token in other for other in corpus)
            idf = math.log(1 + (len(corpus) - df + 0.5) / (df + 0.5))
            tf = row.count(token)
            score += idf * tf / (tf + K1 * (1 - B + B * len(row) / mean_length))
        scores.append(score)
    return scores


@given(rows_of_tokens, st.lists(st.sampled_from("가나다라마바"), max_size=5))
def test_bm25s_matches_the_written_out_formula(corpus: Tokens, query: list[str]) -> None:
    scores = BM25Index.build(corpus).scores(query)
    expected = np.asarray(lucene_bm25(corpus, query) if any(corpus) else [0.0] * len(corpus))
    assert np.flatnonzero(scores).tolist() == np.flatnonzero(expected).tolist()
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@given(rows_of_tokens.filter(any), st.lists(st.sampled_from("가나다라마바"), max_size=5))
def test_rank_bm25_matches_its_own_package(corpus: Tokens, query: list[str]) -> None:
    scores = BM25Index.build(corpus, "rank-bm25").scores(query)
    rows = np.flatnonzero(scores > -np.inf)
    expected = BM25Okapi(corpus, k1=K1, b=B).get_scores(query) if query else np.zeros(len(corpus))
    assert rows.tolist() == [i for i, row in enumerate(corpus) if set(row) & set(query)]
    np.testing.assert_allclose(scores[rows], expected[rows], atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_token_in_half_of_the_rows_still_finds_them(engine: BM25Engine) -> None:
    # rank-bm25 scores it 0: a match is a shared token, not a score above 0.
    index = BM25Index.build([["가"], ["나"]], engine)
    assert (index.scores(["가"]) > index.floor).tolist() == [True, False]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("corpus", [[], [[]], [[], []]])
def test_an_index_without_tokens_has_no_hits(corpus: Tokens, engine: BM25Engine) -> None:
    index = BM25Index.build(corpus, engine)
    assert index.scores(["가"]).tolist() == [index.floor] * len(corpus)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("corpus", [[["가", "나"], [], ["나"]], [[]]])
def test_saved_index_opens_equal(tmp_path: Path, corpus: Tokens, engine: BM25Engine) -> None:
    built = BM25Index.build(corpus, engine)
    built.save(tmp_path)
    opened = BM25Index.open(tmp_path, engine, len(corpus))
    assert len(opened) == len(built)
    for query in (["가"], ["나", "나"], ["다"], []):
        np.testing.assert_array_equal(opened.scores(query), built.scores(query))


def test_saved_files_hold_no_pickles(tmp_path: Path) -> None:
    BM25Index.build([["가"], ["나"]]).save(tmp_path)
    for path in tmp_path.glob("*.npy"):
        np.load(path, allow_pickle=False)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".npy", ".json"}
