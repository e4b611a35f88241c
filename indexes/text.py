"""Clean texts, and test whether two of them count as the same."""

import re
import unicodedata

# Punctuation that people leave out or repeat; dots and commas between digits matter.
_PUNCTUATION = re.compile(r"""(?<!\d)[.,]|[.,](?!\d)|[\s!?~…·;:'"“”‘’()\[\]<>-]""")


def clean(text: str) -> str:
    r"""Return the text in NFC without white space at its ends.

    >>> clean(" 배고프다\n")
    '배고프다'
    """
    return unicodedata.normalize("NFC", text).strip()


def same_text_key(text: str) -> str:
    """Return a key that is equal for two texts that a person would call the same.

    The key is the text in NFKC and lower case, without white space and sentence punctuation:
    most variants of a Korean sentence differ in spacing. It keeps duplicates out of batches,
    negatives and splits, where one false match does no harm.

    >>> same_text_key("배 고프다!!") == same_text_key("배고프다")
    True
    >>> same_text_key("1.5") == same_text_key("15")
    False
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _PUNCTUATION.sub("", folded) or folded.strip()


def is_valid_unicode(text: str) -> bool:
    r"""Return False for a text with a lone surrogate ("\ud800"), which UTF-8 cannot encode."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
