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
from dotbogi.search.candidates import Candidates, Floats, per_row

# Features that separate right first answers from wrong ones, in the order of the coefficients.
FEATURES = (
    "score",  # the fused score of the first answer
    "margin",  # its lead over the second answer, or over 0 if there is none
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


def features_of(query: str, candidates: Candidates, fused: Ranking) -> Floats:
    """Return FEATURES of one query whose fused ranking is not empty."""
    first = candidates.answer_ids.index(fused[0].answer_id)
    features: Floats = features_of_many(
        np.asarray([len(query)]),
        candidates.scores,
        np.zeros(1, np.int64),
        np.asarray([first]),
        np.asarray([fused[0].score]),
        np.asarray([fused[1].score if len(fused) > 1 else -np.inf]),
    )[0]
    return features


def features_of_many(
    lengths: NDArray[np.int64],
    scores: Floats,
    starts: NDArray[np.int64],
    first: NDArray[np.int64],
    fused: Floats,
    next_: Floats,
) -> Floats:
    """Return queries × FEATURES.

    Args:
        lengths: of each query, in characters.
        scores: rows × SIGNALS of the candidates, one query after another; NaN: not found.
        starts: each query's first row; none is without rows.
        first: the row of each query's first answer.
        fused: the fused score of the first answer.
        next_: that of the second; −inf if there is none.
    """
    length = np.maximum(lengths, 1)
    scores = np.where(np.isnan(scores), -np.inf, scores)
    best = np.maximum.reduceat(scores, starts, axis=0)
    found_any = best > -np.inf
    rows = np.arange(len(scores))[:, None]
    is_best = scores == per_row(best, starts, len(scores))
    favourites = np.minimum.reduceat(np.where(is_best, rows, len(scores)), starts, axis=0)
    votes = ((favourites == first[:, None]) & found_any).sum(axis=1)
    own = dict(zip(SIGNALS, np.where(scores[first] > -np.inf, scores[first], 0.0).T, strict=True))
    columns = {
        "score": fused,
        "margin": np.maximum(fused - np.where(next_ > -np.inf, next_, 0.0), 0.0),
        "cosine": np.maximum(own["dense.answer"], own["dense.question"]),
        "answer_cosine": own["dense.answer"],
        "whole": own["dense.whole"],
        "agreement": votes / np.maximum(found_any.sum(axis=1), 1),
        "joined": own["bm25.joined"] / length,
        "best": np.maximum(own["bm25.answer"], own["bm25.question"]) / length,
        "length": np.log1p(length),
    }
    features = np.empty((len(lengths), len(FEATURES)))
    for column, name in enumerate(FEATURES):
        features[:, column] = columns[name]
    return features
