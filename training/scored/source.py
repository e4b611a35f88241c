"""The scored pairs of a run, from one table or from separate tables to train and test on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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


def read_scored_source(
    table: Path,
    columns: ScoredColumns,
    *,
    test_table: Path | None,
    seed: int,
    name: str,
) -> ScoredSource:
    """Read scored pairs and split them.

    Args:
        table: file of the pairs.
        columns: the columns that are not recognised by name.
        test_table: file of the pairs for the final test; None takes a tenth of `table`.
        seed: for the split.
        name: name of the table, as given by the user.

    Raises:
        DotbogiError: a table cannot be read, or has too few pairs.
    """
    pairs = read_scored_table(table, columns)
    test = read_scored_table(test_table, pairs.columns) if test_table else None
    split = split_scored(pairs.pairs, seed=seed, test=test.pairs if test else None)
    origin = {"table": name, **asdict(pairs.columns)}
    if test_table:
        origin["test_table"] = str(test_table)
    return ScoredSource(
        split, origin, [*pairs.lines(), *(test.lines() if test else []), *split.lines()]
    )
