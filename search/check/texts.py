"""Findings about texts: private, garbled, or without meaning."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dotbogi.search.check.cells import is_blank, is_error
from dotbogi.search.check.finding import Finding, Kind
from dotbogi.search.check.garbled import garbling
from dotbogi.search.check.private_data import CARD, EMAIL, MOBILE, RESIDENT, private_data
from dotbogi.search.check.reading import Cell

# A question of these words alone names no topic; it matches anything. A greeting is a topic.
_NO_TOPIC = re.compile(
    r"(?:안녕하세요|저기요?|여기요)*"
    r"(?:(?:질문|문의|궁금한?|요청|부탁)(?:사항|거|것|점)?|이거|그거|저거|여기|거기|저기요?|테스트|test"
    r"|asdf\w*|qwer\w*|ㅁㄴㅇㄹ\w*|ㅂㅈㄷㄱ\w*)"
    r"(?:이|을|를|좀|하나)*(?:드립니다|드려요|드릴게요|합니다|할게요|해요|하기|있습니다|있어요|있는데요|입니다|이에요|요)?",
    re.IGNORECASE,
)


def garbled_cells(cells: Iterable[Cell]) -> Iterator[Finding]:
    """Yield texts that were damaged on their way into the table."""
    for cell in cells:
        if problem := garbling(cell.text):
            advice = f"{cell.column}: {problem}"
            yield Finding.of(Kind.GARBLED_TEXT, cell.rows, [cell.text], advice)


def private_cells(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Yield cells with data of a person.

    Resident and card numbers belong nowhere. A phone number or an address in a question, or in a
    column of metadata, is its writer's, unless an answer gives it too: then it is the shop's. In
    answers phones and addresses are what people ask for. Only a mobile number that a single answer
    has is doubtful: it may come from a copied reply to one customer.
    """
    found = [(cell, private_data(cell.text)) for cell in cells]
    public = Counter(
        _bare(match.text) for cell, matches in found if cell.column == "answer" for match in matches
    )
    for cell, matches in found:
        for match in matches:
            count = public[_bare(match.text)]
            if match.what in (RESIDENT, CARD):
                advice = f"{cell.column}: {match.what}. Delete it, here and wherever it came from."
            elif cell.column == "answer" and match.what == MOBILE and count == 1:
                advice = "answer: a mobile number. Delete it, unless it is the shop's own."
            elif cell.column != "answer" and not count and _is_personal(cell, match.what):
                advice = f"{cell.column}: {match.what}. Delete it; search does not need it."
            else:
                continue
            yield Finding.of(Kind.PRIVATE_DATA, cell.rows, [cell.text], advice)
            break


def _is_personal(cell: Cell, what: str) -> bool:
    # Columns of metadata often name the department that answers.
    return cell.column == "question" or (cell.column != "id" and what in (MOBILE, EMAIL))


def _bare(text: str) -> str:
    return re.sub(r"[^\w@]", "", text).casefold()


def meaningless_questions(cells: Iterable[Cell]) -> Iterator[Finding]:
    """Yield questions that cannot say what is asked."""
    for cell in cells:
        if cell.column != "question" or is_blank(cell.text) or is_error(cell.text):
            continue
        if problem := emptiness(cell.text):
            advice = f"{problem}. Write a whole question, or delete it."
            yield Finding.of(Kind.MEANINGLESS_QUESTION, cell.rows, [cell.text], advice)


def emptiness(text: str) -> str:
    """Return why a question cannot say what is asked, or ""."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFC", text))
    bare = "".join(c for c in folded if unicodedata.category(c)[0] in "LNS")
    if not any(unicodedata.category(c)[0] in "LS" for c in bare):
        return "Only digits and punctuation" if bare else "Only punctuation"
    if len(bare) == 1 and bare.isalpha():
        return "A single letter"
    if _NO_TOPIC.fullmatch(bare):
        return "It names no topic"
    return ""
