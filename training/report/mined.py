"""What mining gave, read from a run's folder: yields, cosines, suspected false negatives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import DamagedError

RIGHT = "right answers"
BINS = 25
SHOWN = 20  # suspects
SHOWN_OF_ONE = 3  # of one question, so that a question with a weak answer does not fill the list


@dataclass(frozen=True, slots=True)
class Histogram:
    """How cosines spread: `shares[name][i]` is the share of `name` between edges i and i + 1."""

    edges: list[float]
    shares: Mapping[str, list[float]]  # RIGHT first, then each source


@dataclass(frozen=True, slots=True)
class Suspect:
    """A mined answer that may be right: its cosine is over the bound of its pair."""

    question: str
    positive: str
    positive_cosine: float
    answer: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Mining:
    """What one round's mining gave."""

    number: int
    yields: Mapping[str, Mapping[str, int]]  # source → asked, over_bound, kept, …
    histogram: Histogram | None  # None without a negative
    suspect_count: int
    suspects: list[list[Suspect]]  # by question, the highest above their positive first


def read_mining(folder: Path, event: Mapping[str, Any], texts: Mapping[str, str]) -> Mining:
    """Read one round's mining.

    Args:
        folder: of the run.
        event: `mined` of the round in the ledger.
        texts: of the answers, by id.
    """
    number = event["round"]
    count, suspects = _suspects(_rows(folder / f"suspects-{number}.parquet"), texts)
    negatives = _rows(folder / f"negatives-{number}.parquet")
    histogram = _histogram(negatives, list(event["yields"]))
    return Mining(number, event["yields"], histogram, count, suspects)


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(f"{path}: not a table of negatives ({error}).") from error
    return rows


def _histogram(negatives: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> Histogram | None:
    """Spread the cosines of every pair's right answer, once a pair, and of each source."""
    if not negatives:
        return None
    right = {(row["question"], row["positive_id"]): row["positive_cosine"] for row in negatives}
    values: dict[str, list[float]] = {RIGHT: list(right.values()), **{s: [] for s in sources}}
    for row in negatives:
        values.setdefault(row["source"], []).append(row["cosine"])
    values = {name: series for name, series in values.items() if series}
    every = [value for series in values.values() for value in series]
    edges = np.linspace(min(every), max(max(every), min(every) + 0.01), BINS + 1)
    shares = {
        name: (np.histogram(series, edges)[0] / len(series)).tolist()
        for name, series in values.items()
    }
    return Histogram(edges.tolist(), shares)


def _suspects(
    rows: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> tuple[int, list[list[Suspect]]]:
    """Return how many pairs are suspected, each counted once, and the strongest by question."""
    found: dict[tuple[str, str], Suspect] = {}
    for row in rows:
        answer = texts.get(row["answer_id"] or "") or row.get("text") or ""
        found[row["question"], answer] = Suspect(
            question=row["question"],
            positive=texts[row["positive_id"]],
            positive_cosine=row["positive_cosine"],
            answer=answer,
            cosine=row["cosine"],
        )
    groups: dict[str, list[Suspect]] = {}
    shown = 0
    for suspect in sorted(found.values(), key=lambda s: s.positive_cosine - s.cosine):
        group = groups.setdefault(suspect.question, [])
        if len(group) < SHOWN_OF_ONE:
            group.append(suspect)
            shown += 1
        if shown == SHOWN:
            break
    return len(found), list(groups.values())
