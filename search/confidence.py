"""How likely the first answer is right."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.hits import Ranking
from indexes.store import write_json
from indexes.views import BM25

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
    threshold: float  # the lowest confidence whose answers were 90% right when it was fitted
    queries: int  # that it was fitted on

    def confidence(self, query: str, signals: Mapping[str, Ranking], fused: Ranking) -> float:
        """Return P(the first answer of `fused` is right), from 0 to 1; 0 where there is none."""
        if not fused:
            return 0.0
        values = features_of(query, signals, fused)
        weights = [self.coefficients[name] for name in FEATURES]
        return 1 / (1 + math.exp(-max(-50.0, float(values @ weights) + self.intercept)))

    def save(self, folder: Path) -> None:
        """Write calibration.json into a staged generation."""
        write_json(folder / "calibration.json", asdict(self))

    @classmethod
    def open(cls, folder: Path) -> "Calibration | None":
        """Read what `save` wrote; None for a generation that was never calibrated."""
        path = folder / "calibration.json"
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def features_of(query: str, signals: Mapping[str, Ranking], fused: Ranking) -> NDArray[np.float64]:
    """Return FEATURES of one query whose fused ranking is not empty."""
    first = fused[0].answer_id
    scores = {
        name: next((c.score for c in ranking if c.answer_id == first), 0.0)
        for name, ranking in signals.items()
    }
    voters = [ranking for ranking in signals.values() if ranking]
    letters = max(len(query), 1)
    return np.asarray(
        [
            fused[0].score,
            max(fused[0].score - (fused[1].score if len(fused) > 1 else 0.0), 0.0),
            max(scores["dense.answer"], scores["dense.question"]),
            scores["dense.answer"],
            scores["dense.whole"],
            sum(ranking[0].answer_id == first for ranking in voters) / max(len(voters), 1),
            scores["bm25.joined"] / letters,
            max(scores[name] for name in BM25 if name != "bm25.joined") / letters,
            math.log1p(letters),
        ]
    )
