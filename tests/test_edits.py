import csv
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.edits import EDIT_KINDS, Edit, Editor
from training.edits.editor import last_predicate
from training.edits.morphemes import (
    Change,
    Morph,
    analyse,
    has_final_consonant,
    join,
    reads_back,
    splice,
)
from training.edits.polarity import change_polarity
from training.edits.swaps import arguments, main_verb, put_word
from training.edits.tense import TENSES, change_tense

GOLDEN = Path(__file__).parent / "data" / "edits.tsv"

TALK = [
    "오늘은 김치찌개를 먹었어요.",
    "동생이 라면을 끓였어요.",
    "친구가 사과를 샀어요.",
    "엄마는 커피를 마셔요.",
    "반품은 이레 안에 신청하세요.",
    "환불을 확인하세요.",
    "배송이 지연되었습니다.",
    "결제가 취소되었습니다.",
    "상품이 도착했습니다.",
    "프린터가 고장 났어요. 전원을 껐다가 켜 보세요.",
    "비밀번호를 바꾸세요.",
    "여권은 구청에서 신청할 수 있습니다.",
    "날씨가 추워요!",
    "방이 정말 넓네요ㅎㅎ",
    "시간이 없어요.",
    "저는 학생이에요",
    "밥 먹자",
    "걱정하지 마세요.",
]
NOT_KOREAN = [
    "",
    " ",
    "OK, see you at 5pm.",
    "ㅋㅋㅋ",
    "ㅠㅠ",
    "😀😀",
    "?!",
    "None",
    "nan",
    "123",
    "\ud800",
]


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor(TALK)


def golden() -> list[dict[str, str]]:
    with GOLDEN.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def asked_change(morphs: list[Morph], kind: str, asked: str) -> Change | None:
    """Return the change that a row of the golden set asks for."""
    predicate = last_predicate(morphs)
    old, _, new = asked.partition("→")
    if kind == "topic":
        nouns = {"".join(form for form, _ in n.word): n for n in arguments(morphs)}
        word = tuple((m.form, m.tag) for m in analyse([new])[0])
        return put_word(morphs, nouns[old].start, nouns[old].end, word) if old in nouns else None
    if predicate is None:
        return None
    if kind == "tense":
        (tense,) = (t for t in TENSES if t == asked)
        return change_tense(morphs, predicate, tense)
    if kind == "polarity":
        return change_polarity(morphs, predicate)
    place = main_verb(morphs, predicate)
    if place is None or join([*morphs[slice(*place)], Morph("다", "EF")]) != old:
        return None
    word = tuple((m.form, m.tag) for m in analyse([new])[0][:-1])
    return put_word(morphs, *place, word)


def edited(text: str, kind: str, asked: str) -> str:
    """Return the edit of a row, or why there is none."""
    (morphs,) = analyse([text])
    change = asked_change(morphs, kind, asked)
    written = change and splice(text, morphs, change)
    if not written:
        return "no change" if change is None else "cannot be written"
    meant_so = reads_back(written[1], analyse([written[0]])[0])
    return written[0] if meant_so else f"{written[0]} (not read back as meant)"


def test_nine_of_ten_golden_edits_are_what_a_korean_would_write() -> None:
    rows = golden()
    failures = [
        f"{row['kind']} {row['change']}: {row['text']} → {found}, not {row['expected']}"
        for row in rows
        if (found := edited(row["text"], row["kind"], row["change"]))
        not in row["expected"].split("|")
    ]
    assert len(rows) >= 150
    assert len(rows) - len(failures) >= 0.9 * len(rows), "\n".join(failures)


def test_the_golden_set_has_every_kind() -> None:
    assert {row["kind"] for row in golden()} == set(EDIT_KINDS)


def test_the_same_text_has_the_same_edits(editor: Editor) -> None:
    again = Editor(TALK).edits_many(TALK)
    assert editor.edits_many(TALK) == again
    assert Editor(TALK, seed=7).edits_many(TALK) != again


def test_edits_of_many_are_the_edits_of_each(editor: Editor) -> None:
    texts = [*TALK, *NOT_KOREAN]
    assert editor.edits_many(texts) == [editor.edits(text) for text in texts]
    assert editor.edits_many([]) == []


@pytest.mark.parametrize("text", NOT_KOREAN)
def test_what_is_not_korean_has_no_edits(editor: Editor, text: str) -> None:
    assert editor.edits(text) == []


def test_every_kind_is_made_and_no_edit_is_the_text_or_comes_twice(editor: Editor) -> None:
    kinds = set()
    for text, edits in zip(TALK, editor.edits_many(TALK), strict=True):
        written = [edit.text for edit in edits]
        assert len({text, *written}) == 1 + len(written)
        kinds |= {edit.kind for edit in edits}
    assert kinds == set(EDIT_KINDS)


def test_a_long_text_is_edited_in_one_place(editor: Editor) -> None:
    start = "상품이 도착했습니다! " * 300
    edits = editor.edits(start + "밥 먹자")
    assert Edit(start + "밥 먹었어", "tense") in edits


def test_other_sentences_spacing_and_signs_stay(editor: Editor) -> None:
    edits = editor.edits("음...  네 ,알겠어요~ 시간이  없어요ㅠㅠ;;")
    assert "음...  네 ,알겠어요~ 시간이  있어요ㅠㅠ;;" in [e.text for e in edits]


def test_a_decomposed_text_is_edited_like_the_composed_one(editor: Editor) -> None:
    text = "시간이 없어요."
    assert editor.edits(unicodedata.normalize("NFD", text)) == editor.edits(text)


def test_particles_agree_with_the_noun_put_in(editor: Editor) -> None:
    pairs = {"은": "는", "이": "가", "을": "를"}
    for edits in editor.edits_many(TALK):
        for edit in edits:
            for before, morph in zip(
                *(lambda m: (m, m[1:]))(analyse([edit.text])[0]), strict=False
            ):
                if before.tag in ("NNG", "NNP") and morph.form in {*pairs, *pairs.values()}:
                    closed = has_final_consonant(before.form)
                    assert (morph.form in pairs) == closed, edit.text


def test_an_edit_that_kiwi_reads_otherwise_is_left_out() -> None:
    (meant,) = analyse(["길이 가깝다"])
    assert reads_back(meant, analyse(["길이 가깝다"])[0])
    assert not reads_back(meant, analyse(["길이 멀다"])[0])


def test_adverbs_of_time_and_polarity_are_kept_to() -> None:
    kinds = {
        text: [(e.text, e.kind) for e in edits]
        for text in ("내일 가요.", "아무도 없어요.")
        for edits in [Editor([]).edits(text)]
    }
    assert kinds["내일 가요."] == [
        ("내일 갈 거예요.", "tense"),
        ("내일 안 가요.", "polarity"),
    ]
    assert all(kind == "tense" for _, kind in kinds["아무도 없어요."])


PIECES = [
    "밥", "은", "을 ", "먹", "었", "지 ", "않", "습니다", "요", ". ", "안 ", "못 ", "하", "세요",
    "ㅋㅋ ", "수 ", "있", "거 ", "이", "에요", "면 ", "안", "a", "😀", "도 ",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), max_size=12)
    | st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
)
def test_no_text_breaks_the_editor(text: str) -> None:
    edits = Editor(TALK[:3]).edits(text)
    assert text not in [edit.text for edit in edits]
    assert all(edit.text.strip() for edit in edits)
