"""The views of a collection: answers by their own text, by their known questions, or by both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.dense import MOST_ROWS, DenseIndex, Vectors
from dotbogi.indexes.hits import Candidate, Ranking
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.metadata import Allowed

DENSE_VIEWS = ("answer", "question", "whole")
BM25_VIEWS = ("answer", "question", "joined")
DENSE = tuple(f"dense.{view}" for view in DENSE_VIEWS)
BM25 = tuple(f"bm25.{view}" for view in BM25_VIEWS)
SIGNALS = BM25 + DENSE

# If a filter leaves at most this many rows, all of them are scored. Otherwise FAISS searches them,
# which is faster, and returns at most MOST_ROWS.
_SCORED_ROWS = 1 << 14
_SCORES_AT_ONCE = 1 << 22  # bounds the memory
_LOOKED_AT = 3  # texts examined first, per answer wanted
_SAMPLE = 1 << 12  # scores that a bound is guessed from
_FETCHED = 3  # texts fetched first, per answer wanted


class Best(NamedTuple):
    """The best answers to one query in one view, best first; ties in order of answer id."""

    positions: NDArray[np.int64]  # of the answers, in `View.answer_ids`
    scores: NDArray[np.float64]
    rows: NDArray[np.int64]  # of each answer's best text


@dataclass(frozen=True, slots=True)
class View:
    """Texts that each belong to an answer, with the indexes over them.

    An answer's score in a view is that of its best text. `owners[i]` is the position in
    `answer_ids` (ascending) of the answer that text `i` belongs to. `questions` are the texts
    themselves in the question view and None in the others. For BM25, the joined view has an
    answer and its known questions as one text; for dense search, the whole view has the mean
    of their vectors.
    """

    answer_ids: Sequence[str]
    owners: NDArray[np.int64]
    bm25: BM25Index | None = None
    dense: DenseIndex | None = None
    questions: Sequence[str] | None = None
    _one_each: bool = field(init=False)  # text i belongs to answer i

    def __post_init__(self) -> None:
        """Look whether each answer has one text."""
        own = np.arange(len(self.answer_ids))
        object.__setattr__(self, "_one_each", np.array_equal(self.owners, own))

    def search_dense(
        self, vectors: Vectors, n: int, allowed: Allowed | None = None
    ) -> list[Ranking]:
        """Return the `n` best answers for each query vector; see `best_dense`."""
        return list(map(self.ranking, self.best_dense(vectors, n, allowed)))

    def best_dense(self, vectors: Vectors, n: int, allowed: Allowed | None = None) -> list[Best]:
        """Return the `n` best answers for each query vector (queries × dim).

        Args:
            vectors: float32, unit rows; a zero row (no known token) finds nothing.
            n: answers per query.
            allowed: one flag per answer, by position; None allows all. Up to 16,384 allowed texts
                are searched exactly, whatever the kind of the index.
        """
        assert self.dense is not None
        results: list[Best] = [_NOTHING] * len(vectors)
        pending = np.flatnonzero(vectors.any(axis=1))
        among = None if allowed is None else np.flatnonzero(allowed[self.owners])
        if among is not None and (len(among) <= _SCORED_ROWS or not self.dense.filters):
            for query, best in self._score_rows(vectors, pending, among, n):
                results[query] = best
            return results
        # Only the other signals find an answer whose nearest question ranks lower than MOST_ROWS.
        total = min(len(self.dense) if among is None else len(among), MOST_ROWS)
        fetch = min(total, _FETCHED * n)
        while len(pending):
            nearest = self.dense.search(vectors[pending], fetch, among)
            unfinished = []
            for query, scores, rows, error in zip(pending.tolist(), *nearest, strict=True):
                real = rows >= 0
                best = results[query] = self._exact(
                    vectors[query], rows[real], scores[real].astype(np.float64), error, n
                )
                # Fetch more if answers are missing, or if further texts may tie with the last one.
                missing = len(best.scores) < n
                if (
                    real.all()
                    and fetch < total
                    and (missing or scores[-1] + error >= best.scores[-1])
                ):
                    unfinished.append(query)
            pending = np.asarray(unfinished, np.int64)
            fetch = min(total, 4 * fetch)
        return results

    def _exact(
        self,
        vector: Vectors,
        rows: NDArray[np.int64],
        scores: NDArray[np.float64],
        error: float,
        n: int,
    ) -> Best:
        """Return the best answers by exact score, given scores that are off by at most `error`."""
        assert self.dense is not None
        best = self._best_texts(rows, scores, n)
        if len(best.scores) == n:
            rows = rows[scores >= best.scores[-1] - 2 * error]  # all others rank below these
        exact = self.dense.scores(vector[np.newaxis], rows)[0].astype(np.float64)
        return self._best_texts(rows, exact, n)

    def _score_rows(
        self, vectors: Vectors, queries: NDArray[np.int64], rows: NDArray[np.int64], n: int
    ) -> Iterator[tuple[int, Best]]:
        """Yield, for each of these queries, the best answers among the owners of these rows."""
        assert self.dense is not None
        step = max(1, _SCORES_AT_ONCE // max(1, len(rows)))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            scores = self.dense.scores(vectors[part], rows).astype(np.float64)
            for query, query_scores in zip(part.tolist(), scores, strict=True):
                yield query, self._best_of(rows, query_scores, n)

    def search_bm25(
        self, tokens: Sequence[Sequence[str]], n: int, allowed: Allowed | None = None
    ) -> list[Ranking]:
        """Return the `n` best answers for each query's tokens; see `best_bm25`."""
        return list(map(self.ranking, self.best_bm25(tokens, n, allowed)))

    def best_bm25(
        self, tokens: Sequence[Sequence[str]], n: int, allowed: Allowed | None = None
    ) -> list[Best]:
        """Return the `n` best answers for each query's tokens.

        Args:
            tokens: the tokens of each query.
            n: answers per query.
            allowed: one flag per answer, by position; None allows all.
        """
        assert self.bm25 is not None
        results: list[Best] = []
        among = None if allowed is None else np.flatnonzero(allowed[self.owners])
        for query in tokens:
            scores = self.bm25.scores(query)
            if among is not None:
                scores = scores[among]
            results.append(self._best_of(among, scores, n, self.bm25.floor))
        return results

    def ranking(self, best: Best) -> Ranking:
        """Return the best answers as candidates, each with the known question that matched."""
        answer_ids = map(self.answer_ids.__getitem__, best.positions.tolist())
        scores = best.scores.tolist()
        if self.questions is None:
            return list(map(Candidate, answer_ids, scores))
        questions = map(self.questions.__getitem__, best.rows.tolist())
        return list(map(Candidate, answer_ids, scores, questions))

    def _best_of(
        self,
        rows: NDArray[np.int64] | None,
        scores: NDArray[np.floating],
        n: int,
        floor: float = -np.inf,
    ) -> Best:
        """Return the best answers by the scores of these rows above a floor; None for all rows."""
        look_at = _LOOKED_AT * n
        while True:
            # Texts that tie with the last are among them, so any text left out ranks below `n`
            # answers if those have that many.
            chosen = highest(scores, look_at, floor)
            of_chosen = chosen if rows is None else rows[chosen]
            best = self._best_texts(of_chosen, scores[chosen].astype(np.float64), n)
            if len(best.scores) == n or len(chosen) < look_at:
                return best
            look_at *= 4

    def _best_texts(self, rows: NDArray[np.int64], scores: NDArray[np.float64], n: int) -> Best:
        """Keep each answer's best text and order answers by score, then by id."""
        if self._one_each:
            best = np.lexsort((rows, -scores))[:n]
            return Best(rows[best], scores[best], rows[best])
        owners = self.owners[rows]
        order = np.lexsort((rows, owners, -scores))
        _, first = np.unique(owners[order], return_index=True)
        best = order[np.sort(first)][:n]
        return Best(owners[best], scores[best], rows[best])


def highest(scores: NDArray[np.floating], most: int, floor: float = -np.inf) -> NDArray[np.int64]:
    """Return where the `most` highest scores are, ascending, with all that equal the last of them.

    Args:
        scores: one-dimensional.
        most: how many.
        floor: scores that are not above it are left out.
    """
    places = _above_a_guess(scores, most, floor)
    if len(places) < most:
        places = np.flatnonzero(scores > floor)
    if len(places) > most:
        found = scores[places]
        places = places[found >= np.partition(found, len(found) - most)[len(found) - most]]
    return places


def _above_a_guess(scores: NDArray[np.floating], most: int, floor: float) -> NDArray[np.int64]:
    """Return where scores reach a bound that about twice as many as wanted reach; maybe fewer.

    One comparison of all scores is faster than picking those above the floor and partitioning them.
    """
    step = len(scores) // _SAMPLE
    sample = scores[:: max(step, 1)]
    sample = sample[sample > floor]
    rank = 2 * most // max(step, 1) + 1
    if step < 2 or rank >= len(sample):
        return np.zeros(0, np.int64)
    return np.flatnonzero(scores >= np.partition(sample, len(sample) - rank)[len(sample) - rank])


_NOTHING = Best(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


def make_views(
    collection: Collection, bm25: Mapping[str, BM25Index], dense: Mapping[str, DenseIndex]
) -> dict[str, View]:
    """Return the views of a collection.

    Args:
        collection: the indexed collection.
        bm25: one index for each of BM25_VIEWS.
        dense: one index for each of DENSE_VIEWS.
    """
    answer_ids = [answer.id for answer in collection.answers]
    own = np.arange(len(answer_ids))
    owners = np.asarray(owners_of_questions(collection), np.int64)
    questions = [question.text for question in collection.questions]
    return {
        "answer": View(answer_ids, own, bm25["answer"], dense["answer"]),
        "question": View(answer_ids, owners, bm25["question"], dense["question"], questions),
        "joined": View(answer_ids, own, bm25["joined"]),
        "whole": View(answer_ids, own, dense=dense["whole"]),
    }


def owners_of_questions(collection: Collection) -> list[int]:
    """Return the position of each known question's answer in the collection."""
    positions = {answer.id: position for position, answer in enumerate(collection.answers)}
    return [positions[question.answer_id] for question in collection.questions]


def best_answers(
    views: Mapping[str, View],
    tokens: Sequence[Sequence[str]],
    vectors: Vectors,
    n: int,
    allowed: Allowed | None,
) -> dict[str, list[Best]]:
    """Return the `n` best answers of each signal, by name, for each query.

    Args:
        views: by name.
        tokens: of each query.
        vectors: queries × dim.
        n: answers per signal and query.
        allowed: one flag per answer, by position; None allows all.
    """
    best: dict[str, list[Best]] = {}
    searched: dict[int, list[Best]] = {}  # without known questions, views share an index
    for name in BM25_VIEWS:
        view = views[name]
        if id(view.bm25) not in searched:
            searched[id(view.bm25)] = view.best_bm25(tokens, n, allowed)
        best[f"bm25.{name}"] = searched[id(view.bm25)]
    for name in DENSE_VIEWS:
        view = views[name]
        if id(view.dense) not in searched:
            searched[id(view.dense)] = view.best_dense(vectors, n, allowed)
        best[f"dense.{name}"] = searched[id(view.dense)]
    return best
