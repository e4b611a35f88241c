"""What `dotbogi check` finds: the kinds, most serious first, and one finding."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dotbogi.search.check.private_data import masked

_SHOWN = 60  # letters of a text


class Kind(StrEnum):
    """A kind of finding; the order is the order of the report."""

    PRIVATE_DATA = "private-data"
    CONTRADICTORY_ROW = "contradictory-row"
    ERROR_CELL = "error-cell"
    BLANK_CELL = "blank-cell"
    GARBLED_TEXT = "garbled-text"
    REPEATED_QUESTION = "repeated-question"
    MISPLACED_QUESTION = "misplaced-question"
    NEAR_DUPLICATE_ANSWERS = "near-duplicate-answers"
    MEANINGLESS_QUESTION = "meaningless-question"
    LONG_ANSWER = "long-answer"
    NO_QUESTION = "answer-without-question"

    @property
    def heading(self) -> str:
        """The kind in a few words, for a person."""
        return _HEADINGS[self]

    @property
    def weight(self) -> int:
        """How serious it is: 2 must be mended, 1 spoils search, 0 is worth a look."""
        return _WEIGHTS[self]


_HEADINGS = {
    Kind.PRIVATE_DATA: "private data",
    Kind.CONTRADICTORY_ROW: "rows that contradict others or cannot be read",
    Kind.ERROR_CELL: "error cells of a spreadsheet",
    Kind.BLANK_CELL: "blank cells",
    Kind.GARBLED_TEXT: "garbled text",
    Kind.REPEATED_QUESTION: "one question with different answers",
    Kind.MISPLACED_QUESTION: "questions nearer to another answer",
    Kind.NEAR_DUPLICATE_ANSWERS: "answers that say nearly the same",
    Kind.MEANINGLESS_QUESTION: "questions without meaning",
    Kind.LONG_ANSWER: "long answers",
    Kind.NO_QUESTION: "answers without a question",
}
_WEIGHTS = {
    Kind.PRIVATE_DATA: 2,
    Kind.CONTRADICTORY_ROW: 2,
    Kind.ERROR_CELL: 2,
    Kind.BLANK_CELL: 2,
    Kind.GARBLED_TEXT: 1,
    Kind.REPEATED_QUESTION: 1,
    Kind.MISPLACED_QUESTION: 1,
    Kind.NEAR_DUPLICATE_ANSWERS: 1,
    Kind.MEANINGLESS_QUESTION: 0,
    Kind.LONG_ANSWER: 0,
    Kind.NO_QUESTION: 0,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a table that a person should look at."""

    kind: Kind
    rows: tuple[int, ...]  # numbers of the rows to mend
    texts: tuple[str, ...]  # shortened, private data masked
    advice: str  # one line: what to do

    @classmethod
    def of(cls, kind: Kind, rows: list[int], texts: list[str], advice: str) -> "Finding":
        """Return a finding that shows these texts."""
        return cls(kind, tuple(dict.fromkeys(rows)), tuple(map(shown, texts)), advice)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {
            "kind": self.kind.value,
            "rows": list(self.rows),
            "texts": list(self.texts),
            "advice": self.advice,
        }


def shown(text: str) -> str:
    r"""Return a text as a report shows it: one short line, private data masked.

    >>> shown("제 번호는\n010-2345-6789예요")
    '제 번호는 010-****-**89예요'
    """
    # Masked first: a number cut in half would no longer be recognised.
    line = " ".join(masked(text[: 20 * _SHOWN]).split()).encode("utf-8", "replace").decode()
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
