"""The words of a collection, by what is typed in their place."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.korean.jamo import strokes_of
from dotbogi.indexes.lexical import BM25Index
from dotbogi.search.vocabulary import Vocabulary, _halves, _is_one_stroke_away

TEXTS = [
    "미세먼지 때문에 목이 아파요",
    "예약 판매 상품은 언제 오나요",
    "번호이동으로 가입할게요",
    "반품 신청은 어디서 하나요",
    "반품 택배비는 얼마예요",
    "구독 해지 버튼이 없어요",
    "wifi 비밀번호",
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(TEXTS, BM25Index.build(Analyzer().tokenize(TEXTS)))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("미먼", "미세먼지"), ("예판", "예약 판매"), ("번이", "번호이동"), ("없다", None)],
)
def test_a_compound_is_found_by_its_first_syllables(
    vocabulary: Vocabulary, typed: str, meant: str | None
) -> None:
    assert vocabulary.clipped(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("반풍", "반품"), ("구돋", "구독"), ("반품", None), ("우주선", None), ("판", None)],
)
def test_a_noun_is_found_by_one_wrong_stroke(
    vocabulary: Vocabulary, typed: str, meant: str | None
) -> None:
    assert vocabulary.nearest(typed) == meant


def test_words_are_found_by_their_initials(vocabulary: Vocabulary) -> None:
    assert vocabulary.with_initials("ㅂㅍ")[0] == "반품"
    assert "비밀번호" in vocabulary.with_initials("ㅂㅁㅂㅎ")
    assert vocabulary.is_latin("WiFi")
    assert not vocabulary.is_latin("login")


words = st.text(alphabet="가나각난뷁닭의", min_size=1, max_size=4)


def is_near(one: str, other: str) -> bool:
    """Return whether two texts are one edit apart, by trying all edits."""
    letters = set(one + other)
    edits = {one[:i] + one[i + 1 :] for i in range(len(one))}
    for i, letter in itertools.product(range(len(one) + 1), letters):
        edits |= {one[:i] + letter + one[i:], one[:i] + letter + one[i + 1 :]}
    return one != other and other in edits


@given(words, words)
def test_words_one_stroke_apart_share_a_half(one: str, other: str) -> None:
    a, b = strokes_of(one), strokes_of(other)
    assert _is_one_stroke_away(a, b) == is_near(a, b)
    if is_near(a, b):
        typed = set(_halves(a, range(len(a) - 1, len(a) + 2)))
        assert typed & set(_halves(b, [len(b)]))
