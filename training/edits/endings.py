"""Korean sentence endings: one family in its forms for verbs, adjectives, 이다, and after 었 or 겠.

Politeness is the family's own: an edit stays in it, so the level of speech is kept.
"""

from typing import Literal

StemKind = Literal["verb", "adjective", "exist", "copula"]  # exist: 있다, 없다 and their compounds

# Family: (verb, adjective, copula, after 었 or 겠). Kiwi's join finds the allomorph (ᆫ다/는다).
_FORMS: dict[str, tuple[str, str, str, str]] = {
    "어": ("어", "어", "야", "어"),
    "어요": ("어요", "어요", "에요", "어요"),
    "다": ("ᆫ다", "다", "다", "다"),
    "ᆸ니다": ("ᆸ니다", "ᆸ니다", "ᆸ니다", "습니다"),
    "ᆸ니까": ("ᆸ니까", "ᆸ니까", "ᆸ니까", "습니까"),
    "는데": ("는데", "ᆫ데", "ᆫ데", "는데"),
    "는데요": ("는데요", "ᆫ데요", "ᆫ데요", "는데요"),
    "는걸요": ("는걸요", "ᆫ걸요", "ᆫ걸요", "는걸요"),
    "나": ("나", "ᆫ가", "ᆫ가", "나"),
    "나요": ("나요", "ᆫ가요", "ᆫ가요", "나요"),
    "군": ("는군", "군", "군", "군"),
    "군요": ("는군요", "군요", "군요", "군요"),
    "구나": ("는구나", "구나", "구나", "구나"),
    "대": ("ᆫ대", "대", "래", "대"),
    "대요": ("ᆫ대요", "대요", "래요", "대요"),
    "답니다": ("ᆫ답니다", "답니다", "랍니다", "답니다"),
} | {
    same: (same, same, same, same)
    for same in (
        "네", "네요", "지", "지요", "죠", "거든", "거든요", "잖아", "잖아요", "니", "냐",
        "더라", "더라고요",
        "더라구요", "던데", "던데요", "니까", "니까요", "ᆯ까", "ᆯ까요",
    )
}  # fmt: skip
_CELL: dict[StemKind, int] = {"verb": 0, "adjective": 1, "copula": 2}
_EXIST_LIKE_VERBS = {"는데", "는데요", "는걸요", "나", "나요"}  # 있는데, 있나요, but 있다, 있군

# What a speaker wants, and the family that tells it as a fact at the same level of politeness.
# A form told of the listener (세요) takes 시 along.
_WISHES: dict[str, tuple[str, bool]] = {
    "자": ("어", False), "ᆸ시다": ("ᆸ니다", False), "ᆯ게": ("어", False), "ᆯ게요": ("어요", False),
    "ᆯ래": ("어", False), "ᆯ래요": ("어요", False), "어라": ("어", False), "세요": ("어요", True),
    "셔요": ("어요", True), "ᆸ시오": ("ᆸ니다", False),
}  # fmt: skip
COMMANDS = {"자", "ᆸ시다", "어라", "세요", "셔요", "ᆸ시오"}  # negated with 말다

# 을 것이다 of each family that has it; all others foresee with 겠.
_FORESEEN = {
    "어": ("거", "야"), "어요": ("거", "예요"), "다": ("것", "다"), "ᆸ니다": ("것", "ᆸ니다"),
}  # fmt: skip
_NO_FUTURE = {
    "나", "나요", "대", "대요", "답니다", "니까", "니까요", "ᆯ까", "ᆯ까요", "더라", "더라고요",
    "더라구요",
}  # fmt: skip

_VARIANTS = {
    "습니다": "ᆸ니다", "습니까": "ᆸ니까", "예요": "에요", "이에요": "에요", "아": "어",
    "아요": "어요", "여요": "어요",
    "아라": "어라", "는다": "ᆫ다", "는가요": "나요", "는가": "나", "는대": "ᆫ대", "는대요": "ᆫ대요",
    "는답니다": "ᆫ답니다", "이야": "야",
}  # fmt: skip
_FAMILY_OF = {form: family for family, forms in _FORMS.items() for form in forms}


def family(form: str) -> str:
    """Return the family that an ending belongs to, or "" for endings that are left alone.

    >>> family("습니다"), family("은데요"), family("예요"), family("으려고")
    ('ᆸ니다', '는데요', '어요', '')
    """
    plain = wish(form) or _VARIANTS.get(form, form)
    if plain.startswith("으"):
        plain = plain[1:]
    if plain[:1] in "은을" and len(plain) > 1:
        plain = {"은": "ᆫ", "을": "ᆯ"}[plain[0]] + plain[1:]
    return plain if plain in _WISHES else _FAMILY_OF.get(plain, "")


def wish(form: str) -> str:
    """Return the plain form of an ending that asks, proposes or promises; "" for others.

    >>> wish("으세요"), wish("읍시다"), wish("어요")
    ('세요', 'ᆸ시다', '')
    """
    plain = _VARIANTS.get(form, form)
    plain = {"읍": "ᆸ", "을": "ᆯ"}.get(plain[0], plain[0]) + plain[1:]
    plain = plain.removeprefix("으")
    return plain if plain in _WISHES else ""


def stated(name: str) -> tuple[str, bool]:
    """Return the family that states what a wish wants, and whether it takes 시 along.

    >>> stated("세요"), stated("네요")
    (('어요', True), ('네요', False))
    """
    return _WISHES.get(name, (name, False))


def ending(name: str, kind: StemKind, *, honorific: bool, prefinal: bool) -> str:
    """Return the form of a family behind a stem.

    Args:
        name: of the family.
        kind: of the stem.
        honorific: 시 stands between.
        prefinal: 었 or 겠 stands between.

    >>> ending("는데", "adjective", honorific=False, prefinal=False)
    'ᆫ데'
    """
    if name in _WISHES:
        return name
    if prefinal:
        return _FORMS[name][3]
    if kind == "exist":
        kind = "verb" if name in _EXIST_LIKE_VERBS else "adjective"
    if kind == "copula" and honorific and name in ("어", "어요"):
        kind = "adjective"  # 이셔요, not 이시에요
    return _FORMS[name][_CELL[kind]]


def foreseen(name: str) -> tuple[str, str] | None:
    """Return noun and ending of 을 것이다 in a family; None where 겠 is used or nothing at all."""
    return _FORESEEN.get(name)


def has_future(name: str) -> bool:
    """Return False for families that carry no statement about what will be."""
    return name not in _NO_FUTURE
