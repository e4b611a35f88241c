"""The candidates of many queries in one array: fits go over them again and again."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.views import SIGNALS
from dotbogi.search.candidates import Candidates, Floats, parts_of, per_row

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """Candidates of many queries, one query after another; queries without any are left out."""

    queries: Rows  # the position of each query in the list that it came from
    starts: Rows  # each query's first row
    scores: Floats  # rows × SIGNALS, as in Candidates
    right: NDArray[np.bool_]  # for each row, whether it is a right answer

    @classmethod
    def of(cls, candidates: Sequence[Candidates], grades: Sequence[Mapping[str, int]]) -> "Stacked":
        """Stack the candidates of these queries.

        Args:
            candidates: of each query.
            grades: for each query, answer id → grade; above 0 is right.
        """
        sizes = np.asarray([len(of_query.answer_ids) for of_query in candidates], np.int64)
        ends = np.cumsum(sizes)
        scores = [np.zeros((0, len(SIGNALS))), *(of_query.scores for of_query in candidates)]
        right = np.zeros(int(sizes.sum()), bool)
        for start, of_query, graded in zip(ends - sizes, candidates, grades, strict=True):
            right[[start + row for row in _rows_of(of_query, graded)]] = True
        queries = np.flatnonzero(sizes)
        return cls(queries, (ends - sizes)[queries], np.concatenate(scores), right)

    @property
    def sizes(self) -> Rows:
        """The number of rows of each query."""
        return np.diff(self.starts, append=len(self.right))

    def parts(self) -> Floats:
        """Return rows × PARTS; see `Candidates.parts`."""
        return parts_of(self.scores, self.starts)

    def any(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return for each query whether one of its rows is marked."""
        return np.logical_or.reduceat(marks, self.starts) if len(self.starts) else marks

    def only(self, kept: NDArray[np.bool_]) -> "Stacked":
        """Return what remains with only these rows."""
        queries = np.repeat(np.arange(len(self.queries)), self.sizes)[kept]
        which, starts = np.unique(queries, return_index=True)
        return Stacked(self.queries[which], starts, self.scores[kept], self.right[kept])

    def first(self, marks: NDArray[np.bool_]) -> Rows:
        """Return the first marked row of each query; each has to have one."""
        rows = np.where(marks, np.arange(len(marks)), len(marks))
        first: Rows = np.minimum.reduceat(rows, self.starts)
        return first

    def best(self, fused: Floats) -> tuple[Rows, Floats]:
        """Return each query's row with the highest of these scores, and the score of the next one.

        Ties are in order of answer id. Without a second row, the next score is −inf.
        """
        highest = np.maximum.reduceat(fused, self.starts)
        first = self.first(fused == per_row(highest, self.starts, len(fused)))
        others = fused.copy()
        others[first] = -np.inf
        return first, np.maximum.reduceat(others, self.starts)


def _rows_of(candidates: Candidates, grades: Mapping[str, int]) -> list[int]:
    """Return the rows of the right answers among a query's candidates."""
    ids = candidates.answer_ids  # ascending
    rows = [(bisect_left(ids, id_), id_) for id_, grade in grades.items() if grade > 0]
    return [row for row, id_ in rows if row < len(ids) and ids[row] == id_]
