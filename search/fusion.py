"""Several rankings → one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from indexes.hits import Candidate, Ranking
from indexes.views import BM25, DENSE

METHODS = ("bm25", "dense", "hybrid")

# The views of an answer's texts one by one, whose scores share a scale.
_OWN_BM25 = ("bm25.answer", "bm25.question")
_OWN_DENSE = ("dense.answer", "dense.question")
# A query lies nearer to another question than to an answer that fits as well: what the better of
# both adds to the cosine with an answer. .1 was best or level on three sets (benchmarks/LOG.md).
_ANSWER_LIFT = 0.1


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


PARTS = tuple(field.name for field in fields(FusionWeights) if field.name != "source")


def fuse(
    signals: Mapping[str, Ranking],
    method: str = "hybrid",
    weights: FusionWeights | None = None,
) -> Ranking:
    """Merge the signals of one query by a convex combination of normalised scores.

    Bruch et al., TOIS 2023: score = Σ w·s / Σ w, between 0 and 1, over the parts that `parts_of`
    gives. The order of equals is that of their answer ids. The known question kept for an answer
    is that of the list where it stands highest.

    Args:
        signals: a ranking for each name in `indexes.views.SIGNALS`.
        method: "hybrid", or one scorer alone: "bm25" (joined view) or "dense" (better view).
        weights: of the parts in the hybrid.
    """
    if method == "bm25":
        return signals["bm25.joined"]
    if method == "dense":
        return best_of([signals[name] for name in _OWN_DENSE])
    weights = weights or FusionWeights()
    questions: dict[str, tuple[int, str]] = {}
    for ranking in signals.values():
        for rank, candidate in enumerate(ranking, 1):
            if candidate.question is not None:
                seen = (rank, candidate.question)
                questions[candidate.answer_id] = min(questions.get(candidate.answer_id, seen), seen)
    answer_ids, parts = parts_of(signals)
    scores = (parts @ weights.vector()).round(12)
    return [
        Candidate(answer_ids[i], float(scores[i]), questions.get(answer_ids[i], (0, None))[1])
        for i in np.argsort(-scores, kind="stable")  # ids ascend already
    ]


def parts_of(signals: Mapping[str, Ranking]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the ids that any signal found, ascending, and their scores by part, from 0 to 1.

    A part is a signal, or the better of a scorer's answer and question view (its views share a
    scale). BM25 is divided by the best score of its list; an answer that is not in it has 0.
    Centred cosine has a scale of its own, on which texts that have nothing in common lie around
    0; an answer that is not among the nearest counts as the last of them, which it cannot exceed.
    """
    answer_ids = sorted({c.answer_id for ranking in signals.values() for c in ranking})
    rows = {answer_id: row for row, answer_id in enumerate(answer_ids)}

    def column(ranking: Ranking, missing: float) -> NDArray[np.float64]:
        values = np.full(len(rows), missing)
        for candidate in ranking:
            values[rows[candidate.answer_id]] = candidate.score
        return values

    def bm25(ranking: Ranking) -> NDArray[np.float64]:
        best = ranking[0].score if ranking else 0.0
        return np.maximum(column(ranking, 0.0) / best, 0.0) if best > 0 else np.zeros(len(rows))

    def dense(ranking: Ranking) -> NDArray[np.float64]:
        return np.clip(column(ranking, ranking[-1].score if ranking else 0.0), 0.0, 1.0)

    columns = {name.replace(".", "_"): bm25(signals[name]) for name in BM25}
    columns |= {name.replace(".", "_"): dense(signals[name]) for name in DENSE}
    columns["bm25_best"] = bm25(best_of([signals[name] for name in _OWN_BM25]))
    lifted = [c._replace(score=c.score + _ANSWER_LIFT) for c in signals["dense.answer"]]
    columns["dense_best"] = dense(best_of([lifted, signals["dense.question"]]))
    return answer_ids, np.stack([columns[part] for part in PARTS], axis=1)


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
