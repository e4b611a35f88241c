"""A text as morphemes that can be changed and written back, with the rest of the text as it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

# Tags that begin a word or stand in one by themselves; all others hang on what is before them.
_WORD_TAGS = ("NN", "NP", "NR", "VV", "VA", "VX", "VCN", "MM", "MAG", "MAJ", "IC", "SL", "SN", "SH")
_SYMBOL_TAGS = ("SF", "SP", "SS", "SE", "SO", "SW", "W_", "Z_", "SB")
# One morpheme, written after its neighbours; they count as the same when an edit is read back.
_ALLOMORPHS = {
    "을": "ᆯ", "를": "ᆯ", "은": "ᆫ", "는": "ᆫ", "이": "가", "과": "와", "으로": "로",
    "습니다": "ᆸ니다", "습니까": "ᆸ니까", "예요": "에요", "아": "어", "았": "었", "였": "었",
    "여": "어", "아요": "어요", "여요": "어요", "거": "것", "이나": "나", "이랑": "랑",
    "는다": "ᆫ다", "는대요": "ᆫ대요", "이야": "야", "는다고": "ᆫ다고", "는답니다": "ᆫ답니다",
    "이라고": "라고",
}  # fmt: skip
# Written either way; join contracts most of them.
_CONTRACTIONS = (
    ("되었", "됐"), ("되어", "돼"), ("하였", "했"), ("하여", "해"), ("보았", "봤"), ("보아", "봐"),
    ("주었", "줬"),
    ("주어", "줘"), ("개어", "개"), ("것이", "게"), ("이에요", "예요"), ("거에요", "거예요"),
)  # fmt: skip
_TAG_GROUPS = {"VX": "VV", "EC": "E", "EF": "E", "JKC": "JKS", "NNP": "NNG", "XSA": "XSV"}


@dataclass(frozen=True, slots=True)
class Morph:
    """One morpheme. Those an edit puts in have no place in the text (`start` is −1)."""

    form: str
    tag: str  # Kiwi's, with -R or -I where conjugation is not told by the form
    start: int = -1
    end: int = -1
    spaced: bool = True  # white space before it; only words ask
    sentence: int = 0

    @property
    def base(self) -> str:
        """The tag without regularity."""
        return self.tag.split("-")[0]


@dataclass(frozen=True, slots=True)
class Change:
    """Put `new` in the place of the morphemes from `start` up to `end`."""

    start: int
    end: int
    new: tuple[Morph, ...]


@cache
def kiwi() -> Any:
    """Return the one Kiwi of this process; any number of threads says the same."""
    from kiwipiepy import Kiwi  # 1.2 s: only when something is edited

    return Kiwi(load_multi_dict=False)


def analyse(texts: Sequence[str]) -> list[list[Morph]]:
    """Return the morphemes of each text."""
    analysed = kiwi().tokenize(list(texts))
    return [_morphs(text, tokens) for text, tokens in zip(texts, analysed, strict=True)]


def _morphs(text: str, tokens: Sequence[Any]) -> list[Morph]:
    morphs: list[Morph] = []
    behind = 0  # the end of the morpheme before; contracted ones overlap (껐: 끄, 었)
    for token in tokens:
        start, end = token.start, token.start + token.len
        spaced = start == 0 or text[start - 1].isspace()
        spaced = spaced and (not morphs or start >= behind)
        morphs.append(Morph(token.form, token.tag, start, end, spaced, token.sent_position))
        behind = end
    return morphs


def is_symbol(morph: Morph) -> bool:
    """Return True for punctuation, emoticons and emoji."""
    return morph.tag.startswith(_SYMBOL_TAGS)


def join(morphs: Sequence[Morph]) -> str:
    """Return the morphemes as grammatical text: allomorphs, contractions, spaces between words."""
    parts = [
        (m.form, m.tag, m.spaced) if i and m.tag.startswith(_WORD_TAGS) else (m.form, m.tag)
        for i, m in enumerate(morphs)
    ]
    return str(kiwi().join(parts))


def splice(text: str, morphs: Sequence[Morph], change: Change) -> tuple[str, list[Morph]] | None:
    """Return the changed text and the morphemes it is meant to have.

    Only the words that the change touches are written anew. None where Kiwi would write these
    words otherwise than the author did (slips, contractions): what it makes of them is then not
    to be trusted.
    """
    start, end = change.start, change.end
    while start and not (morphs[start].spaced or is_symbol(morphs[start - 1])):
        start -= 1
    while end < len(morphs) and not (morphs[end].spaced or is_symbol(morphs[end])):
        end += 1
    before, after = morphs[start].start, max(m.end for m in morphs[start:end])
    if _contracted(join(morphs[start:end])) != _contracted(text[before:after]):
        return None
    new = fit_copula([*morphs[start : change.start], *change.new, *morphs[change.end : end]])
    return (
        text[:before] + join(new) + text[after:],
        [*morphs[:start], *new, *morphs[end:]],
    )


def reads_back(meant: Sequence[Morph], found: Sequence[Morph]) -> bool:
    """Return True if an edited text is analysed into the morphemes that were meant.

    Allomorphs (을/를, 았/었), regularity, and final or connective use of an ending may differ.
    """
    wanted, got = _canonical_all(meant), _canonical_all(found)
    while wanted and got and wanted[0] == got[0]:
        wanted, got = wanted[1:], got[1:]
    while wanted and got and wanted[-1] == got[-1]:
        wanted, got = wanted[:-1], got[:-1]
    # 늦 + 어 + 지 and 늦어지, 맛없 and 맛 + 없 are the same morphemes cut differently.
    return "".join(form for form, _ in wanted) == "".join(form for form, _ in got)


def _contracted(text: str) -> str:
    for full, short in _CONTRACTIONS:
        text = text.replace(full, short)
    return text


def _canonical_all(morphs: Sequence[Morph]) -> list[tuple[str, str]]:
    """Return the morphemes as they are compared; 는데 + 요 is one ending."""
    canonical: list[tuple[str, str]] = []
    for morph in morphs:
        form, tag = _canonical(morph)
        if canonical and (form, tag) == ("요", "JX") and canonical[-1][1] == "E":
            canonical[-1] = _canonical(Morph(canonical[-1][0] + "요", "EF"))
        else:
            canonical.append((form, tag))
    return canonical


def _canonical(morph: Morph) -> tuple[str, str]:
    form = morph.form
    if morph.tag[0] in "EJ":
        form = form.removeprefix("으") or form
        form = _ALLOMORPHS.get(form, form)
        if form[0] == "을":  # 을까요, 을게요
            form = "ᆯ" + form[1:]
        elif form[0] == "은" and len(form) > 1:  # 은데, 은가요
            form = "ᆫ" + form[1:]
    elif morph.tag == "NNB":
        form = _ALLOMORPHS.get(form, form)
    return form, _TAG_GROUPS.get(morph.base, morph.base)


def fit_copula(morphs: Sequence[Morph]) -> list[Morph]:
    """Return the morphemes with 예요 after a vowel and 에요 elsewhere, which join leaves alone."""
    fitted = list(morphs)
    for i in range(1, len(fitted)):
        if fitted[i].form in ("에요", "예요") and fitted[i].tag == "EF":
            copula = fitted[i - 1].base == "VCP" and i >= 2
            vowel = copula and not has_final_consonant(fitted[i - 2].form)
            fitted[i] = Morph("예요" if vowel else "에요", "EF")
    return fitted


def has_final_consonant(form: str) -> bool:
    """Return True if the last syllable is closed.

    >>> has_final_consonant("밥"), has_final_consonant("사과")
    (True, False)
    """
    code = ord(form[-1]) - 0xAC00
    return 0 <= code < 11172 and code % 28 != 0
