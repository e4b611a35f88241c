"""Check a file of FAISS before FAISS reads it: FAISS believes what a file says about itself.

A length field may ask for gigabytes, another kind of index may do anything, and a neighbour that
does not exist makes a search read foreign memory.
"""

import mmap
import struct
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.files import mapped, open_regular, reading

_HEAD = "<4siqqq?i"  # kind, dim, rows, two unused, trained, metric
_FLAT, _HNSW = b"IxFI", b"IHNf"
_MOST_DIM = 1 << 16
_AT_ONCE = 1 << 22  # numbers checked at a time


def check_faiss(path: Path, links: int | None) -> None:
    """Check that a file is a whole index of the kind that DenseIndex saves.

    Args:
        path: a regular file.
        links: neighbours per node of an HNSW index; None for an exact one.

    Raises:
        DamagedError: it is not, or a vector has numbers that are none.
    """
    with reading(path), open_regular(path) as file:
        parts = _Parts(mapped(file))
        if links is None:
            parts.vectors()
        else:
            _check_graph(parts, links)
        parts.check_end()


def _check_graph(parts: "_Parts", links: int) -> None:
    dim, rows = parts.head(_HNSW)
    ours = faiss.IndexHNSWFlat(dim, links)
    parts.array("<f8")  # the chance of each level
    widths = parts.array("<i4")  # neighbours up to each level
    levels = parts.array("<i4")  # of each row
    starts = parts.array("<i8")  # of each row's neighbours
    neighbours = parts.array("<i4")
    entry, top, *_ = parts.numbers("<iiiii")
    known = faiss.vector_to_array(ours.hnsw.cum_nneighbor_per_level)
    fits = (
        np.array_equal(widths, known)
        and len(levels) == rows
        and (not rows or (levels.min() > 0 and levels.max() < len(widths)))
        and top == levels.max(initial=0) - 1
        and (0 <= entry < rows and levels[entry] == top + 1 if rows else entry == -1)
        and np.array_equal(starts, np.concatenate([[0], np.cumsum(widths[levels])]))
        and len(neighbours) == starts[-1]
        and (not len(neighbours) or (neighbours.min() >= -1 and neighbours.max() < rows))
    )
    if not fits:
        raise ValueError("a graph that does not fit together")
    if parts.vectors() != (dim, rows):
        raise ValueError("vectors of another number or length")
    _check_levels(widths, levels, starts, neighbours)


def _check_levels(
    widths: NDArray[Any], levels: NDArray[Any], starts: NDArray[Any], neighbours: NDArray[Any]
) -> None:
    """Check that every neighbour on a level is itself on that level."""
    for level in range(1, int(levels.max(initial=0))):
        rows = np.flatnonzero(levels > level)
        for start in starts[rows].tolist():
            near = neighbours[start + widths[level] : start + widths[level + 1]]
            if (levels[near[near >= 0]] <= level).any():
                raise ValueError("a neighbour that is not on its level")


class _Parts:
    """The parts of a file, in their order."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values

    def head(self, kind: bytes) -> tuple[int, int]:
        """Return the dimensions and rows of an index."""
        found, dim, rows, _, _, trained, metric = self.numbers(_HEAD)
        if found != kind or not trained or metric != faiss.METRIC_INNER_PRODUCT:
            raise ValueError(f"another kind of index: {found!r}")
        if not 0 < dim <= _MOST_DIM or rows < 0:
            raise ValueError(f"{rows} vectors of {dim} dimensions")
        return dim, rows

    def array(self, kind: str) -> NDArray[Any]:
        """Return an array whose length stands before it."""
        (length,) = self.numbers("<Q")
        size = length * np.dtype(kind).itemsize
        if size > len(self._data) - self._at:
            raise ValueError(f"an array of {size:,} bytes")
        found = np.frombuffer(self._data, kind, length, self._at)
        self._at += size
        return found

    def vectors(self) -> tuple[int, int]:
        """Check an exact index; return its dimensions and rows."""
        dim, rows = self.head(_FLAT)
        numbers = self.array("<f4")
        if len(numbers) != dim * rows:
            raise ValueError(f"{len(numbers):,} numbers for {rows:,} vectors of {dim}")
        for start in range(0, len(numbers), _AT_ONCE):
            if not np.isfinite(numbers[start : start + _AT_ONCE]).all():
                raise ValueError("numbers that are none")
        return dim, rows

    def check_end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("bytes behind the end")
