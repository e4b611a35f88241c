"""Several rankings → one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexes.hits import Candidate, Ranking
from indexes.views import DENSE

# Smaller than the paper's 60: with two lists that often agree, the first places should weigh
# more. Chosen on development splits (benchmarks/LOG.md).
RRF_K = 10

METHODS = ("bm25", "dense", "hybrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionWeights:
    """What the ranks of each list count for. Saved in a generation's fusion.json."""

    joined: float = 2.0  # BM25 over answer and known questions as one text
    bm25: float = 1.0  # the better of BM25 over either
    dense: float = 1.0  # the better of dense over either


# Before training, the vectors of a scratch model know less than BM25 and break its ties at best;
# at full weight they cost .02 to .18 MRR@10 (benchmarks/LOG.md).
UNTRAINED = FusionWeights(dense=0.1)


def fuse(
    signals: Mapping[str, Ranking],
    method: str = "hybrid",
    weights: FusionWeights | None = None,
) -> Ranking:
    """Merge the signals of one query by reciprocal rank.

    The hybrid is RRF of three lists: BM25 over answer and known questions joined; the better of
    BM25 over either; the better of dense over either. (The views of one scorer share a scale, so
    an answer can count with its best text.) RRF over all signals one by one lets the weaker view
    of a collection pull the better one down (benchmarks/LOG.md).

    Args:
        signals: a ranking for each name in `indexes.views.SIGNALS`.
        method: "hybrid", or one scorer alone: "bm25" (joined view) or "dense" (better view).
        weights: of the lists in the hybrid.
    """
    joined, bm25, dense = lists_of(signals)
    if method != "hybrid":
        return {"bm25": joined, "dense": dense}[method]
    weights = weights or FusionWeights()
    return reciprocal_rank_fusion(
        [joined, bm25, dense],
        k=RRF_K,
        weights=[weights.joined, weights.bm25, weights.dense],
    )


def lists_of(signals: Mapping[str, Ranking]) -> tuple[Ranking, Ranking, Ranking]:
    """Return the three lists of the hybrid: joined BM25, the better BM25 view, the better dense."""
    return (
        signals["bm25.joined"],
        best_of([signals["bm25.answer"], signals["bm25.question"]]),
        best_of([signals[name] for name in DENSE]),
    )


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


def reciprocal_rank_fusion(
    rankings: Sequence[Ranking], *, k: int = 60, weights: Sequence[float] | None = None
) -> Ranking:
    """Merge rankings by the sum of weight / (k + rank), ranks from 1.

    Cormack et al., SIGIR 2009. Input scores are ignored, so cosine and BM25 need no common
    scale. Ties: smaller answer_id first. The known question kept for an answer is that of the
    ranking where it stands highest.

    Args:
        rankings: best first; an answer may be in only one.
        k: damping constant (60 in the paper), not the number of hits.
        weights: one a ranking; 1 if left out, as in the paper. A ranking of weight 0 has no say
            in what is found either.

    >>> first = [Candidate("a", 9.0), Candidate("b", 5.0)]
    >>> second = [Candidate("b", 0.8), Candidate("c", 0.7)]
    >>> [c.answer_id for c in reciprocal_rank_fusion([first, second])]
    ['b', 'a', 'c']
    """
    scores: dict[str, float] = {}
    questions: dict[str, tuple[int, str]] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, candidate in enumerate(ranking if weight else [], 1):
            score = scores.get(candidate.answer_id, 0.0) + weight / (k + rank)
            scores[candidate.answer_id] = score
            if candidate.question is not None:
                found = (rank, candidate.question)
                questions[candidate.answer_id] = min(
                    questions.get(candidate.answer_id, found), found
                )
    return [
        Candidate(answer_id, score, questions.get(answer_id, (0, None))[1])
        for answer_id, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    ]
