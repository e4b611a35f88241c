"""Private data in a text: Korean resident numbers, cards, phones and e-mail addresses."""

import datetime
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

_GAP = r"[-‐-―−.·\s]{0,3}"
_RESIDENT = re.compile(rf"(?<!\d)(\d{{6}})({_GAP})([1-8]\d{{6}})(?!\d)")
_CARD = re.compile(r"(?<![\d-])\d{4}([-‐-―−. ]?)(?:\d{4}\1\d{4}\1\d{4}|\d{6}\1\d{5})(?![\d-])")
_MOBILE = re.compile(
    rf"(?<!\d)(?:01[016789]|\+?82{_GAP}(?:\(0\)|0)?1[016789])[)]?{_GAP}\d{{3,4}}{_GAP}\d{{4}}(?!\d)"
)
# With separators only: a number without them may be anything.
_LANDLINE = re.compile(
    r"(?<!\d)\(?0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)[-.) ]{1,2}\d{3,4}[-. ]\d{4}(?!\d)"
)
_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?![A-Za-z0-9])"
)
_NOBODY = re.compile(r"@example\.|@test\.")  # addresses that stand for any address
# The first digits of cards issued in Korea: Visa, Mastercard, Amex, JCB, UnionPay, domestic.
_ISSUERS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|35|6[0-9]|9[0-9]")

RESIDENT, CARD, MOBILE, LANDLINE, EMAIL = (
    "a resident number", "a card number", "a mobile number", "a phone number", "an e-mail address",
)  # fmt: skip


class Match(NamedTuple):
    """Private data in a text."""

    what: str
    text: str


def private_data(text: str) -> list[Match]:
    """Return the private data in a text.

    >>> private_data("010-2345-6789로 연락 주세요")
    [Match(what='a mobile number', text='010-2345-6789')]
    """
    folded = unicodedata.normalize("NFKC", text)  # full-width digits are digits too
    found: list[Match] = []
    for what, span in _spans(folded):
        found.append(Match(what, folded[slice(*span)]))
        folded = folded[: span[0]] + "x" * (span[1] - span[0]) + folded[span[1] :]
    return found


def masked(text: str) -> str:
    """Return the text with the middle of private data replaced by asterisks.

    A report is passed on more freely than the table.
    """
    folded = unicodedata.normalize("NFKC", text)
    for _, (start, end) in _spans(folded):
        middle = re.sub(r"\w", "*", folded[start + 3 : end - 2])
        folded = folded[: start + 3] + middle + folded[end - 2 :]
    return folded if "*" in folded else text


def _spans(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    for match in _RESIDENT.finditer(text):
        if _is_resident(match[1] + match[3], spaced=bool(match[2])):
            yield RESIDENT, match.span()
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _ISSUERS.match(digits) and _passes_luhn(digits):
            yield CARD, match.span()
    for what, pattern in ((MOBILE, _MOBILE), (LANDLINE, _LANDLINE), (EMAIL, _EMAIL)):
        for match in pattern.finditer(text):
            if not _NOBODY.search(match[0]):
                yield what, match.span()


def _is_resident(digits: str, *, spaced: bool) -> bool:
    """Return whether 13 digits begin with a date of birth and, written as one, pass the checksum.

    Numbers given out since October 2020 have no checksum. So a number with its usual hyphen counts
    by its date alone; 13 digits in a row are often something else.
    """
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900}.get(digits[6], 2000)
    try:
        datetime.date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    total = sum(
        int(d) * w for d, w in zip(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=False)
    )
    last = 13 if digits[6] in "5678" else 11  # those of foreigners are shifted by two
    return spaced or (last - total % 11) % 10 == int(digits[12])


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        total += digit if place % 2 == 0 else sum(divmod(2 * digit, 10))
    return total % 10 == 0
