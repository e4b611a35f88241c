"""The two views of a collection: an answer by its own text, and by its known questions."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Collection
from indexes.dense import DenseIndex, Vectors
from indexes.hits import Candidate, Ranking
from indexes.lexical import BM25Index

VIEWS = ("answer", "question")
DENSE = tuple(f"dense.{view}" for view in VIEWS)
BM25 = tuple(f"bm25.{view}" for view in VIEWS)
SIGNALS = BM25 + DENSE


@dataclass(frozen=True, slots=True)
class View:
    """Texts that each belong to an answer, with both indexes over them.

    An answer's score in a view is that of its best text. `owners[i]` is the position in
    `answer_ids` (ascending) of the answer that text `i` belongs to. `questions` are the texts
    themselves in the question view and None in the answer view.
    """

    answer_ids: Sequence[str]
    owners: NDArray[np.int64]
    dense: DenseIndex
    bm25: BM25Index
    questions: Sequence[str] | None = None

    def search_dense(
        self, vectors: Vectors, n: int, hidden: Sequence[Container[int]] | None = None
    ) -> list[Ranking]:
        """Return the `n` best answers for each query vector (queries × dim).

        Args:
            vectors: one unit row a query; a zero row (no known token) finds nothing.
            n: answers a query.
            hidden: for each query, the texts that it must not find.
        """
        found: list[Ranking] = [[] for _ in range(len(vectors))]
        pending = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 0)
        total = len(self.dense)
        fetch = min(total, 2 * n)
        while len(pending):
            scores, rows = self.dense.search(vectors[pending], fetch)
            unfinished = []
            for query, query_scores, query_rows in zip(pending.tolist(), scores, rows, strict=True):
                real = query_rows >= 0
                ranking = self._best_texts(
                    query_rows[real],
                    query_scores[real].astype(np.float64),
                    n,
                    hidden[query] if hidden else (),
                )
                found[query] = ranking
                # More is needed while answers are missing, or texts beyond may tie with the last.
                last = query_scores[real][-1] if real.any() else -np.inf
                if real.all() and fetch < total and (len(ranking) < n or last >= ranking[-1].score):
                    unfinished.append(query)
            pending = np.asarray(unfinished, np.int64)
            fetch = min(total, 4 * fetch)
        return found

    def search_bm25(
        self,
        tokens: Sequence[Sequence[str]],
        n: int,
        hidden: Sequence[Container[int]] | None = None,
    ) -> list[Ranking]:
        """Return the `n` best answers for each query's tokens; see `search_dense`."""
        found = []
        for number, query in enumerate(tokens):
            rows, scores = self.bm25.scores(query)
            found.append(self._best_texts(rows, scores, n, hidden[number] if hidden else ()))
        return found

    def _best_texts(
        self,
        rows: NDArray[np.int64],
        scores: NDArray[np.float64],
        n: int,
        hidden: Container[int],
    ) -> Ranking:
        """Keep each answer's best text and order answers by score, then by id."""
        if hidden:
            shown = np.asarray([row not in hidden for row in rows.tolist()], bool)
            rows, scores = rows[shown], scores[shown]
        owners = self.owners[rows]
        order = np.lexsort((rows, owners, -scores))
        _, first = np.unique(owners[order], return_index=True)
        best = order[np.sort(first)][:n]
        return [
            Candidate(
                self.answer_ids[owners[i]],
                float(scores[i]),
                self.questions[rows[i]] if self.questions is not None else None,
            )
            for i in best
        ]


def make_views(
    collection: Collection, indexes: Mapping[str, tuple[DenseIndex, BM25Index]]
) -> dict[str, View]:
    """Return both views of a collection over indexes of its answers and of its questions."""
    answer_ids = [answer.id for answer in collection.answers]
    positions = {answer_id: position for position, answer_id in enumerate(answer_ids)}
    owners = [positions[question.answer_id] for question in collection.questions]
    questions = [question.text for question in collection.questions]
    return {
        "answer": View(answer_ids, np.arange(len(answer_ids)), *indexes["answer"]),
        "question": View(
            answer_ids, np.asarray(owners, np.int64), *indexes["question"], questions=questions
        ),
    }
