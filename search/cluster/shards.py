"""Shards: parts of an index, whose results merge into exactly those of the whole.

A shard has some answers that follow each other, with their known questions. The scores are those
of the whole index: BM25 keeps the statistics of all texts, and a cosine needs no others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.dense import DenseIndex, DenseKind, Vectors
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.metadata import Allowed
from dotbogi.indexes.views import SIGNALS, Best, View, best_answers
from dotbogi.search.index import SearchIndex


@dataclass(frozen=True, slots=True)
class ShardView:
    """A shard's part of one view."""

    owners: NDArray[np.int64]  # of each text: the number of its answer in the shard
    rows: NDArray[np.int64]  # of each text: its number in the whole view
    bm25: BM25Index | None
    vectors: Vectors | None


@dataclass(frozen=True, slots=True)
class Shard:
    """The answers with the positions `positions`, as arrays that can be sent to another machine."""

    positions: range
    kind: DenseKind
    views: Mapping[str, ShardView]

    def open(self) -> "OpenShard":
        """Return the shard with indexes that can be searched."""
        built: dict[int, DenseIndex] = {}

        def dense(vectors: Vectors | None) -> DenseIndex | None:
            if vectors is not None and id(vectors) not in built:
                built[id(vectors)] = DenseIndex.build(vectors, self.kind)
                built[id(vectors)].prepare()
            return None if vectors is None else built[id(vectors)]

        unnamed = ("",) * len(self.positions)
        views = {
            name: View(unnamed, part.owners, part.bm25, dense(part.vectors))
            for name, part in self.views.items()
        }
        rows = {name: part.rows for name, part in self.views.items()}
        return OpenShard(self.positions, views, rows)


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard that can be searched."""

    positions: range
    views: Mapping[str, View]
    rows: Mapping[str, NDArray[np.int64]]

    def best(
        self,
        tokens: Sequence[Sequence[str]],
        vectors: Vectors,
        n: int,
        allowed: Allowed | None,
    ) -> dict[str, list[Best]]:
        """Return its `n` best answers by signal, with positions and rows of the whole index.

        Args:
            tokens: of each query.
            vectors: queries × dim.
            n: answers per signal and query.
            allowed: one flag per answer of the shard; None allows all.
        """
        found = best_answers(self.views, tokens, vectors, n, allowed)
        return {name: [self._in_whole(name, best) for best in found[name]] for name in SIGNALS}

    def _in_whole(self, signal: str, best: Best) -> Best:
        rows = self.rows[signal.split(".")[1]]
        return Best(best.positions + self.positions.start, best.scores, rows[best.rows])


def cut(index: SearchIndex, count: int) -> list[Shard]:
    """Return an index in `count` shards with about as many texts each."""
    answers = len(index.collection.answers)
    owners = index.views["question"].owners
    texts = np.cumsum(1 + np.bincount(owners, minlength=answers))
    inside = np.searchsorted(texts, [texts[-1] * i / count for i in range(1, count)], "right")
    bounds = [0, *inside.tolist(), answers]
    return [_shard(index, range(*pair)) for pair in pairwise(bounds)]


def _shard(index: SearchIndex, positions: range) -> Shard:
    made: dict[int, Any] = {}  # views may share an index
    views = {}
    for name, view in index.views.items():
        inside = (view.owners >= positions.start) & (view.owners < positions.stop)
        rows = np.flatnonzero(inside)
        if view.bm25 is not None and id(view.bm25) not in made:
            made[id(view.bm25)] = view.bm25.part(rows)
        if view.dense is not None and id(view.dense) not in made:
            made[id(view.dense)] = view.dense.vectors(rows)
        views[name] = ShardView(
            owners=view.owners[rows] - positions.start,
            rows=rows,
            bm25=made.get(id(view.bm25)),
            vectors=made.get(id(view.dense)),
        )
    return Shard(positions, index.config.dense, views)


def merge(parts: Sequence[Mapping[str, list[Best]]], n: int) -> dict[str, list[Best]]:
    """Return the `n` best answers of the whole index by signal, given those of all shards."""
    return {
        name: [_merged(of_query, n) for of_query in zip(*(p[name] for p in parts), strict=True)]
        for name in SIGNALS
    }


def _merged(parts: Sequence[Best], n: int) -> Best:
    positions, scores, rows = map(np.concatenate, zip(*parts, strict=True))
    best = np.lexsort((positions, -scores))[:n]  # ties in order of id
    return Best(positions[best], scores[best], rows[best])
