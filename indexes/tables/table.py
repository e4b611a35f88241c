"""What is read from a table: its rows, what was skipped, and how it was read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Origin = Literal["feedback", "review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read a table; None: found by looking at the table."""

    question: str | None = None  # name of the column
    further: tuple[str, ...] | None = None  # columns with further phrasings of the question
    answer: str | None = None  # name of the column
    answer_id: str | None = None  # name of the column
    sheet: str | None = None  # of a workbook
    header: int | None = None  # number of the row that names the columns; 0: there is none
    split: str | None = None  # what separates phrasings in a cell: "newline", "|" or "none"
    only: tuple[str, ...] = ()  # "COLUMN=VALUE": leave out rows with another value
    encoding: str | None = None
    delimiter: str | None = None
    markup: bool | None = None  # True: keep HTML as it is


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its answer; an empty question means that only the answer is known."""

    question: str
    answer: str
    answer_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    number: int = field(default=0, compare=False)  # the line of the file or the row of the sheet
    origin: Origin | None = None  # of the question; only an export states it, and the two below
    preferred: int = 0
    opposed: int = 0


@dataclass(frozen=True, slots=True)
class Skip:
    """A row that is left out, and why."""

    number: int  # the line of the file or the row of the sheet
    reason: str
    wanted: bool = False  # the user asked for it


@dataclass(frozen=True, slots=True)
class Grid:
    """The filled rows of a file, as numbered lists of cells, and what was assumed to read them."""

    rows: Iterator[tuple[int, list[str]]]
    notes: tuple[str, ...] = ()
    merged: bool = False  # rows hold what merged cells show


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of cells by the names of their columns."""

    names: list[str]
    rows: list[dict[str, str]]
    numbers: list[int]  # the line or row of each
    skips: list[Skip] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    merged: bool = False  # merged cells are filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of one table before cleaning, and where they came from.

    Several rows here can have come from one row of the file: they have its number.
    """

    path: Path
    rows: list[Row]
    columns: Reading  # the names of the columns that were read
    notes: tuple[str, ...] = ()  # for the user: how the table was read
    skips: tuple[Skip, ...] = ()  # rows that could not be read
