"""What is read from a table: its rows, what was skipped, and how it was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The names of a table's columns; None: the column is found by its usual names."""

    question: str | None = None
    answer: str | None = None
    answer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its answer; an empty question means that only the answer is known."""

    question: str
    answer: str
    answer_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    number: int = field(default=0, compare=False)  # the line of the file or the row of the sheet


@dataclass(frozen=True, slots=True)
class Skip:
    """A row that is left out, and why."""

    number: int  # the line of the file or the row of the sheet
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of one table before cleaning, and where they came from."""

    path: Path
    rows: list[Row]
    columns: Columns
    notes: tuple[str, ...] = ()  # for the user: how the table was read
    skips: tuple[Skip, ...] = ()  # rows that could not be read
