"""The candidates for one query: every answer that a signal found, with all its scores."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.hits import Evidence, Ranking
from dotbogi.indexes.views import SIGNALS, Best, View

Floats = NDArray[np.float64]

PARTS = (
    "bm25_answer", "bm25_question", "bm25_joined", "bm25_best",
    "dense_answer", "dense_question", "dense_best", "dense_whole",
)  # fmt: skip

_BM25, _DENSE = slice(0, 4), slice(4, 8)  # columns of PARTS

# Queries are closer to questions than to equally good answers. So this is added to the cosine with
# an answer before the better of both is taken; .1 was best or tied on three sets
# (benchmarks/LOG.md).
ANSWER_LIFT = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The candidates for one query as arrays: the input of fusion and confidence."""

    answer_ids: list[str]  # ascending
    scores: Floats  # answers × SIGNALS; NaN: not among that signal's best answers
    # Answer id → its known question, from the signal that ranks the answer highest.
    questions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, signals: Mapping[str, Ranking]) -> "Candidates":
        """Combine the rankings of one query, one for each name in SIGNALS."""
        answer_ids = sorted({c.answer_id for ranking in signals.values() for c in ranking})
        rows = {answer_id: row for row, answer_id in enumerate(answer_ids)}
        scores = np.full((len(answer_ids), len(SIGNALS)), np.nan)
        questions: dict[str, tuple[int, str]] = {}
        for column, name in enumerate(SIGNALS):
            ranking = signals[name]
            scores[[rows[c.answer_id] for c in ranking], column] = [c.score for c in ranking]
            for rank, candidate in enumerate(ranking, 1):
                if candidate.question is not None:
                    seen = questions.get(candidate.answer_id)
                    if seen is None or rank < seen[0]:
                        questions[candidate.answer_id] = rank, candidate.question
        return cls(answer_ids, scores, {id_: text for id_, (_, text) in questions.items()})

    @classmethod
    def gathered(cls, views: Mapping[str, View], best_answers: Mapping[str, Best]) -> "Candidates":
        """Combine the best answers of one query, with the same result as `of` on their rankings.

        Args:
            views: the views of one index, by name.
            best_answers: the best answers by signal.
        """
        positions = np.unique(np.concatenate([best_answers[name].positions for name in SIGNALS]))
        scores = np.full((len(positions), len(SIGNALS)), np.nan)
        for column, name in enumerate(SIGNALS):
            best = best_answers[name]
            scores[np.searchsorted(positions, best.positions), column] = best.scores
        answer_ids = views["answer"].answer_ids
        ids = [answer_ids[position] for position in positions.tolist()]
        return cls(ids, scores, _questions(views["question"], best_answers))

    def without(self, answers: Container[str]) -> "Candidates":
        """Return the candidates that remain without these answers."""
        kept = [row for row, id_ in enumerate(self.answer_ids) if id_ not in answers]
        return Candidates([self.answer_ids[row] for row in kept], self.scores[kept], self.questions)

    def signal(self, name: str) -> Floats:
        """Return one signal's score for each answer; NaN: not found."""
        return self.scores[:, SIGNALS.index(name)]

    def parts(self) -> Floats:
        """Return answers × PARTS, from 0 to 1: the scores whose weighted mean is the hybrid score.

        A part is a signal, or the better of a scorer's answer and question views, which share a
        scale. BM25 scores are divided by the best in their list; answers not in the list get 0.
        Centred cosines need no scaling: those of unrelated texts are around 0. Answers not in
        the list get its lowest cosine, which their own cannot exceed.
        """
        return parts_of(self.scores, np.zeros(1, np.int64))

    def evidence(self, answer_ids: Sequence[str]) -> list[dict[str, Evidence]]:
        """Return, for each of these answers, its rank and score in every signal that found it."""
        rows = np.asarray([self.answer_ids.index(answer_id) for answer_id in answer_ids], np.int64)
        own = self.scores[rows]
        others = self.scores[:, np.newaxis]
        is_earlier = np.arange(len(self.scores))[:, np.newaxis] < rows
        ranks = 1 + ((others > own) | ((others == own) & is_earlier[:, :, np.newaxis])).sum(axis=0)
        return [
            {
                name: Evidence(rank, score)
                for name, rank, score in zip(SIGNALS, *of_answer, strict=True)
                if score == score  # not NaN
            }
            for of_answer in zip(ranks.tolist(), own.tolist(), strict=True)
        ]

    def ranking_by(self, scores: Floats) -> NDArray[np.int64]:
        """Return the rows of the answers that have a score, best first; ties in order of id."""
        order = np.argsort(-scores, kind="stable")  # ids are ascending already; NaN comes last
        return order[: len(scores) - int(np.isnan(scores).sum())]


def _questions(view: View, best_answers: Mapping[str, Best]) -> dict[str, str]:
    """Return the known question of each answer, from the signal that ranks the answer highest."""
    assert view.questions is not None
    found = [best_answers[name] for name in ("bm25.question", "dense.question")]
    positions = np.concatenate([best.positions for best in found])
    rows = np.concatenate([best.rows for best in found])
    ranks = np.concatenate([np.arange(len(best.rows)) for best in found])
    # Of an answer's entries, a dictionary keeps the last: the best, and of equals that of BM25.
    order = np.argsort(ranks, kind="stable")[::-1]
    ids = map(view.answer_ids.__getitem__, positions[order].tolist())
    return dict(zip(ids, map(view.questions.__getitem__, rows[order].tolist()), strict=True))


def parts_of(scores: Floats, starts: NDArray[np.int64]) -> Floats:
    """Return rows × PARTS of the candidates of many queries; see `Candidates.parts`.

    Args:
        scores: rows × SIGNALS, one query after another; NaN: not found.
        starts: the first row of each query; none is without rows.
    """
    if not len(scores):
        return np.zeros((0, len(PARTS)))
    columns = {name.replace(".", "_"): scores[:, i] for i, name in enumerate(SIGNALS)}
    columns["bm25_best"] = np.fmax(columns["bm25_answer"], columns["bm25_question"])
    lifted = columns["dense_answer"] + ANSWER_LIFT
    columns["dense_best"] = np.fmax(lifted, columns["dense_question"])
    parts = np.stack([columns[name] for name in PARTS], axis=1)
    parts[:, _BM25] = _shares_of_best(parts[:, _BM25], starts)
    parts[:, _DENSE] = _cosines(parts[:, _DENSE], starts)
    return parts


def per_row(values: NDArray[Any], starts: NDArray[np.int64], rows: int) -> NDArray[Any]:
    """Return each query's values for each of its rows; those of a single query once."""
    if len(starts) == 1:
        return values
    return np.repeat(values, np.diff(starts, append=rows), axis=0)


def _shares_of_best(scores: Floats, starts: NDArray[np.int64]) -> Floats:
    """Divide each column of a query by its largest value; NaN becomes 0."""
    best = np.fmax.reduceat(scores, starts, axis=0)
    best = np.where(best > 0, best, np.inf)
    shares: Floats = np.fmax(scores / per_row(best, starts, len(scores)), 0.0)  # fmax(NaN, 0) is 0
    return shares


def _cosines(scores: Floats, starts: NDArray[np.int64]) -> Floats:
    """Replace NaN by the smallest value of the query's column, and keep to 0 … 1."""
    last = np.fmin.reduceat(scores, starts, axis=0)
    last[np.isnan(last)] = 0.0  # nothing was found
    return np.where(np.isnan(scores), per_row(last, starts, len(scores)), scores).clip(0.0, 1.0)
