"""The candidates for one query: every answer that a signal puts forward, with all their scores."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.hits import Evidence, Ranking
from dotbogi.indexes.views import SIGNALS, Best, View

Floats = NDArray[np.float64]

PARTS = (
    "bm25_answer", "bm25_question", "bm25_joined", "bm25_best",
    "dense_answer", "dense_question", "dense_best", "dense_whole",
)  # fmt: skip

# A query lies nearer to another question than to an answer that fits as well: what the better of
# both adds to the cosine with an answer. .1 was best or level on three sets (benchmarks/LOG.md).
_ANSWER_LIFT = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What any signal has found for one query, as arrays: what fusion and confidence work on."""

    answer_ids: list[str]  # ascending
    scores: Floats  # answers × SIGNALS, as each signal gives them; NaN: not among its best
    # The known question of an answer, from the list where the answer stands highest.
    questions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, signals: Mapping[str, Ranking]) -> "Candidates":
        """Gather the rankings of one query, one for each name in SIGNALS."""
        answer_ids = sorted({c.answer_id for ranking in signals.values() for c in ranking})
        rows = {answer_id: row for row, answer_id in enumerate(answer_ids)}
        scores = np.full((len(answer_ids), len(SIGNALS)), np.nan)
        questions: dict[str, tuple[int, str]] = {}
        for column, name in enumerate(SIGNALS):
            ranking = signals[name]
            scores[[rows[c.answer_id] for c in ranking], column] = [c.score for c in ranking]
            for rank, candidate in enumerate(ranking, 1):
                if candidate.question is not None:
                    seen = rank, candidate.question
                    id_ = candidate.answer_id
                    questions[id_] = min(questions.get(id_, seen), seen)
        return cls(answer_ids, scores, {id_: text for id_, (_, text) in questions.items()})

    @classmethod
    def gathered(cls, views: Mapping[str, View], found: Mapping[str, Best]) -> "Candidates":
        """Gather what the views have found for one query; the same as of their rankings.

        Args:
            views: of one index.
            found: by signal.
        """
        positions = np.unique(np.concatenate([found[name].positions for name in SIGNALS]))
        scores = np.full((len(positions), len(SIGNALS)), np.nan)
        for column, name in enumerate(SIGNALS):
            best = found[name]
            scores[np.searchsorted(positions, best.positions), column] = best.scores
        answer_ids = views["answer"].answer_ids
        ids = [answer_ids[position] for position in positions.tolist()]
        return cls(ids, scores, _questions(views["question"], found))

    def without(self, answers: Container[str]) -> "Candidates":
        """Return what the signals would have found if these answers were not there."""
        kept = [row for row, id_ in enumerate(self.answer_ids) if id_ not in answers]
        return Candidates([self.answer_ids[row] for row in kept], self.scores[kept], self.questions)

    def signal(self, name: str) -> Floats:
        """Return one signal's scores."""
        return self.scores[:, SIGNALS.index(name)]

    def parts(self) -> Floats:
        """Return answers × PARTS, from 0 to 1: what the hybrid is a weighted mean of.

        A part is a signal, or the better of a scorer's answer and question view (its views share
        a scale). BM25 is divided by the best score of its list; an answer that is not in it has
        0. Centred cosine has a scale of its own, on which texts that have nothing in common lie
        around 0; an answer that is not among the nearest counts as the last of them, which it
        cannot exceed.
        """
        found = {name.replace(".", "_"): self.signal(name) for name in SIGNALS}
        found["bm25_best"] = np.fmax(found["bm25_answer"], found["bm25_question"])
        found["dense_best"] = np.fmax(found["dense_answer"] + _ANSWER_LIFT, found["dense_question"])
        columns = [
            _share_of_best(found[part]) if part.startswith("bm25") else _cosine(found[part])
            for part in PARTS
        ]
        return np.stack(columns, axis=1)

    def evidence(self, answer_ids: Sequence[str]) -> list[dict[str, Evidence]]:
        """Return, for each of these answers, where every signal that found it placed it."""
        ranks = np.zeros(self.scores.shape, np.int64)
        for column in range(len(SIGNALS)):
            order = self.ranking_by(self.scores[:, column])
            ranks[order, column] = np.arange(1, len(order) + 1)
        rows = [self.answer_ids.index(answer_id) for answer_id in answer_ids]
        return [
            {
                name: Evidence(rank, score)
                for name, rank, score in zip(
                    SIGNALS, ranks[row].tolist(), self.scores[row].tolist(), strict=True
                )
                if rank
            }
            for row in rows
        ]

    def ranking_by(self, scores: Floats) -> NDArray[np.int64]:
        """Return the rows of the answers that have a score, best first; equals by their ids."""
        order = np.argsort(-scores, kind="stable")  # ids ascend already; NaN comes last
        return order[: len(scores) - int(np.isnan(scores).sum())]


def _questions(view: View, found: Mapping[str, Best]) -> dict[str, str]:
    """Return the known question of each answer, from the list where it stands highest."""
    assert view.questions is not None
    seen: dict[int, tuple[int, str]] = {}
    for name in ("bm25.question", "dense.question"):
        best = found[name]
        for rank, (position, row) in enumerate(
            zip(best.positions.tolist(), best.rows.tolist(), strict=True), 1
        ):
            entry = rank, view.questions[row]
            if position not in seen or entry < seen[position]:
                seen[position] = entry
    return {view.answer_ids[position]: text for position, (_, text) in seen.items()}


def _share_of_best(scores: Floats) -> Floats:
    best = np.fmax.reduce(scores, initial=0.0)
    # The greater of NaN and 0 is 0.
    return np.fmax(scores / best, np.zeros(len(scores))) if best > 0 else np.zeros(len(scores))


def _cosine(scores: Floats) -> Floats:
    last = np.fmin.reduce(scores, initial=np.inf)
    if not np.isfinite(last):
        return np.zeros(len(scores))
    return np.where(np.isnan(scores), last, scores).clip(0.0, 1.0)
