"""Text typed with the keyboard in the wrong state: dkssud for 안녕, ㅗ디ㅔ for help (두벌식)."""

from dotbogi.indexes.korean.jamo import (
    COMPOUNDS,
    FINALS,
    INITIALS,
    PARTS,
    VOWELS,
    is_jamo,
    join,
    strokes_of,
)

_KEYS = dict(
    zip(
        "qwertyuiopasdfghjklzxcvbnmQWERTOP",
        "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡㅃㅉㄸㄲㅆㅒㅖ",
        strict=True,
    )
)
_LETTERS = {jamo: key for key, jamo in _KEYS.items()}


def to_hangul(text: str) -> str:
    """Return what the keys of a Latin text type in the Hangul state.

    Capitals that shift changes nothing about type what the small letter does.

    >>> to_hangul("dkssud"), to_hangul("ghksqnf djswp")
    ('안녕', '환불 언제')
    """
    return _composed("".join(_KEYS.get(c, _KEYS.get(c.lower(), c)) for c in text))


def to_latin(text: str) -> str:
    """Return what the keys of a Hangul text type in the Latin state.

    >>> to_latin("ㅣㅐ햐ㅜ"), to_latin("안녕")
    ('login', 'dkssud')
    """
    return "".join(_LETTERS.get(jamo, jamo) for jamo in strokes_of(text))


def _composed(jamo: str) -> str:
    """Return the syllables that an input method makes of letters typed one after the other."""
    done: list[str] = []
    initial = vowel = final = ""

    def flush() -> None:
        nonlocal initial, vowel, final
        done.append(join(initial, vowel, final) if initial and vowel else initial + vowel)
        initial = vowel = final = ""

    for letter in jamo:
        if not is_jamo(letter):
            flush()
            done.append(letter)
        elif letter in VOWELS:
            if final:  # it takes the consonant before it along
                strokes = PARTS.get(final, final)
                final, moved = strokes[:-1], strokes[-1]
                flush()
                initial, vowel = moved, letter
            elif vowel and vowel + letter in COMPOUNDS:
                vowel = COMPOUNDS[vowel + letter]
            elif initial and not vowel:
                vowel = letter
            else:
                flush()
                vowel = letter
        elif initial and vowel and not final and letter in FINALS:
            final = letter
        elif final and final + letter in COMPOUNDS:
            final = COMPOUNDS[final + letter]
        else:
            flush()
            initial = letter
            if letter not in INITIALS:  # ㄳ and its like begin no syllable
                flush()
    flush()
    return "".join(done)
