"""The results of mining in a run: yields, cosines, and suspected false negatives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dotbogi.training.judgements.review import Suspect
from dotbogi.training.ledger import Mined
from dotbogi.training.negatives import Negative
from dotbogi.training.negatives.files import open_negatives

RIGHT = "right answers"
BINS = 25
SHOWN = 20  # suspects
SHOWN_OF_ONE = 3  # per question: one with a weak known answer would fill the list


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distributions of cosines; `shares[name][i]` is the share between edges i and i + 1."""

    edges: list[float]
    shares: Mapping[str, list[float]]  # RIGHT first, then the sources


@dataclass(frozen=True, slots=True)
class Mining:
    """The results of mining in one round."""

    number: int
    yields: Mapping[str, Mapping[str, int]]  # source → asked, over_bound, kept, …
    histogram: Histogram | None  # None without negatives
    suspect_count: int
    suspects: list[list[Suspect]]  # by question, the highest above their positive first


def read_mining(folder: Path, event: Mined, texts: Mapping[str, str]) -> Mining:
    """Read the results of mining for all questions in one round.

    Args:
        folder: the run's folder.
        event: the mining's event.
        texts: the answers' texts by id.
    """
    number = event.round
    count, suspects = _suspects(open_negatives(folder / f"suspects-{number}.parquet"), texts)
    negatives = open_negatives(folder / f"negatives-{number}.parquet")
    return Mining(number, event.yields, _histogram(negatives, list(event.yields)), count, suspects)


def _histogram(negatives: Sequence[Negative], sources: Sequence[str]) -> Histogram | None:
    """Return the distributions of the cosines of right answers, once per pair, and by source."""
    if not negatives:
        return None
    right = {(n.question, n.positive_id): n.positive_cosine for n in negatives}
    values: dict[str, list[float]] = {RIGHT: list(right.values()), **{s: [] for s in sources}}
    for negative in negatives:
        values[negative.source].append(negative.cosine)
    values = {name: series for name, series in values.items() if series}
    every = [value for series in values.values() for value in series]
    edges = np.linspace(min(every), max(max(every), min(every) + 0.01), BINS + 1)
    shares = {
        name: (np.histogram(series, edges)[0] / len(series)).tolist()
        for name, series in values.items()
    }
    return Histogram(edges.tolist(), shares)


def _suspects(
    negatives: Sequence[Negative], texts: Mapping[str, str]
) -> tuple[int, list[list[Suspect]]]:
    """Return the number of different suspected pairs, and the strongest by question."""
    suspects = {
        (negative.question, negative.text): Suspect(
            question=negative.question,
            answer=negative.text,
            answer_id=negative.answer_id,
            known_answer=texts[negative.positive_id],
            cosine=negative.cosine,
            known_cosine=negative.positive_cosine,
            source=negative.source,
        )
        for negative in negatives
    }
    groups: dict[str, list[Suspect]] = {}
    shown = 0
    for suspect in sorted(suspects.values(), key=lambda s: s.known_cosine - s.cosine):
        group = groups.setdefault(suspect.question, [])
        if len(group) < SHOWN_OF_ONE:
            group.append(suspect)
            shown += 1
        if shown == SHOWN:
            break
    return len(suspects), list(groups.values())
