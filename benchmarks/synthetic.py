"""Seeded synthetic collections of any size, made of phrases of the bundled sample.

An answer is parts of two phrases and a rare code; its known question begins with one of the two.
Words keep the skewed frequencies of the sample, and codes let the vocabulary grow. A vector is that
of both phrases (encoded by the starter) with noise, so near and far texts are as in real data.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from starter import CACHE

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.lexical import Tokens
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import CachedEncoder, open_encoder, unit_rows
from dotbogi.search.models import ModelConfig, enter_model

_NOISE = 0.5
_CODES = 50_000  # of which a text has one
_BLOCK = 1 << 14

Pairs = NDArray[np.int64]  # texts × the numbers of two phrases


class Synthetic:
    """Draws texts with their tokens and vectors, without analysing or encoding each of them."""

    dim: int
    fingerprint = "synthetic"

    def __init__(self, seed: int = 0) -> None:
        """Analyse and encode the phrases of the sample, once."""
        rows = read_table(SAMPLE_PATH).rows
        phrases = sorted({*(row.question for row in rows), *(row.answer for row in rows)})
        self._phrases, self._rng = phrases, np.random.default_rng(seed)
        analyzer = Analyzer()
        self._tokens = analyzer.tokenize(phrases)
        self._query_tokens = analyzer.tokenize_queries(phrases)
        with tempfile.TemporaryDirectory() as folder:
            enter_model(ModelConfig(), Path(folder), [])
            encoder = CachedEncoder(open_encoder(Path(folder)), Cache(CACHE))
            self._as_query = encoder.encode_queries(phrases)
            self._as_answer = encoder.encode_answers(phrases)
        self.dim = self._as_query.shape[1]

    def pairs(self, count: int) -> Pairs:
        """Return the phrases of some texts."""
        return self._rng.integers(0, len(self._phrases), (count, 2))

    def texts(self, pairs: Pairs) -> list[str]:
        """Return a text of each pair, different from all others."""
        return [
            f"{self._phrases[one]} {self._phrases[other]} k{number % _CODES} {number}"
            for number, (one, other) in enumerate(pairs.tolist())
        ]

    def tokens(self, pairs: Pairs, *, of_queries: bool = False) -> Tokens:
        """Return the tokens of each pair: half of each phrase's, and of a code."""
        tokens = self._query_tokens if of_queries else self._tokens
        return [
            [*tokens[one][::2], *tokens[other][1::2], f"k{number % _CODES}/S"]
            for number, (one, other) in enumerate(pairs.tolist())
        ]

    def vectors(self, pairs: Pairs, *, of_queries: bool = False) -> Vectors:
        """Return unit vectors, texts × dim."""
        vectors = self._as_query if of_queries else self._as_answer
        found = np.empty((len(pairs), self.dim), np.float32)
        for start in range(0, len(pairs), _BLOCK):
            part = pairs[start : start + _BLOCK]
            noise = self._rng.standard_normal((len(part), self.dim), dtype=np.float32)
            noise *= _NOISE / np.sqrt(self.dim)
            found[start : start + _BLOCK] = unit_rows(vectors[part].sum(axis=1) + noise)
        return found

    def collection(self, answers: int, *, known: bool) -> EncodedCollection:
        """Return a collection of answers, each with one known question or none."""
        pairs = self.pairs(answers)
        asked = np.stack([pairs[:, 0], self.pairs(answers)[:, 0]], axis=1) if known else pairs[:0]
        ids = [f"{number:08}" for number in range(answers)]
        questions = [
            KnownQuestion(text, id_) for text, id_ in zip(self.texts(asked), ids, strict=False)
        ]
        return EncodedCollection(
            collection=Collection(list(map(Answer, ids, self.texts(pairs))), questions),
            encoder=Drawn(self.dim, {}),
            config=IndexConfig(),
            answer_tokens=self.tokens(pairs),
            question_tokens=self.tokens(asked),
            answer_vectors=self.vectors(pairs),
            question_vectors=self.vectors(asked, of_queries=True),
            stand_ins=self.vectors(pairs[:100], of_queries=True),
        )

    def queries(self, count: int) -> dict[str, Vectors]:
        """Return the texts of some queries, each with its vector."""
        pairs = self.pairs(count)
        return dict(zip(self._short(pairs), self.vectors(pairs, of_queries=True), strict=True))

    def _short(self, pairs: Pairs) -> list[str]:
        """Return half of the words of each phrase; one of a pair that no query has yet."""
        words = [phrase.split() for phrase in self._phrases]
        return [
            " ".join([*words[one][::2], *words[other][1::2], str(number)])
            for number, (one, other) in enumerate(pairs.tolist())
        ]


class Drawn:
    """An encoder that knows the vectors of some queries, so that their encoding takes no time."""

    fingerprint = "synthetic"

    def __init__(self, dim: int, vectors: dict[str, Vectors]) -> None:
        self.dim, self.vectors = dim, vectors

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows."""
        return np.stack([self.vectors[text] for text in texts])

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows."""
        return self.encode_queries(texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many texts there are."""
        return len(texts)
