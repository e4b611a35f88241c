"""The nouns and the verb of a sentence that another can take the place of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.edits.morphemes import Change, Morph
from training.edits.predicates import Predicate

# Forms and tags of a noun or predicate: (("비밀", "NNG"), ("번호", "NNG")).
Word = tuple[tuple[str, str], ...]

_CASES = {"JKS": "subject", "JKO": "object"}
_TOPIC_PARTICLES = ("은", "는", "도")
# Nouns that stand for a time, a quantity or anything at all: another in their place says nothing.
_NO_TOPIC = {
    "때", "일", "것", "점", "정도", "경우", "동안", "이번", "다음", "하나", "자신", "자기",
    "본인", "오늘", "내일", "어제", "지금", "요즘", "모두", "처음", "마지막", "이상", "필요",
    "번", "날", "거", "뒤", "앞", "후", "전", "안", "말", "속", "위", "아무것", "한동안", "당분간",
    "평소", "나중", "다음번",
}  # fmt: skip
# Verbs that say too little by themselves, stand for another, or are honorific in their stem.
_NO_PREDICATE = {
    "하", "되", "그러", "이러", "저러", "어쩌", "그렇", "이렇", "저렇", "어떻", "같", "있",
    "없", "아니", "말", "않", "싶", "나", "들", "지", "내", "드시", "계시", "주무시", "가지",
    "두", "놓", "대하", "위하", "따르", "안녕", "위", "대", "달", "치", "모르", "알", "보",
    "주", "드리", "통하", "관하", "의하", "당하", "시키", "이", "수고", "바라", "아무렇",
    "아무래",
}  # fmt: skip
_QUOTING = {"라", "라고", "다고", "ᆫ다고", "는다고", "자고", "냐고"}
_REACH = 5  # morphemes between a noun and its predicate


@dataclass(frozen=True, slots=True)
class Argument:
    """A noun with its particle: places of the noun's morphemes, its part in the sentence."""

    start: int
    end: int
    case: str  # subject, topic, object
    word: Word
    head: Word  # the predicate behind it; () if none is near


def arguments(morphs: Sequence[Morph]) -> Iterator[Argument]:
    """Yield the nouns that are subject, topic or object."""
    for end in range(1, len(morphs)):
        case = case_of(morphs[end])
        if not case:
            continue
        start = end
        while start and morphs[start - 1].tag in ("NNG", "NNP"):
            start -= 1
            if morphs[start].spaced:
                break
        if start == end or not morphs[start].spaced:
            continue
        if start and morphs[start - 1].tag in ("NNG", "NNP"):
            continue  # 역할 분담을: the two are one name
        word = tuple((m.form, m.base) for m in morphs[start:end])
        if word[-1][0] not in _NO_TOPIC:
            yield Argument(start, end, case, word, _head(morphs, end + 1))


def case_of(morph: Morph) -> str:
    """Return the part in the sentence that a particle gives its noun; "" for other morphemes."""
    if morph.tag == "JX" and morph.form in _TOPIC_PARTICLES:
        return "topic"
    return _CASES.get(morph.tag, "")


def _head(morphs: Sequence[Morph], start: int) -> Word:
    for at in range(start, min(start + _REACH, len(morphs))):
        if morphs[at].sentence != morphs[start].sentence:
            break
        if morphs[at].base in ("VV", "VA"):
            return ((morphs[at].form, morphs[at].base),)
        if morphs[at].base in ("XSV", "XSA"):
            return tuple((m.form, m.base) for m in morphs[at - 1 : at + 1])
    return ()


def main_verb(morphs: Sequence[Morph], predicate: Predicate) -> tuple[int, int] | None:
    """Return the places of the verb, adjective or noun + 하다/되다 that a predicate is about.

    Of 신청할 수 있어요 it is 신청하. None if that is a verb that says nothing by itself.
    """
    start, end = predicate.core, predicate.stem + 1
    if morphs[start].form in ("있", "없"):
        at = start - 1 if morphs[start - 1].tag[0] != "J" else start - 2
        if at - 2 < predicate.first or (morphs[at].form, morphs[at - 1].tag) != ("수", "ETM"):
            return None
        start = at - 2
        if morphs[start].base in ("XSV", "XSA") and start > predicate.first:
            start -= 1
    end = start + 1
    while end < predicate.end and morphs[end].base in ("NNG", "XR"):
        end += 1
    if end < predicate.end and morphs[end].base in ("XSV", "XSA"):
        end += 1
    last = morphs[end - 1]
    if start and (morphs[start - 1].tag == "JKQ" or morphs[start - 1].form in _QUOTING):
        return None  # few verbs take what was said or thought
    if start and any(m.tag == "ETN" for m in morphs[max(0, start - 2) : start]):
        return None  # 확신하긴 이르다: few predicates are said of a deed
    if last.base in ("VA", "XSA") and morphs[predicate.stem].form in ("보", "주"):
        return None  # an adjective used as a verb (행복해 봐요): few others can be
    known = last.base in ("VV", "VA") or (last.base in ("XSV", "XSA") and end - start > 1)
    if not known or not morphs[start].spaced or morphs[start].form in _NO_PREDICATE:
        return None
    return start, end


def put_word(morphs: Sequence[Morph], start: int, end: int, word: Word) -> Change:
    """Return the change that puts a word in the place of morphemes, spaced as they were."""
    new = (
        Morph(form, tag, spaced=morphs[start].spaced if i == 0 else False)
        for i, (form, tag) in enumerate(word)
    )
    return Change(start, end, tuple(new))
