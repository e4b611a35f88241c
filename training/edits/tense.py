"""The final predicate in another tense, at the same level of politeness."""

from collections.abc import Sequence
from typing import Literal, get_args

from training.edits.endings import foreseen, has_future, stated, wish
from training.edits.morphemes import Change, Morph
from training.edits.predicates import Predicate, finish

Tense = Literal["past", "present", "future"]
TENSES: tuple[Tense, ...] = get_args(Tense)

# Words that go with one tense only. 오늘 goes with all.
_PAST_WORDS = {
    "어제", "그제", "그저께", "엊그제", "아까", "방금", "지난", "옛날", "예전", "지난번",
    "작년", "어젯밤",
}  # fmt: skip
_FUTURE_WORDS = {
    "내일", "모레", "글피", "이따", "이따가", "곧", "앞으로", "나중", "다음", "언젠가", "내년",
    "이제부터", "머지않",
}  # fmt: skip
# Said, they are done: thanks and apologies are not foreseen.
_SAID_NOW = {"고맙", "감사", "미안", "죄송", "축하", "안녕", "반갑", "부탁"}
_PRESENT_WORDS = {"요즘", "요새", "지금"}


def tense_of(predicate: Predicate) -> Tense:
    """Return the tense of a predicate; a wish or command counts as present."""
    if predicate.coming or "겠" in predicate.prefinal:
        return "future"
    return "past" if "었" in predicate.prefinal else "present"


def change_tense(morphs: Sequence[Morph], predicate: Predicate, tense: Tense) -> Change | None:
    """Return the change that puts the predicate into a tense.

    밥 먹자 becomes 밥 먹었어 (a wish is told as a fact), 먹어요 becomes 먹을 거예요. None if it
    is in this tense already, if an adverb of time speaks against it, or if its ending has no such
    form.
    """
    if tense == tense_of(predicate) or _time_forbids(morphs, predicate, tense):
        return None
    name, honorific = stated(predicate.family)
    honorific = honorific or predicate.honorific
    if tense == "future" and _foresees_already(morphs, predicate):
        return None
    if (tense == "present" and wish(predicate.family)) or (
        tense != "past" and name in ("ᆯ까", "ᆯ까요")
    ):
        return None
    start, stem = predicate.stem, [morphs[predicate.stem]]
    if morphs[start].form == "말" and morphs[start].base == "VX":
        stem = [Morph("않", "VX", spaced=morphs[start].spaced)]  # 하지 마세요 → 하지 않으셨어요
    base = ["시"] if honorific else []
    if tense != "future":
        prefinal = [*base, "었"] if tense == "past" else base
        tail = finish(predicate.kind, name, prefinal)
    elif not has_future(name) or morphs[predicate.core].form in _SAID_NOW:
        return None
    elif coming := foreseen(name):
        noun, form = coming
        tail = [
            *(Morph("시", "EP") for _ in base),
            Morph("ᆯ", "ETM"),
            Morph(noun, "NNB"),
            Morph("이", "VCP"),
            Morph(form, "EF"),
        ]
    else:
        tail = finish(predicate.kind, name, [*base, "겠"])
    return Change(start, predicate.end, (*stem, *tail))


def _foresees_already(morphs: Sequence[Morph], predicate: Predicate) -> bool:
    """Return True for 갈 것 같다 and 가는 거다."""
    stem, before = morphs[predicate.stem], morphs[predicate.stem - 1]
    return stem.form == "같" or (stem.base == "VCP" and before.form in ("거", "것", "테"))


def _time_forbids(morphs: Sequence[Morph], predicate: Predicate, tense: Tense) -> bool:
    words = {m.form for m in morphs[predicate.first : predicate.end]}
    if tense == "past":
        before = morphs[predicate.first : max(predicate.first, predicate.core - 1)]
        conditions = any(m.tag == "EC" and m.form.endswith("면") for m in before)
        return conditions or bool(words & _FUTURE_WORDS)
    if tense == "future":
        return bool(words & (_PAST_WORDS | _PRESENT_WORDS))
    return bool(words & _PAST_WORDS)
