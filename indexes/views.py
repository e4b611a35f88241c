"""The views of a collection: an answer by its own text, by its known questions, by both at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.dense import DenseIndex, Vectors
from dotbogi.indexes.hits import Candidate, Ranking
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.metadata import Allowed

DENSE_VIEWS = ("answer", "question", "whole")
BM25_VIEWS = ("answer", "question", "joined")
DENSE = tuple(f"dense.{view}" for view in DENSE_VIEWS)
BM25 = tuple(f"bm25.{view}" for view in BM25_VIEWS)
SIGNALS = BM25 + DENSE

# Rows fetched for one query at most; FAISS on a GPU gives no more. Answers whose nearest question
# is further away are left to the other signals.
MOST_ROWS = 2048

# As many rows as a filter allows at most for each of them to be scored. Beyond, FAISS searches
# among them: it is faster, and as bound to MOST_ROWS as a search without a filter.
_SCORED_ROWS = 1 << 14
_SCORES_AT_ONCE = 1 << 22  # bounds the memory
_LOOKED_AT = 3  # times as many texts as answers that are wanted, at first


class Best(NamedTuple):
    """The best answers to one query in one view, best first; equal scores by the smaller id."""

    positions: NDArray[np.int64]  # of the answers
    scores: NDArray[np.float64]
    rows: NDArray[np.int64]  # of the text of each that scored it


@dataclass(frozen=True, slots=True)
class View:
    """Texts that each belong to an answer, with the indexes over them.

    An answer's score in a view is that of its best text. `owners[i]` is the position in
    `answer_ids` (ascending) of the answer that text `i` belongs to. `questions` are the texts
    themselves in the question view and None in the others. BM25 has an answer with all its known
    questions as one text, the joined view; dense search has the mean of their vectors, the
    whole view.
    """

    answer_ids: Sequence[str]
    owners: NDArray[np.int64]
    bm25: BM25Index | None = None
    dense: DenseIndex | None = None
    questions: Sequence[str] | None = None

    def search_dense(
        self, vectors: Vectors, n: int, allowed: Allowed | None = None
    ) -> list[Ranking]:
        """Return the `n` best answers for each query vector; see `best_dense`."""
        return list(map(self.ranking, self.best_dense(vectors, n, allowed)))

    def best_dense(self, vectors: Vectors, n: int, allowed: Allowed | None = None) -> list[Best]:
        """Return the `n` best answers for each query vector (queries × dim).

        Args:
            vectors: one unit row a query; a zero row (no known token) finds nothing.
            n: answers a query.
            allowed: by position, the answers that may be found; None for all. With up to 16,384
                texts they are found exactly, whatever the kind of the index.
        """
        assert self.dense is not None
        found: list[Best] = [_NOTHING] * len(vectors)
        pending = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 0)
        among = None if allowed is None else np.flatnonzero(allowed[self.owners])
        if among is not None and (len(among) <= _SCORED_ROWS or not self.dense.filters):
            for query, best in self._score_rows(vectors, pending, among, n):
                found[query] = best
            return found
        total = min(len(self.dense) if among is None else len(among), MOST_ROWS)
        fetch = min(total, 2 * n)
        while len(pending):
            scores, rows = self.dense.search(vectors[pending], fetch, among)
            unfinished = []
            for query, query_scores, query_rows in zip(pending.tolist(), scores, rows, strict=True):
                real = query_rows >= 0
                best = self._best_texts(query_rows[real], query_scores[real].astype(np.float64), n)
                found[query] = best
                # More is needed while answers are missing, or texts beyond may tie with the last.
                last = query_scores[real][-1] if real.any() else -np.inf
                missing = len(best.scores) < n
                if real.all() and fetch < total and (missing or last >= best.scores[-1]):
                    unfinished.append(query)
            pending = np.asarray(unfinished, np.int64)
            fetch = min(total, 4 * fetch)
        return found

    def _score_rows(
        self, vectors: Vectors, queries: NDArray[np.int64], rows: NDArray[np.int64], n: int
    ) -> Iterator[tuple[int, Best]]:
        """Give, for each of these queries, the best answers among the owners of these rows."""
        assert self.dense is not None
        step = max(1, _SCORES_AT_ONCE // max(1, len(rows)))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            scores = self.dense.scores(vectors[part], rows).astype(np.float64)
            for query, of_query in zip(part.tolist(), scores, strict=True):
                yield query, self._best_texts(rows, of_query, n)

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
            tokens: of each query.
            n: answers a query.
            allowed: by position, the answers that may be found; None for all.
        """
        assert self.bm25 is not None
        found: list[Best] = []
        for query in tokens:
            rows, scores = self.bm25.scores(query)
            if allowed is not None:
                kept = allowed[self.owners[rows]]
                rows, scores = rows[kept], scores[kept]
            found.append(self._best_texts(rows, scores, n))
        return found

    def ranking(self, best: Best) -> Ranking:
        """Return the best answers with their ids, and the known question that scored each."""
        answer_ids = map(self.answer_ids.__getitem__, best.positions.tolist())
        scores = best.scores.tolist()
        if self.questions is None:
            return list(map(Candidate, answer_ids, scores))
        questions = map(self.questions.__getitem__, best.rows.tolist())
        return list(map(Candidate, answer_ids, scores, questions))

    def _best_texts(self, rows: NDArray[np.int64], scores: NDArray[np.float64], n: int) -> Best:
        """Keep each answer's best text and order answers by score, then by id."""
        kept = min(len(scores), _LOOKED_AT * n)
        while kept < len(scores):
            # All that tie with the last are in, so what is left out is behind `n` answers.
            enough = scores >= np.partition(scores, len(scores) - kept)[len(scores) - kept]
            if len(np.unique(self.owners[rows[enough]])) >= n:
                rows, scores = rows[enough], scores[enough]
                break
            kept = min(len(scores), 4 * kept)
        owners = self.owners[rows]
        order = np.lexsort((rows, owners, -scores))
        _, first = np.unique(owners[order], return_index=True)
        best = order[np.sort(first)][:n]
        return Best(owners[best], scores[best], rows[best])


_NOTHING = Best(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


def make_views(
    collection: Collection, bm25: Mapping[str, BM25Index], dense: Mapping[str, DenseIndex]
) -> dict[str, View]:
    """Return the views of a collection.

    Args:
        collection: what was indexed.
        bm25: the indexes of BM25_VIEWS.
        dense: the indexes of DENSE_VIEWS.
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
    """Return the position of each known question's answer."""
    positions = {answer.id: position for position, answer in enumerate(collection.answers)}
    return [positions[question.answer_id] for question in collection.questions]
