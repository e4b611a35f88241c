"""The final predicate denied, or its denial taken away."""

from collections.abc import Sequence

from training.edits.endings import COMMANDS
from training.edits.morphemes import Change, Morph
from training.edits.predicates import MODAL_LINKS, Predicate, finish, link_before, stem_kind

# Words that go with a denial only, or never with one.
_DENIAL_ONLY = {
    "아무", "아무도", "아무것", "아무런", "전혀", "별로", "결코", "절대", "절대로", "도무지",
    "밖에", "더이상", "이상", "하나", "여간", "그다지", "아직", "미처", "좀처럼", "차마",
    "딱히", "도저히", "굳이", "조금", "누구", "어디",
}  # fmt: skip
_NO_DENIAL = {
    "이미", "벌써", "꽤", "어서", "얼른", "제법", "아무래도", "역시", "안녕", "오랜만", "제일",
    "가장",
}  # fmt: skip
_QUESTIONS = {
    "어떻", "어떠", "어쩌", "뭐", "무엇", "누구", "어디", "언제", "얼마", "몇", "왜", "뭣", "어찌",
}  # fmt: skip
# Denials that Kiwi takes for verbs.
_WRITTEN_DENIED = ("안나", "안되", "안하")
_OPPOSITE = {"있": "없", "없": "있", "알": "모르", "모르": "알"}
_SHORT = 2  # syllables of a stem that takes 안 before it; longer ones take 지 않다


def change_polarity(morphs: Sequence[Morph], predicate: Predicate) -> Change | None:
    """Return the change that denies the predicate, or takes its denial away.

    있다/없다, 알다/모르다 and 이다/아니다 change places; 안, 못, 지 않다, 지 못하다 and 지 말다
    come or go. None if another word of the sentence holds to its polarity (아무도, 아직, 이미), and
    for 갈 수도 있다: it may be, whose denial is another.
    """
    if _words(morphs, predicate) & _DENIAL_ONLY or _is_possibility(morphs, predicate):
        return None
    return (
        _without_denial(morphs, predicate)
        or _opposite(morphs, predicate)
        or _denied(morphs, predicate)
    )


def _is_possibility(morphs: Sequence[Morph], p: Predicate) -> bool:
    return p.stem - 2 >= p.first and [m.form for m in morphs[p.stem - 2 : p.stem]] == ["수", "도"]


def _words(morphs: Sequence[Morph], predicate: Predicate) -> set[str]:
    return {m.form for m in morphs[predicate.first : predicate.core]}


def _end(morphs: Sequence[Morph], predicate: Predicate, stem: int) -> list[Morph]:
    """Return what follows the stem: as it is in 을 것이다, else fitted to the new stem."""
    if predicate.coming:
        return list(morphs[predicate.stem + 1 : predicate.end])
    found = stem_kind(morphs, stem)
    return finish(found, predicate.family, predicate.prefinal)


def _without_denial(morphs: Sequence[Morph], p: Predicate) -> Change | None:
    stem, link = morphs[p.stem], link_before(morphs, p.stem)
    far = stem.form in ("않", "못하", "말") or morphs[p.stem - 1].form == "못"
    if far and link > p.first and morphs[link].tag == "EC" and morphs[link].form == "지":
        main = link - 1
        return Change(main, p.end, (morphs[main], *_end(morphs, p, main)))
    at = p.core - 1
    if at >= p.first and morphs[at].tag == "MAG" and morphs[at].form in ("안", "못"):
        verb = morphs[p.core]
        verb = Morph(verb.form, verb.tag, spaced=morphs[at].spaced)
        return Change(at, p.end, (verb, *morphs[p.core + 1 : p.end]))
    return None


def _opposite(morphs: Sequence[Morph], p: Predicate) -> Change | None:
    """Return the change between 있다 and 없다, 알다 and 모르다, 이다 and 아니다."""
    if _words(morphs, p) & _NO_DENIAL:
        return None
    stem = morphs[p.stem]
    if stem.base in ("VCP", "VCN"):
        return _opposite_copula(morphs, p)
    form = _opposite_form(stem, auxiliary=p.core != p.stem)
    if not form:
        return None
    changed = Morph(form, stem.tag, spaced=stem.spaced)
    return Change(p.stem, p.end, (changed, *morphs[p.stem + 1 : p.end]))


def _opposite_copula(morphs: Sequence[Morph], p: Predicate) -> Change | None:
    """학생이다 → 학생이 아니다 and back."""
    affirmed = morphs[p.stem].base == "VCP"
    at = p.stem - 1 if affirmed else p.stem - 2
    if at < p.first or morphs[at].tag[0] not in "NXS" or morphs[at].form in _QUESTIONS:
        return None
    noun, tail = morphs[at], _end(morphs, p, p.stem)
    if not affirmed:
        particle = morphs[p.stem - 1].tag in ("JKC", "JKS")
        return Change(at, p.end, (noun, Morph("이", "VCP"), *tail)) if particle else None
    if (noun.form, noun.tag) == ("거", "NNB"):
        noun = Morph("것", "NNB", spaced=noun.spaced)
    return Change(at, p.end, (noun, Morph("가", "JKC"), Morph("아니", "VCN"), *tail))


def _opposite_form(stem: Morph, *, auxiliary: bool) -> str:
    """Return the stem of the opposite: 맛없 for 맛있, 모르 for 알; "" if it has none."""
    if stem.base == "VX" or auxiliary:
        return ""  # 먹고 있다 is denied as 먹고 있지 않다
    if stem.form in _OPPOSITE:
        return _OPPOSITE[stem.form]
    if stem.form == "재밌":
        return "재미없"
    if stem.base == "VA" and stem.form[-1] in "있없":
        return stem.form[:-1] + _OPPOSITE[stem.form[-1]]
    return ""


def _denied(morphs: Sequence[Morph], p: Predicate) -> Change | None:
    stem, link = morphs[p.stem], morphs[p.stem - 1] if p.stem > p.first else None
    if _words(morphs, p) & _NO_DENIAL or morphs[p.core].form in _NO_DENIAL:
        return None
    if stem.base in ("VCP", "VCN") or morphs[p.core].form in _QUESTIONS:
        return None
    if stem.form in _WRITTEN_DENIED:
        return None
    if stem.form == "좋" and "겠" in p.prefinal:
        return None  # 갔으면 좋겠어요: a wish
    tail = list(morphs[p.stem + 1 : p.end])
    if link and link.tag == "EC" and stem.form in ("하", "되") and link.form in MODAL_LINKS:
        return _denied_modal(morphs, p)
    if p.family in COMMANDS and p.kind == "verb" and not p.prefinal[1:]:
        return Change(p.stem, p.end, (stem, Morph("지", "EC"), Morph("말", "VX"), *tail))
    core = morphs[p.core]
    polite = p.family in ("어", "어요", "네", "네요", "지", "죠", "지요", "나요", "는데", "는데요")
    takes_short = core.spaced and core.form not in ("같", "답", "모르", "없")
    if polite and core.base in ("VV", "VA") and len(core.form) <= _SHORT and takes_short:
        rest = morphs[p.core + 1 : p.end]
        return Change(p.core, p.end, (Morph("안", "MAG"), Morph(core.form, core.tag), *rest))
    return Change(
        p.stem,
        p.end,
        (stem, Morph("지", "EC"), Morph("않", "VX"), *_end(morphs, p, p.stem)),
    )


def _denied_modal(morphs: Sequence[Morph], p: Predicate) -> Change | None:
    """해야 돼요 → 하지 않아도 돼요, 해도 돼요 and 하면 돼요 → 하면 안 돼요."""
    main, link = morphs[p.stem - 2], morphs[p.stem - 1]
    tail = morphs[p.stem + 1 : p.end]
    become = Morph("되", "VV")
    if link.form == "어야":
        new = [main, Morph("지", "EC"), Morph("않", "VX"), Morph("어도", "EC"), become]
    elif morphs[p.stem].form == "되":
        new = [main, Morph("면", "EC"), Morph("안", "MAG"), become]
    else:
        return None
    return Change(p.stem - 2, p.end, (*new, *tail))
