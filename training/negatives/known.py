"""A collection's texts, already tokenized and encoded, so that mining need not do it again."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.lexical import Tokens
from dotbogi.search.encoded import EncodedCollection
from dotbogi.search.geometry import Geometry


class KnownTexts:
    """Looks up the vectors and tokens of a collection's answers and known questions by text."""

    def __init__(
        self, encoded: EncodedCollection, geometry: Geometry, query_tokens: Mapping[str, list[str]]
    ) -> None:
        """Index the collection by text.

        Args:
            encoded: the collection.
            geometry: geometry of the mining model.
            query_tokens: the tokens of each known question as a query.
        """
        answers = [answer.text for answer in encoded.collection.answers]
        questions = [question.text for question in encoded.collection.questions]
        self._answers = _by_text(answers, geometry.answers(encoded.answer_vectors))
        self._questions = _by_text(questions, geometry.queries(encoded.question_vectors))
        self._tokens = dict(zip(answers, encoded.answer_tokens, strict=True))
        self._query_tokens = query_tokens

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return the unit vectors of answers, texts × dim."""
        return np.stack([self._answers[text] for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the unit vectors of known questions, texts × dim."""
        return np.stack([self._questions[text] for text in texts])

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of answers."""
        return [self._tokens[text] for text in texts]

    def tokenize_queries(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of known questions as queries."""
        return [self._query_tokens[text] for text in texts]


def _by_text(texts: Sequence[str], vectors: Vectors) -> dict[str, NDArray[np.float32]]:
    return dict(zip(texts, vectors, strict=True))
