"""Letters that are drawn out or stand for a face: 배고파아아ㅠㅠ, 네에!!!!"""

import re

from dotbogi.indexes.korean.jamo import is_syllable, join, split

_FACE = re.compile(
    r"(?<![ㄱ-ㅎ])(?:[ㅋㅎ]{2,}|ㅇㅇ+|ㄷㄷ+|ㄱㄱ+)(?![ㄱ-ㅎ])|[ㅠㅜㅡㅏㅗ]{2,}"
    r"|(?<=[가-힣])[ㅋㅎㅠㅜㅏㅑㅓㅕㅗㅛㅣ]+(?=\s|$|[!?.~^])"
)
# An input method takes the first ㅋ of ㅋㅋ into the syllable before it: 닼ㅋ for 다ㅋㅋ.
_SWALLOWED = re.compile(r"([가-힣])[ㅋㅎ]+")
_RUN = re.compile(r"([^\W\d])\1{2,}")
_GAP = re.compile(r" (?=[!?.,])")  # before a mark, where a face stood
_MARKS = re.compile(r"([!?.,~^;])[!?.,~^;\s]*(?=[!?.,~^;])|\^\^|[~^]+")


def without_repeats(text: str) -> str:
    """Return a text without drawn-out letters, faces of single letters and runs of marks.

    >>> without_repeats("배고파아아ㅠㅠ"), without_repeats("진짜아 짜증나ㅏㅏ!!!!??")
    ('배고파', '진짜 짜증나?')
    """
    apart = _SWALLOWED.sub(lambda face: _without_final(face[1]), text)
    shorter = _RUN.sub(r"\1", _FACE.sub(" ", _MARKS.sub("", apart)))
    return _GAP.sub("", " ".join(map(_without_drawl, shorter.split())))


def _without_final(syllable: str) -> str:
    """Return a syllable without the ㅋ or ㅎ that belongs to the face behind it."""
    initial, vowel, final = split(syllable)
    return join(initial, vowel) if final in ("ㅋ", "ㅎ") else syllable


def _without_drawl(word: str) -> str:
    """Return a word without vowels at its end that only draw out the syllable before them.

    One vowel is taken off a word of three syllables or more: 나아 and 네에 may be words.
    """
    end = len(word)
    while end and not is_syllable(word[end - 1]):
        end -= 1  # marks and faces behind the word
    last = end
    while last > 1 and _draws_out(word[last - 1], word[last - 2]):
        last -= 1
    drawn = end - last
    return word[:last] + word[end:] if drawn > 1 or (drawn and last > 1) else word


def _draws_out(letter: str, before: str) -> bool:
    if not (is_syllable(letter) and is_syllable(before)):
        return False
    initial, vowel, final = split(letter)
    return initial == "ㅇ" and not final and split(before)[1:] == (vowel, "")
