"""Fusion: the rankings of several signals → one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.hits import Candidate, Ranking
from dotbogi.search.candidates import PARTS, Candidates, Floats

METHODS = ("bm25", "dense", "hybrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionWeights:
    """The weight of each part in the hybrid score. Saved in a generation's fusion.json.

    The defaults were chosen on the development sets (benchmarks/LOG.md), for collections with too
    few known questions to fit weights on.
    """

    bm25_answer: float = 0.0
    bm25_question: float = 0.0
    bm25_joined: float = 2.0  # BM25 on answer and known questions as one text
    bm25_best: float = 1.0  # the better of BM25's answer and question views
    dense_answer: float = 0.0
    dense_question: float = 0.0
    dense_best: float = 3.0  # the better of dense search's answer and question views
    dense_whole: float = 2.0  # the mean of an answer's vector and those of its known questions
    source: str = "defaults"  # where they come from, for display

    def shares(self) -> dict[str, float]:
        """Return the weight of each part; they add up to 1."""
        return dict(zip(PARTS, self.vector().tolist(), strict=True))

    def vector(self) -> NDArray[np.float64]:
        """Return the weights in the order of PARTS, adding up to 1."""
        weights = np.asarray([getattr(self, part) for part in PARTS], np.float64)
        return weights / float(weights.sum())


def fuse(
    candidates: Candidates,
    method: str = "hybrid",
    weights: FusionWeights | None = None,
    k: int | None = None,
) -> Ranking:
    """Merge the candidates of one query into one ranking.

    The hybrid score is Σ w·s / Σ w over `Candidates.parts`, from 0 to 1 (Bruch et al., TOIS 2023).
    Ties are in order of answer id.

    Args:
        candidates: the candidates of the query.
        method: "hybrid", or one scorer alone: "bm25" (joined view) or "dense" (better view).
        weights: the weights of the hybrid; None for the defaults.
        k: answers at most; None for all.
    """
    scores = scores_by(candidates, method, weights)
    rows = candidates.ranking_by(scores)[:k]
    ids = [candidates.answer_ids[row] for row in rows.tolist()]
    return list(map(Candidate, ids, scores[rows].tolist(), map(candidates.questions.get, ids)))


def scores_by(candidates: Candidates, method: str, weights: FusionWeights | None = None) -> Floats:
    """Return each candidate's score by a method; NaN if the method did not find it."""
    if method == "bm25":
        return candidates.signal("bm25.joined")
    if method == "dense":
        return np.fmax(candidates.signal("dense.answer"), candidates.signal("dense.question"))
    scores: Floats = (candidates.parts() @ (weights or FusionWeights()).vector()).round(12)
    return scores
