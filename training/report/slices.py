"""Kinds of queries: by length, and by politeness as far as spelling shows it."""

import re
from typing import Literal

from dotbogi.indexes.text import clean

Length = Literal["short", "medium", "long"]
Politeness = Literal["polite", "plain", "other"]

SHORT = 8  # characters, spaces included
MEDIUM = 20

_TAIL = re.compile(r"[^가-힣a-zA-Z0-9]+$")  # marks, emoticons, lone letters such as ㅋㅋ and ㅠㅠ
_POLITE = re.compile(r"(?:요|죠|시오|십쇼|니다|니까)$")  # 해요, 하죠, 하십시오, 합니다, 합니까
_NOUN = re.compile(r"(?:필|중|수|주|개|동|월|화|목|금|토|일)요$")  # 필요, 중요: nouns
_FORMAL = re.compile(r"(.)니[다까]$")
# Syllables that more often end a sentence in 해체 or 해라체, or a clipped one (했음, 안 됨), than a
# noun.
_PLAIN = frozenset(
    "다어해야네지나까아니냐데래라려가와게고면대여군걸렴마자내"
    "줘워돼져봐쳐겨춰혀꿔궈셔써커켜퍼파빠뻐껴떠쪄싸"
    "음함됨옴짐임듦뀜"
)


def length_of(query: str) -> Length:
    """Return short for at most 8 characters, medium for at most 20, else long.

    >>> length_of("배고프다"), length_of("주문한 물건이 아직 안 왔는데 언제 와요?")
    ('short', 'long')
    """
    size = len(clean(query))
    return "short" if size <= SHORT else "medium" if size <= MEDIUM else "long"


def politeness_of(query: str) -> Politeness:
    """Return the politeness of a Korean query, by the end of its last word.

    polite is 해요체 and 합쇼체 (…요, …죠, …ㅂ니다, …ㅂ니까, …시오). plain is 해체, 해라체 and
    clipped sentences (…어, …다, …까, …음). other is everything else: nouns, questions without an
    ending, other languages. Only letters count, so a noun such as 바다 is plain.

    >>> [politeness_of(text) for text in ("환불 언제 돼요?", "배고프다ㅠㅠ", "배송 조회")]
    ['polite', 'plain', 'other']
    """
    end = _TAIL.sub("", clean(query))
    formal = _FORMAL.search(end)
    if _POLITE.search(end) and not _NOUN.search(end) and (not formal or _has_final_b(formal[1])):
        return "polite"
    return "plain" if end[-1:] in _PLAIN else "other"


def _has_final_b(syllable: str) -> bool:
    """Return whether a Hangul syllable ends in ㅂ, as in 합니다; 니다 alone is not an ending."""
    return "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 == 17
