"""The geometry of search: how base vectors are centred and adapted before comparison."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.arrays import read_header
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.files import open_regular, reading, write_file
from dotbogi.search.encoders import Encoder, scale_rows

# How many known questions the stand-ins count for in the mean of the queries (benchmarks/LOG.md).
# Thirty questions give nearly the same mean as thousands.
STAND_INS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """Residual maps of queries and of answers: x → x + x W, normalised; dim × dim each."""

    query: NDArray[np.float32]
    answer: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The means of a collection's queries and answers, and the adapter that training learned.

    Encoders put all queries near one direction, and all answers near another. Subtracting
    the means spreads the vectors out: cosines of unrelated texts are near 0, and dense search ranks
    better, by .01 to .05 MRR@10 on six development sets (benchmarks/LOG.md). See Mu and
    Viswanath, All-but-the-Top, ICLR 2018.
    """

    query_mean: Vectors  # dim
    answer_mean: Vectors  # dim
    adapter: Adapter | None = None

    @classmethod
    def measure(cls, queries: Vectors, answers: Vectors, stand_ins: Vectors) -> "Geometry":
        """Return the means of base vectors.

        Args:
            queries: vectors of the known questions, questions × dim; there may be none.
            answers: vectors of the answers, answers × dim.
            stand_ins: vectors of some answers encoded as queries, rows × dim. They replace
                queries if there are none, and stabilise the mean of a few.
        """
        total = queries.sum(axis=0) + STAND_INS * stand_ins.mean(axis=0)
        query_mean = total / (len(queries) + STAND_INS)
        return cls(query_mean.astype(np.float32), answers.mean(axis=0).astype(np.float32))

    def queries(self, base: Vectors) -> Vectors:
        """Return base vectors of queries or known questions, centred and adapted for search."""
        return _moved(base, self.query_mean, self.adapter.query if self.adapter else None)

    def answers(self, base: Vectors) -> Vectors:
        """Return base vectors of answers, centred and adapted for search."""
        return _moved(base, self.answer_mean, self.adapter.answer if self.adapter else None)

    def fingerprint(self, encoder: str) -> str:
        """Return a digest of this geometry and of an encoder, given its fingerprint."""
        hasher = hashlib.sha256(encoder.encode())
        for name, array in self._arrays().items():
            hasher.update(f"{name} {array.shape}".encode() + array.tobytes())
        return hasher.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write geometry.safetensors into a staged generation."""
        from safetensors.numpy import save

        write_file(folder / "geometry.safetensors", save(dict(self._arrays())))

    @classmethod
    def open(cls, folder: Path) -> "Geometry":
        """Read what `save` wrote.

        Raises:
            DamagedError: the file cannot be read.
        """
        from safetensors.numpy import load

        path = folder / "geometry.safetensors"
        kinds = {entry["dtype"] for entry in read_header(path).values()}
        with reading(path):
            with open_regular(path) as file:  # safetensors takes any error for a missing file
                arrays = load(file.read())
            if kinds != {"F32"} or not all(np.isfinite(array).all() for array in arrays.values()):
                raise ValueError("numbers of another type, or that are none")
            means = arrays.pop("query_mean"), arrays.pop("answer_mean")
            names = [field.name for field in fields(Adapter)]
            return cls(*means, Adapter(*(arrays[name] for name in names)) if arrays else None)

    def shapes(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return the shapes of the means and of the adapter's maps."""
        maps = [self.adapter.query, self.adapter.answer] if self.adapter else []
        return [self.query_mean.shape, self.answer_mean.shape], [array.shape for array in maps]

    def _arrays(self) -> Mapping[str, NDArray[np.float32]]:
        arrays = {"query_mean": self.query_mean, "answer_mean": self.answer_mean}
        if self.adapter:
            arrays |= {"query": self.adapter.query, "answer": self.adapter.answer}
        return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def _moved(base: Vectors, mean: Vectors, matrix: NDArray[np.float32] | None) -> Vectors:
    moved = base - mean
    scale_rows(moved)
    if matrix is not None:
        moved += moved @ matrix
        scale_rows(moved)
    return moved


@dataclass(frozen=True, slots=True)
class AdaptedEncoder:
    """Texts → the vectors that dense search compares: an encoder followed by a geometry."""

    encoder: Encoder
    geometry: Geometry

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.encoder.dim

    @property
    def fingerprint(self) -> str:
        """Digest of the encoder and the geometry."""
        return self.geometry.fingerprint(self.encoder.fingerprint)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows of cleaned queries; an empty text is zeros."""
        return _zero_empty(texts, self.geometry.queries(self.encoder.encode_queries(texts)))

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows of cleaned answers; an empty text is zeros."""
        return _zero_empty(texts, self.geometry.answers(self.encoder.encode_answers(texts)))

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return the number of tokens that the model reads in these texts, prompts excluded."""
        return self.encoder.count_tokens(texts)


def _zero_empty(texts: Sequence[str], vectors: Vectors) -> Vectors:
    # The encoder gives an empty text the vector of the bare prompt.
    vectors[np.asarray([not text for text in texts], bool)] = 0
    return vectors
