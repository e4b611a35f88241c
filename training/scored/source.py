"""The scored pairs of a run, from one table or from separate tables to train and test on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.download import Progress
from dotbogi.indexes.source import fetched_note, public_set
from dotbogi.training.scored.pairs import (
    ScoredColumns,
    ScoredSplit,
    read_scored_table,
    split_scored,
)


@dataclass(frozen=True, slots=True)
class ScoredSource:
    """Pairs with their splits, their origin, and the counts of rows as lines for a terminal."""

    split: ScoredSplit
    origin: Mapping[str, Any]  # saved with the run
    lines: list[str]
    notes: list[str]  # for the user: which sets were fetched


def read_scored_source(
    table: Path,
    columns: ScoredColumns,
    *,
    test_table: Path | None,
    seed: int,
    progress: Progress | None = None,
) -> ScoredSource:
    """Read scored pairs and split them.

    Args:
        table: a file, or the name of a public set, which is fetched if it is missing.
        columns: the columns that are not recognised by name.
        test_table: the same for the final test; None takes a tenth of `table`.
        seed: for the split.
        progress: called with a file's name, bytes so far and bytes in all while it is fetched.

    Raises:
        DotbogiError: a table cannot be read, or has too few pairs.
    """
    sets = [public_set(name, progress=progress) for name in (table, test_table)]
    pairs = read_scored_table(sets[0].path if sets[0] else table, columns)
    test = None
    origin = {"table": str(table), **asdict(pairs.columns)}
    if test_table:
        test = read_scored_table(sets[1].path if sets[1] else test_table, pairs.columns)
        origin["test_table"] = str(test_table)
    split = split_scored(pairs.pairs, seed=seed, test=test.pairs if test else None)
    return ScoredSource(
        split,
        origin,
        lines=[*pairs.lines(), *(test.lines() if test else []), *split.lines()],
        notes=[fetched_note(public) for public in sets if public and public.new],
    )
