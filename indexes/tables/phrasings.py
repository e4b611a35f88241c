"""Several phrasings of a question in one cell."""

import statistics
from collections.abc import Iterable, Sequence

from dotbogi.indexes.errors import UsageError

SEPARATORS = {"newline": "\n", "|": "|"}
NONE = "none"
_PHRASING = 60  # characters; longer lines are a letter rather than phrasings
_FEWEST = 2  # letters or digits of a phrasing


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
    for name, separator in SEPARATORS.items():
        divided = [split_cell(cell, separator) for cell in cells if separator in cell]
        divided = [pieces for pieces in divided if len(pieces) > 1]
        lengths = [len(piece) for pieces in divided for piece in pieces]
        if divided and statistics.median(lengths) <= _PHRASING / 2 and max(lengths) <= _PHRASING:
            what = {"\n": "line breaks", "|": "vertical bars"}[separator]
            cells_are = "1 cell holds" if len(divided) == 1 else f"{len(divided)} cells hold"
            return separator, f"{cells_are} several phrasings, between {what} (--split {name!r})"
    return None, None


def split_cell(cell: str, separator: str | None) -> Sequence[str]:
    """Return the phrasings in a cell, without list marks at their beginnings."""
    if separator is None or separator not in cell:
        return [cell]
    pieces = [piece.strip().lstrip("-•·*▶※").strip() for piece in cell.split(separator)]
    return [piece for piece in pieces if piece]
