"""Which rows of a file name its columns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dotbogi.indexes.tables import names
from dotbogi.indexes.tables.cells import clean_cell
from dotbogi.indexes.tables.table import Reading
from dotbogi.indexes.text import clean

LOOKED_AT = 20  # filled rows from the top
_WORD = 12  # characters; what stands in a header is short
_SENTENCE = 20  # characters; what is longer is no name of a column

NumberedRow = tuple[int, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Header:
    """The names of the columns and the rows that they stand in."""

    names: list[str]
    first: int  # number of the row
    last: int  # of the second row, if there are two; 0: no row of the file names the columns
    known: int = 0  # how many of the names are usual ones
    goodness: int = 0  # 3: the names that the user gives; 2: question and answer; 1: answer


def find_header(rows: Sequence[NumberedRow], reading: Reading) -> Header | None:
    """Find the header among the first filled rows of a file.

    It is the first row that holds the names that the user has given; or usual names of a question
    and an answer; or of an answer. Titles above it are passed over.

    Returns:
        None if no row holds such names.
    """
    asked = (reading.question, reading.answer, reading.answer_id)
    given = {names.key(name) for name in asked if name and name != "none"}
    best: tuple[int, int] | None = None  # how good, position
    for position, (_, cells) in enumerate(rows[:LOOKED_AT]):
        goodness = _goodness(cells, given, is_first=position == 0)
        if goodness and (best is None or goodness > best[0]):
            best = goodness, position
    if best is None:
        return None
    header = header_at(rows, best[1])
    return replace(header, goodness=best[0])


def _goodness(cells: Sequence[str], given: set[str], *, is_first: bool) -> int:
    """Return how much a row is like a header; 0: not at all."""
    labels = list(filter(None, map(_label, cells)))
    roles = set(map(names.role, labels))
    if given and given <= set(map(names.key, labels)):
        return 3
    if "question" in roles and roles & {"answer", "answer_id"}:
        return 2
    # Data hold an "A" or a "답변" too, but among cells that no header has.
    if "answer" in roles and (is_first or 2 * _known(labels) >= len(labels)):
        return 1
    return 0


def _label(cell: str) -> str:
    return " ".join(clean(clean_cell(cell)).split())


def header_at(rows: Sequence[NumberedRow], position: int) -> Header:
    """Return the header that begins in this row, with the row below if that names columns too."""
    number, cells = rows[position]
    upper = list(map(_label, cells))
    second = position + 1
    if second < len(rows) and _names_columns(upper, rows[second][1]):
        lower = list(map(_label, rows[second][1]))
        joined = _joined(upper, lower)
        return Header(_unique(joined), number, rows[second][0], _known(joined))
    return Header(_unique(upper), number, number, _known(upper))


def _known(labels: Sequence[str]) -> int:
    return sum(bool(label) and names.is_known(label) for label in labels)


def _names_columns(upper: Sequence[str], lower: Sequence[str]) -> bool:
    """Return whether the row below a header's first row goes on with the names.

    It does if it names columns that the first row leaves blank or spans, by usual names.
    """
    spans = Counter(cell for cell in upper if cell)
    pairs = [
        (upper[i] if i < len(upper) else "", cell.strip())
        for i, cell in enumerate(lower)
        if cell.strip()
    ]
    below = [cell for above, cell in pairs if cell != above]
    opened = [cell for above, cell in pairs if cell != above and (not above or spans[above] > 1)]
    return (
        bool(opened)
        and all(len(cell) <= _WORD for cell in below)
        and 2 * sum(map(names.is_known, below)) >= len(below)
    )


def _joined(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    """Return one name a column from two rows; a blank upper cell belongs to the one on its left."""
    width = max(len(upper), len(lower))
    above = [*upper, *[""] * (width - len(upper))]
    below = [*lower, *[""] * (width - len(lower))]
    labels: list[str] = []
    group = ""
    for top, bottom in zip(above, below, strict=True):
        is_first = bool(top) and top != group
        group = top or (group if bottom else "")
        if not bottom or bottom == group:
            labels.append(group)
        elif names.is_known(bottom) and names.key(bottom) not in _VAGUE:
            labels.append(bottom)
        elif is_first and names.is_known(group):
            labels.append(group)  # the first column below 답변 is the answer, whatever its name
        else:
            labels.append(f"{group} {bottom}".strip())
    return labels


_VAGUE = frozenset(map(names.key, ("내용", "본문", "제목", "구분", "url", "링크", "비고")))


def _unique(labels: Sequence[str]) -> list[str]:
    """Return the names with a number behind those that stand there already."""
    taken: Counter[str] = Counter()
    unique = []
    for label in labels:
        taken[label] += 1
        unique.append(f"{label} ({taken[label]})" if label and taken[label] > 1 else label)
    return unique


def without_header(rows: Sequence[NumberedRow]) -> Header | None:
    """Return names for a file of two columns whose first row is a question and an answer.

    This is how Dialogflow reads and writes a knowledge base. The first row is data if it reads
    like a sentence rather than like the name of a column.
    """
    widths = Counter(len("\0".join(cells).rstrip("\0").split("\0")) for _, cells in rows)
    if not rows or widths.most_common(1)[0][0] != 2 or any(rows[0][1][2:]):
        return None
    question, answer = (clean_cell(cell) for cell in [*rows[0][1], ""][:2])
    if question.endswith(("?", "\uff1f")) or len(answer) > _SENTENCE or answer.endswith((".", "!")):
        return Header(["question", "answer"], 0, 0)
    return None
