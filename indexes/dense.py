"""The dense index: unit vectors in FAISS, searched by inner product (= cosine)."""

import contextlib
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.faiss_file import check_faiss
from dotbogi.indexes.files import why_unreadable, write_file

DenseKind = Literal["exact", "hnsw"]
Vectors = NDArray[np.float32]

_HNSW_LINKS = 32  # neighbours per node; usual for vectors of a few hundred dimensions
_HNSW_BUILD_WIDTH = 200
_FEW_QUERIES = 16  # FAISS handles up to 19 queries one by one, and more by matrix products
_ROWS_AT_ONCE = 1 << 14  # vectors read from an index at a time

# OpenMP's threads do not survive a fork, and a child that uses them waits forever. So a forked
# process searches on one thread.
os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))


@contextlib.contextmanager
def _few_threads(queries: int) -> Iterator[None]:
    """Search for up to 16 queries on the calling thread only.

    OpenMP's threads pay off for a batch. For one query they wait for each other and for busy
    cores: on two busy cores, a query took 60 ms instead of 24. The setting applies to the calling
    thread only, and is restored.
    """
    if queries > _FEW_QUERIES:
        yield
        return
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class DenseIndex:
    """Unit vectors searched by inner product; ids are row numbers."""

    def __init__(self, index: Any, kind: DenseKind) -> None:
        self._index = index
        self.kind = kind
        # On a GPU, FAISS searches for only one thread at a time.
        self._one_at_a_time = threading.Lock() if self._is_on_gpu else contextlib.nullcontext()

    @classmethod
    def build(cls, vectors: Vectors, kind: DenseKind = "exact") -> "DenseIndex":
        """Index `vectors` (rows × dim, float32, unit rows or zero rows)."""
        dim = vectors.shape[1]
        index: Any
        if kind == "hnsw":
            index = faiss.IndexHNSWFlat(dim, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = _HNSW_BUILD_WIDTH
        else:
            index = faiss.IndexFlatIP(dim)
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(_on_gpu(index) if kind == "exact" else index, kind)

    @property
    def _is_on_gpu(self) -> bool:
        return self.kind == "exact" and faiss.get_num_gpus() > 0

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, queries: Vectors, k: int, among: NDArray[np.int64] | None = None
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """Return the scores and row numbers of each query's best rows, both queries × min(k, rows).

        HNSW may find fewer rows: the rest is filled with row -1 and score -inf.

        Args:
            queries: queries × dim, float32, unit rows.
            k: rows per query.
            among: the row numbers to search, only if `filters` is true; None for all rows.

        Raises:
            UsageError: the queries have another dimension.
        """
        self._check_dim(queries)
        k = min(k, len(self) if among is None else len(among))
        if k == 0 or len(queries) == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        params = self._parameters(k, among)
        with self._one_at_a_time, _few_threads(len(queries)):
            scores, rows = self._index.search(queries, k, params=params)
        scores[rows < 0] = -np.inf  # FAISS pads with -3.4e38
        return scores, rows

    def _parameters(self, k: int, among: NDArray[np.int64] | None) -> Any:
        selector = None
        if among is not None:
            bits = np.zeros(len(self), bool)
            bits[among] = True
            bitmap = np.packbits(bits, bitorder="little")
            selector = faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg, arg-type]
        if self.kind == "hnsw":
            width = max(2 * k, 64)
            if among is not None:  # FAISS filters the rows it visits, so it must visit more
                width = math.ceil(width * len(self) / len(among))
            return faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
                efSearch=width, sel=selector
            )
        return faiss.SearchParameters(sel=selector) if selector else None  # type: ignore[call-arg]

    @property
    def filters(self) -> bool:
        """Whether `search` accepts `among`. FAISS cannot filter on a GPU: use `scores` there."""
        return not self._is_on_gpu

    def scores(self, queries: Vectors, rows: NDArray[np.int64]) -> Vectors:
        """Return the exact scores of these rows, queries × rows; equal vectors score the same.

        Raises:
            UsageError: the queries have another dimension.
        """
        self._check_dim(queries)
        scores = np.zeros((len(queries), len(rows)), np.float32)
        wide = queries.astype(np.float64)  # in float32, BLAS gives equal rows different products
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            scores[:, part] = wide @ self.vectors(rows[part]).astype(np.float64).T
        return scores

    def vectors(self, rows: NDArray[np.int64]) -> Vectors:
        """Return the vectors of these rows, rows × dim."""
        with self._one_at_a_time:
            vectors: Vectors = self._index.reconstruct_batch(rows)
        return vectors

    def _check_dim(self, queries: Vectors) -> None:
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise UsageError(
                f"the index holds {self.dim}-dimensional vectors; the queries have shape "
                f"{queries.shape}. Encode them with the index's model."
            )

    def save(self, path: Path) -> None:
        """Write the index in FAISS's own format."""
        index = self._index if self.kind == "hnsw" else _on_cpu(self._index)
        write_file(path, faiss.serialize_index(index))

    @classmethod
    def open(cls, path: Path, kind: DenseKind) -> "DenseIndex":
        """Read what `save` wrote. Check the digest first: a changed number is still a number.

        Raises:
            DamagedError: FAISS cannot read the file.
        """
        check_faiss(path, _HNSW_LINKS if kind == "hnsw" else None)
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise why_unreadable(
                path, error, "FAISS cannot read it. Build the index again."
            ) from error
        return cls(_on_gpu(index) if kind == "exact" else index, kind)


def device() -> str:
    """Return where exact search runs: 'GPU (n)' or 'CPU'."""
    count = faiss.get_num_gpus()
    return f"GPU ({count})" if count else "CPU"


def _on_gpu(index: Any) -> Any:
    # Only the GPU build of FAISS has these functions; without a GPU it reports 0 GPUs.
    return faiss.index_cpu_to_all_gpus(index) if faiss.get_num_gpus() else index


def _on_cpu(index: Any) -> Any:
    return faiss.index_gpu_to_cpu(index) if faiss.get_num_gpus() else index
