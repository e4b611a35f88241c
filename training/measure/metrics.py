"""Ranking metrics of one query, and the table of those that are reported.

A ranking is the ids of answers, best first. Grades map the ids of right answers to positive
numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

Metric = Callable[[Sequence[str], Mapping[str, int]], float]  # (ranking, grades) → score

GATE_METRIC = "MRR@10"  # decides which rounds are kept


def recall_at(k: int, ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """Return the share of the right answers among the first `k`.

    >>> recall_at(2, ["a", "b", "c"], {"b": 1, "c": 1})
    0.5
    """
    relevant = {answer_id for answer_id, grade in grades.items() if grade > 0}
    if not relevant:
        return 0.0
    return len(relevant.intersection(ranking[:k])) / len(relevant)


def reciprocal_rank_at(k: int, ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """Return 1 / rank of the first right answer among the first `k`, or 0; its mean is MRR@k.

    >>> reciprocal_rank_at(10, ["a", "b", "c"], {"b": 1})
    0.5
    """
    for rank, answer_id in enumerate(ranking[:k], 1):
        if grades.get(answer_id, 0) > 0:
            return 1 / rank
    return 0.0


def ndcg_at(k: int, ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """Return DCG@k with gain = grade and discount log2(rank + 1), over that of the best ranking.

    Järvelin and Kekäläinen, TOIS 2002, in the form of trec_eval's ndcg_cut.

    >>> ndcg_at(10, ["a", "b"], {"b": 1}) == 1 / math.log2(3)
    True
    """
    gains = [max(grades.get(answer_id, 0), 0) for answer_id in ranking[:k]]
    ideal = _dcg(sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k])
    return _dcg(gains) / ideal if ideal else 0.0


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


# Every metric that is measured, stored and reported, in the order of the tables. Add a new one only
# here; older runs are reported without it.
METRICS: Mapping[str, Metric] = {
    "recall@1": partial(recall_at, 1),
    "recall@5": partial(recall_at, 5),
    "recall@10": partial(recall_at, 10),
    GATE_METRIC: partial(reciprocal_rank_at, 10),
    "nDCG@10": partial(ndcg_at, 10),
}
