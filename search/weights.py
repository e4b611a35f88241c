"""Fit the fusion weights on labelled queries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.search.candidates import PARTS, Candidates, Floats, per_row
from dotbogi.search.fusion import FusionWeights
from dotbogi.search.stacked import Stacked

DEPTH = 10  # MRR@10
# Chosen on development splits cut down to 30, 100, 240 and 700 queries (benchmarks/LOG.md).
PRIOR_SCALE = 15.0  # the sum of the weights of the prior: an inverse temperature
PRIOR_STRENGTH = 0.1


def fit_weights(
    candidates: Sequence[Candidates],
    grades: Sequence[Mapping[str, int]],
    *,
    prior: FusionWeights,
    source: str,
) -> FusionWeights:
    """Return the weights of the hybrid's parts that put right answers first on these queries.

    They minimise the listwise loss −log Σ_right softmax(w·s) (ListNet's top one, Cao et al. 2007)
    over w ≥ 0, plus a penalty for leaving the prior, which fades with more queries. The loss is
    convex if each query has one right answer, and steadier on few queries than MRR itself
    (benchmarks/LOG.md). The fit is used only if its MRR@10 is at least that of the prior and of
    every part alone: on these queries, the hybrid is never worse than its best part.

    Args:
        candidates: the candidates of each query.
        grades: for each query, answer id → grade; above 0 is right.
        prior: the weights before any fit.
        source: a description of the queries, for display.
    """
    lists = _Lists(candidates, grades)
    default = prior.vector()
    fitted = lists.fit(default)
    tried = [fitted, default, *np.eye(len(PARTS))]  # the first of equals wins
    best = tried[int(np.argmax([round(lists.mrr(weights), 9) for weights in tried]))]
    if best is default:
        return prior
    shares = (best / best.sum()).round(6).tolist()
    return FusionWeights(**dict(zip(PARTS, shares, strict=True)), source=source)


class _Lists:
    """The candidates of all queries; queries without a right candidate are left out."""

    def __init__(
        self, candidates: Sequence[Candidates], grades: Sequence[Mapping[str, int]]
    ) -> None:
        stacked = Stacked.of(candidates, grades)
        found = stacked.any(stacked.right)  # no weights help if no signal found a right answer
        self._stacked = stacked.only(np.repeat(found, stacked.sizes))
        self.starts, self.right = self._stacked.starts, self._stacked.right
        self.parts = self._stacked.parts()

    def fit(self, default: Floats) -> Floats:
        """Return the weights that minimise the listwise loss, scaled to a sum of 1."""
        if not len(self.starts):
            return default
        from scipy.optimize import minimize

        result = minimize(
            self._loss, PRIOR_SCALE * default, args=(PRIOR_SCALE * default,), jac=True,
            method="L-BFGS-B", bounds=[(0, None)] * len(PARTS),
        )  # fmt: skip
        weights: Floats = result.x
        return weights / weights.sum() if weights.sum() > 0 else default

    def _loss(self, weights: Floats, prior: Floats) -> tuple[float, Floats]:
        scores = self.parts @ weights
        scores = np.exp(scores - self._per_row(np.maximum.reduceat(scores, self.starts)))
        all_ = np.add.reduceat(scores, self.starts)
        right = np.add.reduceat(scores * self.right, self.starts)
        share = scores / self._per_row(all_)
        wanted = scores * self.right / self._per_row(right)
        count = len(self.starts)
        strength = PRIOR_STRENGTH / count
        gradient = (share - wanted) @ self.parts / count + 2 * strength * (weights - prior)
        loss = np.log(all_ / right).sum() / count + strength * ((weights - prior) ** 2).sum()
        return float(loss), gradient

    def _per_row(self, values: NDArray[Any]) -> NDArray[Any]:
        return per_row(values, self.starts, len(self.right))

    def mrr(self, weights: Floats) -> float:
        """Return MRR@10 over the queries that have a right candidate."""
        if not len(self.starts):
            return 0.0
        scores = (self.parts @ weights).round(12)
        best = self._per_row(
            np.maximum.reduceat(np.where(self.right, scores, -np.inf), self.starts)
        )
        # The first right candidate comes after those with a higher score, and after those before it
        # with the same: ties are in order of id.
        first = self._per_row(self._stacked.first(self.right & (scores == best)))
        before = (scores > best) | ((scores == best) & (np.arange(len(scores)) < first))
        ranks = np.add.reduceat(before.astype(np.int64), self.starts) + 1
        return float(np.where(ranks <= DEPTH, 1 / ranks, 0.0).mean())
