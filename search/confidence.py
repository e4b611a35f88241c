"""The probability that the first answer is right."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.files import reading, write_json
from dotbogi.indexes.hits import Ranking
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.shapes import record
from dotbogi.indexes.views import SIGNALS
from dotbogi.search.candidates import Candidates

# Features that separate right first answers from wrong ones, in the order of the coefficients.
FEATURES = (
    "score",  # the fused score of the first answer
    "margin",  # its lead over the second answer; 0 if it has none
    "cosine",  # with the first answer's nearest text
    "answer_cosine",  # with the answer's own text
    "whole",  # cosine in the whole view
    "agreement",  # share of the signals that rank it first
    "joined",  # BM25 in the joined view per character of the query: how much of it was found
    "best",  # the same for the better of BM25's other views
    "length",  # of the query: log(1 + characters)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A logistic model of P(the first answer is right). Saved in calibration.json."""

    coefficients: Mapping[str, float]  # by feature, for unscaled features
    intercept: float
    threshold: float  # of "auto": with a lower confidence, no answer is returned
    source: str  # the queries it was fitted on, for display

    def confidence(self, query: str, candidates: Candidates, fused: Ranking) -> float:
        """Return P(the first answer of `fused` is right), from 0 to 1; 0 if it is empty."""
        if not fused:
            return 0.0
        values = features_of(query, candidates, fused)
        weights = [self.coefficients[name] for name in FEATURES]
        return 1 / (1 + math.exp(-max(-50.0, float(values @ weights) + self.intercept)))

    def save(self, folder: Path) -> None:
        """Write calibration.json into a staged generation."""
        write_json(folder / "calibration.json", asdict(self))

    @classmethod
    def open(cls, folder: Path) -> "Calibration":
        """Read what `save` wrote."""
        path = folder / "calibration.json"
        with reading(path):
            opened = record(cls, read_json(path))
            if set(opened.coefficients) != set(FEATURES):
                raise ValueError("other features")
        return opened


def features_of(query: str, candidates: Candidates, fused: Ranking) -> NDArray[np.float64]:
    """Return FEATURES of one query whose fused ranking is not empty."""
    first = candidates.answer_ids.index(fused[0].answer_id)
    scores = dict(zip(SIGNALS, np.nan_to_num(candidates.scores[first]).tolist(), strict=True))
    found_any = ~np.isnan(candidates.scores).all(axis=0)
    favourites = np.where(np.isnan(candidates.scores), -np.inf, candidates.scores).argmax(axis=0)
    votes = int((favourites[found_any] == first).sum())
    length = max(len(query), 1)
    return np.asarray(
        [
            fused[0].score,
            max(fused[0].score - (fused[1].score if len(fused) > 1 else 0.0), 0.0),
            max(scores["dense.answer"], scores["dense.question"]),
            scores["dense.answer"],
            scores["dense.whole"],
            votes / max(int(found_any.sum()), 1),
            scores["bm25.joined"] / length,
            max(scores["bm25.answer"], scores["bm25.question"]) / length,
            math.log1p(length),
        ]
    )
