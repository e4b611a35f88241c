"""The dense index: unit vectors in FAISS, searched by inner product (= cosine)."""

import contextlib
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.faiss_file import check_faiss
from dotbogi.indexes.files import why_unreadable, write_parts

DenseKind = Literal["exact", "hnsw"]
Vectors = NDArray[np.float32]

_HNSW_LINKS = 32  # neighbours per node; usual for vectors of a few hundred dimensions
_HNSW_BUILD_WIDTH = 200
_FEW_QUERIES = 16  # FAISS handles up to 19 queries one by one, and more by matrix products
_ROWS_AT_ONCE = 1 << 14  # vectors read from an index at a time
_MANY_ROWS = 1 << 13  # from here on, scanning bytes first is faster
_WORTH_IT = 10  # queries; for fewer, rounding takes more time than it saves
_HIGHEST_CODE = 127
# The most rows fetched per query; FAISS on a GPU returns no more. That many are never found by
# rounded scores, so that the last fetch leaves no doubt.
MOST_ROWS = 1 << 11
_ROUNDING = 1e-5  # more than a score in float32 is off by

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


class Nearest(NamedTuple):
    """The rows nearest to each query, by scores that may be rounded; see `DenseIndex.scores`."""

    scores: NDArray[np.floating]  # queries × k, the highest first
    rows: NDArray[np.int64]  # queries × k; -1 where HNSW finds no more
    errors: NDArray[np.floating]  # of each query: by how much a score may differ from the exact one


class _Codes:
    """Vectors rounded to bytes, whose products with a query in bytes FAISS scans fast.

    A scan returns the best rows by rounded score. By how much the true score of a row differs is
    bounded by the lengths of what rounding has changed (Cauchy–Schwarz):
    |x·q − x'·q'| ≤ |x − x'| |q| + |x'| |q − q'|.
    """

    def __init__(self, vectors: Vectors) -> None:
        highest = max((float(np.abs(part).max()) for part in _parts(vectors)), default=0.0)
        self._scale = _HIGHEST_CODE / (highest or 1.0)
        self._index = faiss.IndexScalarQuantizer(
            vectors.shape[1],
            faiss.ScalarQuantizer.QT_8bit_direct_signed,
            faiss.METRIC_INNER_PRODUCT,
        )
        self._error = self._length = 0.0
        for part in _parts(vectors):
            codes = np.rint(part * self._scale)
            self._index.add(codes)
            rounded = codes / self._scale
            self._error = max(self._error, _longest(rounded - part))
            self._length = max(self._length, _longest(rounded))

    def search(self, queries: Vectors, k: int, selector: Any) -> Nearest:
        """Return each query's k best rows by rounded score."""
        highest = np.abs(queries).max(axis=1, keepdims=True)
        scales = _HIGHEST_CODE / np.where(highest > 0, highest, 1)
        codes = np.rint(queries * scales)
        params = faiss.SearchParameters(sel=selector) if selector else None  # type: ignore[call-arg]
        scores, rows = self._index.search(codes, k, params=params)
        errors = self._error * _lengths(queries)
        errors += self._length * _lengths(codes / scales - queries)
        return Nearest(scores / (self._scale * scales), rows, errors + _ROUNDING)


def _lengths(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    lengths: NDArray[np.floating] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths


def _longest(vectors: Vectors) -> float:
    return float(_lengths(vectors).max(initial=0.0))


def _parts(vectors: Vectors) -> Iterator[Vectors]:
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        yield vectors[start : start + _ROWS_AT_ONCE]


class DenseIndex:
    """Unit vectors searched by inner product; ids are row numbers."""

    def __init__(self, index: Any, kind: DenseKind) -> None:
        self._index = index
        self.kind = kind
        if not self._is_on_gpu:
            flat: Any = index if kind == "exact" else faiss.downcast_index(index.storage)
            in_memory: Vectors = faiss.rev_swig_ptr(flat.get_xb(), index.ntotal * index.d)
            self._stored = in_memory.reshape(index.ntotal, index.d)
        self._may_scan = kind == "exact" and not self._is_on_gpu and index.ntotal >= _MANY_ROWS
        self._codes: _Codes | None = None
        self._searched = 0  # queries
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

    def prepare(self) -> None:
        """Round the vectors to bytes now; otherwise, that is done after the first few queries."""
        if self._may_scan and self._codes is None:
            self._codes = _Codes(self._stored)

    def search(self, queries: Vectors, k: int, among: NDArray[np.int64] | None = None) -> Nearest:
        """Return each query's best rows, min(k, rows) of them.

        Once `prepare` was called, or after ten queries, fewer than MOST_ROWS rows of a large exact
        index are found by rounded scores; `errors` says how far they may be off.

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
            shape = len(queries), 0
            return Nearest(np.zeros(shape), np.zeros(shape, np.int64), np.zeros(len(queries)))
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        self._searched += len(queries)
        if self._searched > _WORTH_IT:
            self.prepare()
        with self._one_at_a_time, _few_threads(len(queries)):
            if self._codes and k < MOST_ROWS:
                return self._codes.search(queries, k, self._selector(among))
            scores, rows = self._index.search(queries, k, params=self._parameters(k, among))
        return Nearest(scores, rows, np.full(len(queries), _ROUNDING))

    def _selector(self, among: NDArray[np.int64] | None) -> Any:
        if among is None:
            return None
        bits = np.zeros(len(self), bool)
        bits[among] = True
        bitmap = np.packbits(bits, bitorder="little")
        return faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg, arg-type]

    def _parameters(self, k: int, among: NDArray[np.int64] | None) -> Any:
        selector = self._selector(among)
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

    def recall(self, queries: Vectors, k: int, fetched: int) -> float:
        """Return which share of the queries' k nearest rows is among the rows that are fetched."""
        k = min(k, len(self))
        found = self.search(queries, fetched).rows
        every_row, shares = np.arange(len(self)), []
        for start in range(0, len(queries), _FEW_QUERIES):
            part = slice(start, start + _FEW_QUERIES)
            scores = self.scores(queries[part], every_row)
            least = np.partition(scores, -k, axis=1)[:, -k]
            for own, rows, last in zip(scores, found[part], least, strict=True):
                shares.append(min(int((own[rows[rows >= 0]] >= last).sum()), k) / k)
        return float(np.mean(shares))

    def vectors(self, rows: NDArray[np.int64]) -> Vectors:
        """Return the vectors of these rows, rows × dim."""
        if self._is_on_gpu:
            with self._one_at_a_time:
                vectors: Vectors = self._index.reconstruct_batch(rows)
                return vectors
        return self._stored.take(rows, axis=0)

    def _check_dim(self, queries: Vectors) -> None:
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise UsageError(
                f"the index holds {self.dim}-dimensional vectors; the queries have shape "
                f"{queries.shape}. Encode them with the index's model."
            )

    def save(self, path: Path) -> None:
        """Write the index in FAISS's own format."""
        index = self._index if self.kind == "hnsw" else _on_cpu(self._index)
        parts: list[bytes] = []
        writer = faiss.PyCallbackIOWriter(parts.append)  # type: ignore[attr-defined]
        faiss.write_index(index, writer)  # serialize_index would hold the bytes twice
        write_parts(path, parts)

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
