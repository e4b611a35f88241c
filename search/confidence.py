"""How likely the first answer is right."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.hits import Ranking
from dotbogi.indexes.store import write_json
from dotbogi.indexes.views import SIGNALS
from dotbogi.search.candidates import Candidates

# What tells a right first answer from a wrong one, in the order of a calibration's coefficients.
FEATURES = (
    "score",  # fused, of the first answer
    "margin",  # to the second; 0 for an answer that comes first whatever its score
    "cosine",  # of the first answer's nearest text
    "answer_cosine",  # of the answer itself
    "whole",  # cosine with the answer as a whole
    "agreement",  # share of the signals that have it first
    "joined",  # BM25 over the joined view, by letter of the query: how much of it was found
    "best",  # the better of BM25's other views, likewise
    "length",  # of the query: log(1 + letters)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A logistic model of P(the first answer is right). Saved in calibration.json."""

    coefficients: Mapping[str, float]  # by feature, for features as they are
    intercept: float
    threshold: float  # below it there is no good answer, unless another one is asked for
    source: str  # of the queries that it was fitted on, for a person

    def confidence(self, query: str, found: Candidates, fused: Ranking) -> float:
        """Return P(the first answer of `fused` is right), from 0 to 1; 0 where there is none."""
        if not fused:
            return 0.0
        values = features_of(query, found, fused)
        weights = [self.coefficients[name] for name in FEATURES]
        return 1 / (1 + math.exp(-max(-50.0, float(values @ weights) + self.intercept)))

    def save(self, folder: Path) -> None:
        """Write calibration.json into a staged generation."""
        write_json(folder / "calibration.json", asdict(self))

    @classmethod
    def open(cls, folder: Path) -> "Calibration":
        """Read what `save` wrote."""
        return cls(**json.loads((folder / "calibration.json").read_text(encoding="utf-8")))


def features_of(query: str, found: Candidates, fused: Ranking) -> NDArray[np.float64]:
    """Return FEATURES of one query whose fused ranking is not empty."""
    first = found.answer_ids.index(fused[0].answer_id)
    scores = dict(zip(SIGNALS, np.nan_to_num(found.scores[first]).tolist(), strict=True))
    heard = ~np.isnan(found.scores).all(axis=0)
    favourites = np.where(np.isnan(found.scores), -np.inf, found.scores).argmax(axis=0)
    votes = int((favourites[heard] == first).sum())
    letters = max(len(query), 1)
    return np.asarray(
        [
            fused[0].score,
            max(fused[0].score - (fused[1].score if len(fused) > 1 else 0.0), 0.0),
            max(scores["dense.answer"], scores["dense.question"]),
            scores["dense.answer"],
            scores["dense.whole"],
            votes / max(int(heard.sum()), 1),
            scores["bm25.joined"] / letters,
            max(scores["bm25.answer"], scores["bm25.question"]) / letters,
            math.log1p(letters),
        ]
    )
