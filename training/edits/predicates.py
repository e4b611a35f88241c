"""The final predicate of a sentence: its stem, tense and ending, taken apart and put together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.edits.endings import StemKind, ending, family
from training.edits.morphemes import Morph, is_symbol

_STEMS = ("VV", "VA", "VX", "VCP", "VCN", "XSV", "XSA")
_LINKS = ("어", "고", "지", "게")  # between a verb and its auxiliary
MODAL_LINKS = ("어야", "어도", "면", "으면")  # before 하다 and 되다: must, may
# 드세요 is of 들다, not of 드세다, as Kiwi has it; the rest have no forms before vowels (갖으세요).
_MISREAD = ("드세", "갖", "머물", "서둘", "서툴", "딛", "건들")
_EXIST = ("있", "없", "재밌")


@dataclass(frozen=True, slots=True)
class Predicate:
    """The last predicate of a sentence. Numbers are places in the text's morphemes."""

    first: int  # of the sentence
    core: int  # the main verb or adjective, from the noun on if it is one with 하다 or 되다
    stem: int  # what the ending hangs on: the main verb or its last auxiliary
    end: int  # behind the ending
    prefinal: tuple[str, ...]  # 시, 었, 겠, in this order
    family: str  # of the ending
    kind: StemKind  # of the stem
    coming: bool  # stands in 을 것이다

    @property
    def honorific(self) -> bool:
        """Whether 시 is in it."""
        return "시" in self.prefinal


def sentences(morphs: Sequence[Morph]) -> Iterator[tuple[int, int]]:
    """Yield the first place of each sentence and the place behind its last morpheme but signs."""
    start = 0
    for i in range(1, len(morphs) + 1):
        if i == len(morphs) or morphs[i].sentence != morphs[start].sentence:
            end = i
            while end > start and is_symbol(morphs[end - 1]):
                end -= 1
            if end > start:
                yield start, end
            start = i


def find_predicate(morphs: Sequence[Morph], first: int, end: int) -> Predicate | None:
    """Return the predicate that ends the sentence, or None if it ends in anything else."""
    last = end - 1
    form = morphs[last].form
    if morphs[last].tag == "JX" and form == "요" and last > first:
        last, form = last - 1, morphs[last - 1].form + "요"
    name = family(form) if morphs[last].tag in ("EF", "EC") else ""
    if not name:
        return None
    stem = last - 1
    coming = stem - 3 >= first and _is_coming(morphs[stem - 2 : stem + 1])
    if coming:
        stem -= 3
    prefinal: list[str] = []
    while stem > first and morphs[stem].tag == "EP":
        prefinal.insert(0, morphs[stem].form.removeprefix("으"))
        stem -= 1
    if stem < first or morphs[stem].base not in _STEMS or set(prefinal) - {"시", "었", "겠"}:
        return None
    if (morphs[stem].form, morphs[stem].tag) == ("사", "VV") and not _has_object(
        morphs, first, stem
    ):
        return None  # 사세요, 삽니다 without an object are rather of 살다
    guess = morphs[stem].form == "모르" and stem > first and morphs[stem - 1].tag in ("EC", "JX")
    misread = morphs[stem].form in _MISREAD or morphs[stem - 1].form == "주무"  # 주무시다
    if misread or guess:  # 갈지도 몰라요
        return None
    if morphs[stem].base == "VX" and stem > first and not _follows_link(morphs, stem):
        return None  # 가나 봐요: a guess, whose tense and denial are those of 가다
    return Predicate(
        first,
        _core(morphs, first, stem),
        stem,
        end,
        tuple(prefinal),
        name,
        stem_kind(morphs, stem),
        coming,
    )


def _has_object(morphs: Sequence[Morph], first: int, stem: int) -> bool:
    return any(m.tag == "JKO" for m in morphs[max(first, stem - 3) : stem])


def _is_coming(three: Sequence[Morph]) -> bool:
    etm, noun, copula = three
    return (
        (etm.form in ("ᆯ", "을") and etm.tag == "ETM")
        and (noun.form in ("거", "것") and noun.tag == "NNB")
        and copula.tag == "VCP"
    )


def _core(morphs: Sequence[Morph], first: int, stem: int) -> int:
    core = stem
    while core - 2 >= first:
        link = link_before(morphs, core)
        if not (_is_auxiliary(morphs, core) and morphs[link].form in _LINKS):
            break
        core = link - 1
    if morphs[core].base in ("XSV", "XSA") and core > first:
        core -= 1
        while core > first and not morphs[core].spaced and morphs[core - 1].tag[:2] in ("NN", "XP"):
            core -= 1
    return core


def link_before(morphs: Sequence[Morph], at: int) -> int:
    """Return the place of the ending before an auxiliary: 지 of 지 못 하다 and of 지는 않다."""
    link = at - 1
    if morphs[at].form == "하" and (morphs[link].form, morphs[link].tag) == ("못", "MAG"):
        link -= 1
    if link >= 1 and morphs[link].tag in ("JX", "JKO") and morphs[link - 1].tag == "EC":
        link -= 1
    return link


def _is_auxiliary(morphs: Sequence[Morph], at: int) -> bool:
    morph, link = morphs[at], morphs[link_before(morphs, at)]
    if link.tag != "EC":
        return False
    not_able = morph.form == "하" and morphs[at - 1].form == "못"
    return morph.base == "VX" or not_able or (morph.form in ("있", "계시") and link.form in _LINKS)


def _follows_link(morphs: Sequence[Morph], stem: int) -> bool:
    link = morphs[link_before(morphs, stem)]
    return link.tag == "EC" and link.form in (*_LINKS, *MODAL_LINKS)


def stem_kind(morphs: Sequence[Morph], stem: int) -> StemKind:
    """Return how a stem is inflected; 않다 and 싶다 go like what they stand for."""
    morph = morphs[stem]
    if morph.base in ("VCP", "VCN"):
        return "copula"
    if morph.form.endswith(_EXIST):
        return "exist"
    if morph.form in ("않", "못하") and morph.base == "VX" and stem >= 2:
        back = link_before(morphs, stem) - 1
        return stem_kind(morphs, back) if back >= 0 else "verb"
    if morph.base in ("VA", "XSA") or (morph.base == "VX" and morph.form in ("싶", "같")):
        return "adjective"
    return "verb"


def finish(kind: StemKind, name: str, prefinal: Sequence[str]) -> list[Morph]:
    """Return pre-final endings and the ending of a family, as they follow a stem."""
    form = ending(
        name, kind, honorific="시" in prefinal, prefinal=bool({"었", "겠"} & set(prefinal))
    )
    tag = "EC" if form == "니" else "EF"  # join makes 갔으니 of a final 니
    return [*(Morph(p, "EP") for p in prefinal), Morph(form, tag)]
