"""Several rankings → one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.hits import Candidate, Ranking
from indexes.views import DENSE

METHODS = ("bm25", "dense", "hybrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionWeights:
    """What the normalised scores of each list count for. Saved in a generation's fusion.json.

    Chosen on the development questions of three sets (benchmarks/LOG.md); `train` fits them.
    """

    joined: float = 2.0  # BM25 over answer and known questions as one text
    bm25: float = 1.0  # the better of BM25 over either
    dense: float = 3.0  # the better of dense over either
    floor: float = 0.0  # the cosine of two answers that have nothing in common: counts as 0


# Before training, the vectors of a scratch model know less than BM25 and break its ties at best
# (benchmarks/LOG.md).
UNTRAINED = FusionWeights(dense=0.3)


def fuse(
    signals: Mapping[str, Ranking],
    method: str = "hybrid",
    weights: FusionWeights | None = None,
) -> Ranking:
    """Merge the signals of one query by a convex combination of normalised scores.

    Bruch et al., TOIS 2023: score = Σ w·s / Σ w, between 0 and 1. The lists are BM25 over answer
    and known questions joined; the better of BM25 over either; the better of dense over either.
    (The views of one scorer share a scale, so an answer counts with its best text.) The order of
    equals is that of their answer ids. The known question kept for an answer is that of the list
    where it stands highest.

    Args:
        signals: a ranking for each name in `indexes.views.SIGNALS`.
        method: "hybrid", or one scorer alone: "bm25" (joined view) or "dense" (better view).
        weights: of the lists in the hybrid.
    """
    lists = lists_of(signals)
    if method != "hybrid":
        return {"bm25": lists[0], "dense": lists[2]}[method]
    weights = weights or FusionWeights()
    vector = weight_vector(weights)
    # A list without a vote has no say in what is found either.
    voting = [ranking for ranking, weight in zip(lists, vector, strict=True) if weight]
    found = {candidate.answer_id for ranking in voting for candidate in ranking}
    questions: dict[str, tuple[int, str]] = {}
    for ranking in voting:
        for rank, candidate in enumerate(ranking, 1):
            if candidate.question is not None:
                seen = (rank, candidate.question)
                questions[candidate.answer_id] = min(questions.get(candidate.answer_id, seen), seen)
    answer_ids, parts = normalised_scores(lists, weights.floor)
    fused = dict(zip(answer_ids, (parts @ vector).round(12).tolist(), strict=True))
    return [
        Candidate(answer_id, fused[answer_id], questions.get(answer_id, (0, None))[1])
        for answer_id in sorted(found, key=lambda answer_id: (-fused[answer_id], answer_id))
    ]


def weight_vector(weights: FusionWeights) -> NDArray[np.float64]:
    """Return the weights of the lists as `lists_of` orders them, adding up to 1."""
    vector: NDArray[np.float64] = np.asarray([weights.joined, weights.bm25, weights.dense])
    return vector / float(vector.sum())


def lists_of(signals: Mapping[str, Ranking]) -> tuple[Ranking, Ranking, Ranking]:
    """Return the three lists of the hybrid: joined BM25, the better BM25 view, the better dense."""
    return (
        signals["bm25.joined"],
        best_of([signals["bm25.answer"], signals["bm25.question"]]),
        best_of([signals[name] for name in DENSE]),
    )


def normalised_scores(
    lists: tuple[Ranking, Ranking, Ranking], floor: float
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the ids in any list, ascending, and their scores in each on a scale from 0 to 1.

    BM25 is divided by the best score of its list; an answer that is not in it has 0. Cosine has a
    scale of its own, from `floor` to 1; an answer that is not among the nearest counts as the last
    of them, which it cannot exceed.
    """
    answer_ids = sorted({candidate.answer_id for ranking in lists for candidate in ranking})
    rows = {answer_id: row for row, answer_id in enumerate(answer_ids)}
    scores = np.zeros((len(rows), len(lists)))
    for column, ranking in enumerate(lists[:2]):
        best = ranking[0].score if ranking else 0.0
        for candidate in ranking if best > 0 else []:
            scores[rows[candidate.answer_id], column] = max(0.0, candidate.score / best)
    if dense := lists[2]:
        scores[:, 2] = dense[-1].score
        for candidate in dense:
            scores[rows[candidate.answer_id], 2] = candidate.score
        scores[:, 2] = np.clip((scores[:, 2] - floor) / (1 - floor), 0.0, 1.0)
    return answer_ids, scores


def best_of(rankings: Sequence[Ranking]) -> Ranking:
    """Merge rankings of one scale: an answer's score is its highest. Ties: smaller answer_id.

    >>> own, known = [Candidate("a", 0.4)], [Candidate("b", 0.5), Candidate("a", 0.6, "배고파")]
    >>> [(c.answer_id, c.score) for c in best_of([own, known])]
    [('a', 0.6), ('b', 0.5)]
    """
    best: dict[str, Candidate] = {}
    for ranking in rankings:
        for candidate in ranking:
            known = best.get(candidate.answer_id)
            if known is None or candidate.score > known.score:
                best[candidate.answer_id] = candidate
    return sorted(best.values(), key=lambda candidate: (-candidate.score, candidate.answer_id))
