"""Which column of a table holds what."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.tables import names
from dotbogi.indexes.tables.records import quoted
from dotbogi.indexes.tables.table import Reading

_TWIN = re.compile(r" \(\d+\)$")  # a name that stands in the header once more
OPTIONS = {
    "question": "--question-column", "answer": "--answer-column", "answer_id": "--id-column",
}  # fmt: skip
NONE = "none"  # as the name of a column: there is none


def find_columns(
    path: Path, columns: Sequence[str], reading: Reading, *, by_id: bool = False
) -> Reading:
    """Return the names of a table's columns: as the user says, or else by their usual names.

    Args:
        path: of the table, for messages.
        columns: the names of all its columns.
        reading: what the user says.
        by_id: the answer column may be missing if there is a column of answers' ids.

    Raises:
        UsageError: a column that the user names is not there, there is no answer column, or two
            columns could be it.
    """
    found: dict[str, Any] = {
        role: _column(path, columns, getattr(reading, role), role) for role in OPTIONS
    }
    further = _further(path, columns, reading)
    if found["question"] is None and further and reading.question is None:
        found["question"], further = further[0], further[1:]
    if reading.further is None and found["question"]:
        own = _TWIN.sub("", found["question"])
        further += tuple(n for n in columns if n not in further and _TWIN.sub("", n) == own)
    further = tuple(name for name in further if name not in found.values())
    if found["answer"] is None and not (by_id and found["answer_id"]):
        what = "--answer-column (and --question-column)"
        raise UsageError(
            f"{path}: no answer column among {quoted(columns)}. Name it with {what}; if the names "
            "stand in another row, give its number with --header; 0 if no row names the columns."
        )
    return replace(reading, **found, further=further)


def _column(path: Path, columns: Sequence[str], given: str | None, role: str) -> str | None:
    if given == NONE and role != "answer":
        return None
    if given is not None:
        exact = [name for name in columns if name == given]
        alike = [name for name in columns if name and names.key(name) == names.key(given)]
        if not exact and not alike:
            raise UsageError(
                f"{path}: no column {given!r}; the columns are {quoted(columns)}. "
                f"Change {OPTIONS[role]}."
            )
        return (exact or alike)[0]
    ranks = {name: names.rank(_TWIN.sub("", name), role) for name in columns if name}
    usual = [name for name, rank in ranks.items() if rank is not None]
    if not usual:
        return None
    best = min(usual, key=lambda name: ranks[name] or 0)
    twins = [name for name in usual if name != best and ranks[name] == ranks[best]]
    if role == "question":  # 질문 twice: the second holds further phrasings
        twins = [name for name in twins if _TWIN.sub("", name) != _TWIN.sub("", best)]
    if twins:
        raise UsageError(
            f"{path}: the columns {quoted([best, *twins])} could all be it. "
            f"Name one with {OPTIONS[role]}."
        )
    return best


def _further(path: Path, columns: Sequence[str], reading: Reading) -> tuple[str, ...]:
    if reading.further is None:
        return tuple(name for name in columns if name and names.is_further(_TWIN.sub("", name)))
    by_key = {names.key(name): name for name in columns if name}
    missing = [name for name in reading.further if names.key(name) not in by_key]
    if missing:
        raise UsageError(
            f"{path}: no column {missing[0]!r}; the columns are {quoted(columns)}. "
            "Change --further-columns."
        )
    return tuple(by_key[names.key(name)] for name in reading.further)


def column_notes(columns: Sequence[str], used: Reading, reading: Reading) -> tuple[str, ...]:
    """Return what was assumed about the columns, for the user."""
    notes: list[str] = []
    guessed = [
        f"{role.replace('answer_id', 'id')} {name!r}"
        for role in OPTIONS
        if (name := getattr(used, role)) and getattr(reading, role) is None
    ]
    if guessed:
        notes.append(f"columns: {', '.join(guessed)}")
    if used.question is None:
        notes.append(
            f"no question column among {quoted(columns)}: only answers are read. "
            "If a column holds questions, name it with --question-column."
        )
    if used.further and reading.further is None:
        notes.append(
            f"{quoted(used.further)}: further phrasings of the question (--further-columns)"
        )
    return tuple(notes)
