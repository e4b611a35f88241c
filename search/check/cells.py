"""Findings about single cells: blank, or an error."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from dotbogi.indexes.tables import Row, Skip, Table
from dotbogi.indexes.tables.cells import is_error as shows_error
from dotbogi.search.check.finding import Finding, Kind
from dotbogi.search.check.reading import Cell

# Errors of LibreOffice, numbers too wide for their cell, and newer errors of Excel.
_FURTHER_ERRORS = re.compile(r"Err:\d{3}|#+|#(?:FIELD|BLOCKED|CONNECT|BUSY|UNKNOWN)!")
# What programs write for a missing value, and people for an answer that is not written yet.
_MISSING = re.compile(
    r"nan|n/?a|null|\(null\)|none|undefined|tbd|todo|미정|추후 ?작성(?: ?예정)?|작성 ?(?:예정|중)",
    re.I,
)
# Letters that show nothing: zero-width ones, Hangul fillers, the soft hyphen.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u3164\u115f\u1160\u00ad"))


def blank_cells(table: Table) -> Iterator[Finding]:
    """Yield rows without an answer, and rows without a question beside an answer that has one."""
    asked = {row.answer.strip() for row in table.rows if not is_blank(row.question)}
    seen: set[int] = set()
    for row in table.rows:
        if row.number in seen:  # a further phrasing in the same row of the file
            continue
        if row.number:
            seen.add(row.number)
        if is_no_answer(row.answer):
            advice = "The answer is blank, so the row is no use. Write it, or delete the row."
            if not is_blank(row.answer):
                advice = f"“{row.answer.strip()[:20]}” is no answer. Write it, or delete the row."
            yield Finding.of(Kind.BLANK_CELL, [row.number], [row.question], advice)
        elif table.columns.question and is_blank(row.question) and row.answer.strip() in asked:
            advice = (
                "The question is blank; other rows have this answer. Write it, or delete the row."
            )
            yield Finding.of(Kind.BLANK_CELL, [row.number], [row.answer], advice)


def is_blank(text: str) -> bool:
    """Return whether a cell has nothing to read."""
    return not _visible(text) or bool(_MISSING.fullmatch(_visible(text)))


def is_no_answer(text: str) -> bool:
    """Return whether a cell has nothing to read, or a dash in place of an answer."""
    # Question marks are left to `garbled`: they may be lost letters. Emoji may be an answer.
    marks = all(unicodedata.category(c)[0] in "PZ" and c != "?" for c in _visible(text))
    return marks or is_blank(text)


def _visible(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_INVISIBLE).strip()


def is_error(text: str) -> bool:
    """Return whether a whole cell is an error; a longer text may be about errors."""
    return shows_error(text) or bool(_FURTHER_ERRORS.fullmatch(text.strip()))


def skipped_rows(skips: Iterable[Skip], rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield the rows that the reader has left out, by reason."""
    reasons: dict[str, list[int]] = {}
    numbers = {row.number for row in rows}
    for skip in skips:
        # A row that was read all the same is checked itself; others the user leaves out.
        if skip.number not in numbers and not skip.wanted:
            reasons.setdefault(skip.reason, []).append(skip.number)
    for reason, skipped in reasons.items():
        kind = Kind.CONTRADICTORY_ROW
        if "blank" in reason or "empty" in reason:
            kind = Kind.BLANK_CELL
        elif "error" in reason:
            kind = Kind.ERROR_CELL
        advice = f"Left out: {reason}. Mend or delete {'these rows' if skipped[1:] else 'the row'}."
        yield Finding.of(kind, skipped, [], advice)


def error_cells(cells: Iterable[Cell]) -> Iterator[Finding]:
    """Yield the errors that a spreadsheet has written into cells."""
    for cell in cells:
        if is_error(cell.text):
            advice = (
                f"The {cell.column} is an error of the spreadsheet. Mend its formula, or write it."
            )
            yield Finding.of(Kind.ERROR_CELL, cell.rows, [cell.text], advice)
