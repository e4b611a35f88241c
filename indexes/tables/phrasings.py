"""Several phrasings of a question in one cell."""

import re
import statistics
from collections.abc import Iterable, Sequence

from dotbogi.indexes.errors import UsageError

SEPARATORS = {"newline": "\n", "|": "|"}
NONE = "none"
_PHRASING = 60  # characters; longer lines are a letter rather than phrasings
# Marks of lists at the beginnings of lines: "- ", "1. ", "2) ", "③".
_MARK = re.compile(r"^(?:[-•·*▶※○●◦■□]+\s*|\(?\d{1,2}[.)]\s+|[①-⑳]\s*)")
# How letters begin and end. "안녕\n하이" are phrasings: there all lines greet.
_LETTER = re.compile(r"(?:안녕하세요|안녕하십니까|수고|감사합니다|고맙습니다|부탁)")


def find_separator(cells: Iterable[str], given: str | None) -> tuple[str | None, str | None]:
    """Return what separates the phrasings in a column's cells, and a note if that is a guess.

    Line breaks and vertical bars do if the pieces are short: the lines of a long inquiry belong
    together.

    Args:
        cells: of the question columns.
        given: a name in SEPARATORS, any other text that separates, or "none".

    Raises:
        UsageError: the user gives an empty separator.
    """
    if given == NONE:
        return None, None
    if given is not None:
        if not given.strip():
            raise UsageError("--split is blank; expected newline, '|', another text, or none.")
        return SEPARATORS.get(given, given), None
    cells = list(cells)
    notes: list[str] = []
    for name, separator in SEPARATORS.items():
        divided = [split_cell(cell, separator) for cell in cells if separator in cell]
        divided = [pieces for pieces in divided if len(pieces) > 1]
        if not divided:
            continue
        what = {"\n": "line breaks", "|": "vertical bars"}[separator]
        cells_are = "1 cell holds" if len(divided) == 1 else f"{len(divided)} cells hold"
        if _are_phrasings(divided):
            return separator, f"{cells_are} several phrasings, between {what} (--split {name!r})"
        notes.append(f"{cells_are} {what} and one question each (--split {name!r} for several)")
    return None, "; ".join(notes) or None


def _are_phrasings(cells: Sequence[Sequence[str]]) -> bool:
    """Return whether the pieces of cells are questions rather than lines of letters."""
    lengths = [len(piece) for pieces in cells for piece in pieces]
    letters = sum(
        0 < 2 * sum(map(bool, map(_LETTER.match, pieces))) <= len(pieces) for pieces in cells
    )
    is_short = statistics.median(lengths) <= _PHRASING / 2 and max(lengths) <= _PHRASING
    return is_short and 4 * letters < len(cells)


def split_cell(cell: str, separator: str | None) -> Sequence[str]:
    """Return the phrasings in a cell, without list marks at their beginnings."""
    if separator is None or separator not in cell:
        return [cell]
    pieces = [_MARK.sub("", piece.strip()).strip() for piece in cell.split(separator)]
    return [piece for piece in pieces if piece]
