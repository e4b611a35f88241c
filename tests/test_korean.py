"""Korean as people type it: letters, keyboards, drawn-out words, synonyms, lists."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.korean.jamo import initials_of, is_syllable, join, split
from dotbogi.indexes.korean.keyboard import to_hangul, to_latin
from dotbogi.indexes.korean.lexicon import read_lexicon
from dotbogi.indexes.korean.repeats import without_repeats
from dotbogi.indexes.korean.spelling import respaced, spaced, spelled, unknown_words, words_of
from dotbogi.indexes.korean.synonyms import Synonyms, bundled_groups, read_groups

syllables = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
korean = st.text(st.one_of(syllables, st.sampled_from(" 1,.!?")), max_size=20)
anything = st.text(
    st.one_of(syllables, st.characters(min_codepoint=0x3131, max_codepoint=0x3163),
              st.sampled_from("abcQRTO 12!?~^.ㅋㅠ"), st.characters(exclude_categories=["Cs"])),
    max_size=20,
)  # fmt: skip


@given(syllables)
def test_a_syllable_is_its_letters(syllable: str) -> None:
    assert join(*split(syllable)) == syllable
    assert initials_of(syllable) == split(syllable)[0]


@settings(max_examples=1000)
@given(korean)
def test_both_ways_of_the_keyboard_are_the_identity_on_korean(text: str) -> None:
    typed = to_latin(text)
    assert not any(map(is_syllable, typed))
    assert to_hangul(typed) == text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dkssud", "안녕"), ("ghksqnf djswp ehody", "환불 언제 돼요"), ("ekfrrkqt", "닭값"),
        ("Rjwu", "꺼져"), ("ehlwl dksgdk", "되지 않아"), ("dmldhl", "의외"), ("DKSSUD", "안녕"),
    ],
)  # fmt: skip
def test_latin_keys_type_hangul(typed: str, meant: str) -> None:
    assert to_hangul(typed) == meant


def test_hangul_keys_type_latin() -> None:
    assert to_latin("ㅣㅐ햐ㅜ") == "login"
    assert to_latin("쟈랴") == "wifi"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("배고파아아ㅠㅠ", "배고파"), ("안녕ㅎㅎㅎㅎ", "안녕"), ("짜증나ㅏㅏ", "짜증나"),
        ("네에에!!!!!", "네!"), ("왜요???!!", "왜요!"), ("빨리이이 와줘", "빨리 와줘"),
        ("나아지고 싶어", "나아지고 싶어"), ("좋아요", "좋아요"), ("1111 1000원", "1111 1000원"),
        ("ㅂㅅ 조회", "ㅂㅅ 조회"), ("ㅎㅂ", "ㅎㅂ"), ("ㅇㅇㄷ 찾기", "ㅇㅇㄷ 찾기"),
        ("없넼ㅋㅋ", "없네"), ("좋닿ㅎ", "좋다"), ("나아 가야지", "나아 가야지"),
        ("아자아자", "아자아자"),
    ],
)  # fmt: skip
def test_drawn_out_letters_and_faces_go(typed: str, meant: str) -> None:
    assert without_repeats(typed) == meant


@settings(max_examples=1000)
@given(anything)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = without_repeats(text)
    assert without_repeats(once) == once


@settings(max_examples=300)
@given(anything)
def test_correcting_twice_changes_nothing_more(text: str) -> None:
    once = spaced(spelled(" ".join(text.split())))
    assert spaced(spelled(once)) == once


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("환불해주새요", "환불해주세요"), ("언제쯤 받을수잇나여", "언제쯤 받을수있나여"),
        ("로긴이 안되요", "로긴이 안돼요"), ("배가 고파요", "배가 고파요"),
        ("refund policy pls", "refund policy pls"),
    ],
)  # fmt: skip
def test_spelling_is_corrected(typed: str, meant: str) -> None:
    assert spelled(typed) == meant


def test_spaces_are_set_in_long_runs_or_all_anew() -> None:
    assert spaced("주문한물건이안왔어요") == "주문한 물건이 안 왔어요"
    assert spaced("배가 고파요") == "배가 고파요"
    assert respaced("아침부터머 리가너 무아파") == "아침부터 머리가 너무 아파"


def test_a_word_says_what_is_odd_about_it() -> None:
    first, second = words_of("비회원 으로주문 ".strip())
    assert (first.begins_inside, second.begins_inside) == (False, True)
    assert words_of("해택이 뭐죠")[0].falls_apart
    assert not words_of("혜택이 뭐죠")[0].falls_apart
    assert [word.is_made_up for word in words_of("점메추 부탁해")] == [True, False]


def test_synonyms_are_found_as_words_of_their_own() -> None:
    synonyms = Synonyms([["비밀번호", "비번", "pw"], ["앱", "어플"]])

    def words(text: str) -> list[str]:
        return [found.word for found in synonyms.find(text)]

    assert words("비번이 뭐였지") == ["비번"]
    assert words("PW 까먹음") == ["pw"]
    assert words("pwd 까먹음") == []
    assert words("앱을 깔았어요") == ["앱"]
    assert words("앱솔루트 보드카") == []  # 앱 has one syllable: only an ending may follow
    assert words("비밀번호찾기") == ["비밀번호"]
    assert [f.word for f in Synonyms([["기프트카드", "giftcard"]]).find("내 gift card")] == [
        "giftcard"
    ]
    (found,) = synonyms.find("제 비번은")
    assert (found.start, found.end, found.others) == (2, 4, ("비밀번호", "pw"))


def test_the_bundled_groups_are_sound() -> None:
    groups = bundled_groups()
    assert len(groups) >= 400
    words = [word for group in groups for word in group]
    assert len(words) == len(set(words))  # a word means one thing
    assert all(word == word.strip().lower() and " " not in word for word in words)
    assert all(word == unicodedata.normalize("NFC", word) for word in words)


def test_groups_are_lines_of_words() -> None:
    assert read_groups(["# 계정", "비밀번호, 비번", "", "혼자", "a,b # 끝"]) == [
        ("비밀번호", "비번"), ("a", "b"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("synonyms.csv", "비밀번호,비번\n혼자\n", "line 2: one word"),
        ("synonyms.csv", "비밀 번호,비번\n", "line 1: '비밀 번호'"),
        ("dictionary.csv", "삼김\n!!\n", "line 2: '!!'"),
        ("dictionary.csv", "삼김,XX\n", "tag 'XX'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str, what: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=what) as raised:
        read_lexicon(tmp_path)
    assert "\n" not in str(raised.value)


def test_words_that_kiwi_does_not_know_are_suggested() -> None:
    texts = ["점메추 좀", "점메추 부탁해", "오늘 점메추", "배송 조회"]
    assert unknown_words(texts) == [("점메추", 3)]
    assert unknown_words(texts, ("점메추/NNP",)) == []
