"""The protocol of an encoder: texts → unit vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dotbogi.indexes.dense import Vectors


class Encoder(Protocol):
    """Turns texts into base vectors; equal fingerprints mean equal vectors."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def fingerprint(self) -> str:
        """Digest of weights, tokenizer, prompts, pooling, normalisation and precision."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt."""

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return the number of tokens that the model reads in these texts, prompts excluded."""


def unit_rows(vectors: Vectors) -> Vectors:
    """Return a copy in which every row has length 1; rows of zeros stay zero."""
    scaled = vectors.copy()
    scale_rows(scaled)
    return scaled


def scale_rows(vectors: Vectors) -> None:
    """Scale every row to length 1, in place."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, np.newaxis]
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
