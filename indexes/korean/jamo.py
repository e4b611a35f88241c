"""Hangul syllables and their letters (Unicode chapter 3.12)."""

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
# What two key strokes make.
_VOWEL_PAIRS = ("ㅗㅏㅘ", "ㅗㅐㅙ", "ㅗㅣㅚ", "ㅜㅓㅝ", "ㅜㅔㅞ", "ㅜㅣㅟ", "ㅡㅣㅢ")
_FINAL_PAIRS = (
    "ㄱㅅㄳ", "ㄴㅈㄵ", "ㄴㅎㄶ", "ㄹㄱㄺ", "ㄹㅁㄻ", "ㄹㅂㄼ", "ㄹㅅㄽ", "ㄹㅌㄾ", "ㄹㅍㄿ",
    "ㄹㅎㅀ", "ㅂㅅㅄ",
)  # fmt: skip
COMPOUNDS = {pair[:2]: pair[2] for pair in (*_VOWEL_PAIRS, *_FINAL_PAIRS)}
PARTS = {compound: pair for pair, compound in COMPOUNDS.items()}

_FIRST, _LAST = 0xAC00, 0xD7A3


def is_syllable(letter: str) -> bool:
    """Return whether a character is a complete Hangul syllable."""
    return _FIRST <= ord(letter) <= _LAST


def is_jamo(letter: str) -> bool:
    """Return whether a character is a letter on its own, such as ㅋ or ㅏ."""
    return "ㄱ" <= letter <= "ㅣ"


def split(syllable: str) -> tuple[str, str, str]:
    """Return the initial, the vowel and the final (or "") of a syllable.

    >>> split("밥"), split("의")
    (('ㅂ', 'ㅏ', 'ㅂ'), ('ㅇ', 'ㅢ', ''))
    """
    number = ord(syllable) - _FIRST
    return INITIALS[number // 588], VOWELS[number % 588 // 28], FINALS[number % 28]


def join(initial: str, vowel: str, final: str = "") -> str:
    """Return the syllable of three letters."""
    number = 588 * INITIALS.index(initial) + 28 * VOWELS.index(vowel) + FINALS.index(final)
    return chr(_FIRST + number)


def initials_of(text: str) -> str:
    """Return a text with each syllable as its initial consonant.

    >>> initials_of("배송 조회")
    'ㅂㅅ ㅈㅎ'
    """
    return "".join(INITIALS[(ord(c) - _FIRST) // 588] if is_syllable(c) else c for c in text)


def strokes_of(text: str) -> str:
    """Return the key strokes of a text, as single letters of Hangul.

    >>> strokes_of("왜 값")
    'ㅇㅗㅐ ㄱㅏㅂㅅ'
    """
    letters = "".join("".join(split(c)) if is_syllable(c) else c for c in text)
    return "".join(PARTS.get(c, c) for c in letters)
