"""Shards find what the whole index finds: the same answers, scores and order."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import LetterEncoder
from effort import effort

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.search.cluster.shards import cut, merge
from dotbogi.search.encoded import IndexConfig
from dotbogi.search.index import SearchIndex, build_index
from dotbogi.search.ranking import find_hits

WORDS = [
    "배송",
    "환불",
    "취소",
    "쿠폰",
    "로그인",
    "비밀번호",
    "언제",
    "어떻게",
    "해요",
    "wifi",
    "5g",
]


def texts(rng: np.random.Generator, count: int) -> list[str]:
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, 6))) for _ in range(count)]


def collection(answers: int, questions: int, seed: int = 0) -> Collection:
    """Texts of few words: many answers score the same."""
    rng = np.random.default_rng(seed)
    kinds = ["배송", "결제"]
    return Collection(
        [
            Answer(f"a{i:04}", text, metadata={"kind": kinds[i % 2]})
            for i, text in enumerate(texts(rng, answers))
        ],
        [
            KnownQuestion(text, f"a{owner:04}")
            for text, owner in zip(
                texts(rng, questions), rng.integers(answers, size=questions), strict=True
            )
        ],
    )


def in_shards(index: SearchIndex, count: int) -> SearchIndex:
    shards = cut(index, count)
    assert [p for shard in shards for p in shard.positions] == [*range(len(index.answers))]
    opened = [shard.open() for shard in shards]

    def search(tokens: Any, vectors: Any, n: int, allowed: Any) -> Any:
        parts = [
            shard.best(
                tokens, vectors, n,
                None if allowed is None
                else allowed[shard.positions.start : shard.positions.stop],
            )
            for shard in opened
        ]  # fmt: skip
        return merge(parts, n)

    without = {n: replace(view, bm25=None, dense=None) for n, view in index.views.items()}
    return replace(index, views=without, shards=search)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("answers", "questions", "shards", "settings"),
    [
        (300, 900, 4, {}),
        (300, 0, 4, {}),
        (300, 900, 4, {"bm25": "rank-bm25"}),
        (300, 900, 4, {"analyzer": "bigram"}),
        (3, 9, 4, {}),
        (300, 900, 1, {}),
    ],
    ids=["hybrid", "no questions", "rank-bm25", "bigrams", "fewer answers than shards", "one"],
)
def test_shards_find_what_the_whole_index_finds(
    answers: int, questions: int, shards: int, settings: dict[str, Any]
) -> None:
    settings = {"analyzer": "whitespace", "tolerance": "none", **settings}
    index = build_index(collection(answers, questions), LetterEncoder(), IndexConfig(**settings))
    parts = in_shards(index, shards)
    queries = [*texts(np.random.default_rng(1), effort(50, 5000)), "", "없는말"]
    compared = 0
    for where in (None, {"kind": "결제"}, {"kind": "없음"}):
        whole = find_hits(index, queries, 10, where=where)
        assert find_hits(parts, queries, 10, where=where) == whole
        compared += sum(map(len, whole))
    print(f"{compared} hits of {3 * len(queries)} searches: equal scores and order")
    assert compared > 15 * len(queries) or answers < 10
