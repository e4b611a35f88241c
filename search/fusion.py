"""Several rankings → one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.hits import Candidate, Ranking
from dotbogi.search.candidates import PARTS, Candidates, Floats

METHODS = ("bm25", "dense", "hybrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionWeights:
    """What the normalised scores of each part count for. Saved in a generation's fusion.json.

    The defaults were chosen over the development sets (benchmarks/LOG.md), for collections with
    too few known questions to fit them on.
    """

    bm25_answer: float = 0.0
    bm25_question: float = 0.0
    bm25_joined: float = 2.0  # over answer and known questions as one text
    bm25_best: float = 1.0  # the better of BM25 on the answer and on the question view
    dense_answer: float = 0.0
    dense_question: float = 0.0
    dense_best: float = 3.0  # the better of dense on the answer and on the question view
    dense_whole: float = 2.0  # the mean of an answer's vector and those of its known questions
    source: str = "defaults"  # where they come from, for a person

    def vector(self) -> NDArray[np.float64]:
        """Return the weights in the order of PARTS, adding up to 1."""
        weights = np.asarray([getattr(self, part) for part in PARTS], np.float64)
        return weights / float(weights.sum())


def fuse(
    found: Candidates,
    method: str = "hybrid",
    weights: FusionWeights | None = None,
    k: int | None = None,
) -> Ranking:
    """Merge what the signals found for one query.

    Bruch et al., TOIS 2023: score = Σ w·s / Σ w, between 0 and 1, over `Candidates.parts`. The
    order of equals is that of their answer ids.

    Args:
        found: the candidates of the query.
        method: "hybrid", or one scorer alone: "bm25" (joined view) or "dense" (better view).
        weights: of the parts in the hybrid.
        k: answers at most; all if left out.
    """
    scores = scores_by(found, method, weights)
    rows = found.ranking_by(scores)[:k]
    ids = [found.answer_ids[row] for row in rows.tolist()]
    return list(map(Candidate, ids, scores[rows].tolist(), map(found.questions.get, ids)))


def scores_by(found: Candidates, method: str, weights: FusionWeights | None = None) -> Floats:
    """Return each candidate's score by a method; NaN where it has not found the answer."""
    if method == "bm25":
        return found.signal("bm25.joined")
    if method == "dense":
        return np.fmax(found.signal("dense.answer"), found.signal("dense.question"))
    scores: Floats = (found.parts() @ (weights or FusionWeights()).vector()).round(12)
    return scores
