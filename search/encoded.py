"""A collection with the tokens and vectors of its texts, from which an index is built."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from dotbogi.indexes.analysis import tokenize_all
from dotbogi.indexes.analyzer import Analyzer, AnalyzerName
from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Collection
from dotbogi.indexes.dense import DenseKind, Vectors
from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.files import reading
from dotbogi.indexes.korean.lexicon import is_word
from dotbogi.indexes.lexical import BM25Engine, BM25Index, Tokens
from dotbogi.indexes.manifest import Generation
from dotbogi.indexes.shapes import record
from dotbogi.indexes.views import BM25_VIEWS, owners_of_questions
from dotbogi.search.encoders import CachedEncoder, Encoder
from dotbogi.search.geometry import Geometry
from dotbogi.search.typed import TOLERANCE, steps_of

_STAND_INS = 100  # answers
_STAND_IN_LETTERS = 100  # of each: queries are short


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexConfig:
    """How a collection is indexed. Saved in the manifest."""

    analyzer: AnalyzerName = "kiwi"
    bm25: BM25Engine = "bm25s"
    dense: DenseKind = "exact"
    tolerance: str = TOLERANCE  # what is corrected in queries; "none" for nothing
    words: tuple[str, ...] = ()  # of the workspace's dictionary, for Kiwi: "form/TAG"
    synonyms: tuple[tuple[str, ...], ...] = ()  # the workspace's groups, beside the bundled ones

    def __post_init__(self) -> None:
        """Turn the lists of a manifest into tuples, and check the steps of the tolerance."""
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "synonyms", tuple(map(tuple, self.synonyms)))
        steps_of(self.tolerance)

    @classmethod
    def published(cls, generation: Generation) -> "IndexConfig":
        """Return the settings of a generation.

        Raises:
            DamagedError: its manifest has other settings.
        """
        path = generation.folder / "manifest.json"
        with reading(path):
            try:
                config = record(cls, generation.manifest["index"])
            except UsageError as error:
                raise DamagedError(f"{path}: {error}") from error
            if not all(map(is_word, config.words)):
                raise ValueError("words that are none")
        return config

    def open_analyzer(self) -> Analyzer:
        """Return the analyzer, with the words of the dictionary."""
        return Analyzer(self.analyzer, self.words)


class Tokenizer(Protocol):
    """Texts → tokens: an analyzer, or workers that have it."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that determines the tokens."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of each text."""

    def tokenize_queries(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of each query."""


class AllCores:
    """An analyzer that spreads many texts over all cores of this machine."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer, self.fingerprint = analyzer, analyzer.fingerprint
        self.tokenize_queries = analyzer.tokenize_queries

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of each text."""
        return tokenize_all(self._analyzer, texts)


@dataclass(frozen=True, slots=True)
class EncodedCollection:
    """Tokens and base vectors (rows × dim) of every answer and known question."""

    collection: Collection
    encoder: Encoder
    config: IndexConfig
    answer_tokens: Tokens
    question_tokens: Tokens
    answer_vectors: Vectors
    question_vectors: Vectors
    stand_ins: Vectors  # some answers encoded as queries; see Geometry.measure
    _bm25: dict[str, BM25Index] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        collection: Collection,
        encoder: Encoder,
        config: IndexConfig,
        cache: Cache | None,
        analyzer: Tokenizer | None = None,
    ) -> "EncodedCollection":
        """Analyse and encode a collection, except for texts that the cache has.

        Args:
            collection: answers and known questions.
            encoder: makes the vectors.
            config: analyzer and engines.
            cache: vectors and tokens of known texts; None for none.
            analyzer: used in place of the one that `config` names.
        """
        analyzer = analyzer or AllCores(config.open_analyzer())

        def tokens(texts: Sequence[str]) -> Tokens:
            if cache is None:
                return analyzer.tokenize(texts)
            return cache.tokens(analyzer.fingerprint, texts, analyzer.tokenize)

        source = encoder if cache is None else CachedEncoder(encoder, cache)
        answers = [answer.text for answer in collection.answers]
        questions = [question.text for question in collection.questions]
        drawn = np.random.default_rng(0).permutation(len(answers))[:_STAND_INS]
        return cls(
            collection=collection,
            encoder=encoder,
            config=config,
            answer_tokens=tokens(answers),
            question_tokens=tokens(questions),
            answer_vectors=source.encode_answers(answers),
            question_vectors=source.encode_queries(questions),
            stand_ins=source.encode_queries(
                [answers[i][:_STAND_IN_LETTERS] for i in sorted(drawn)]
            ),
        )

    def with_questions(self, kept: Sequence[bool]) -> "EncodedCollection":
        """Return a copy with all answers but only the known questions whose flag is True."""
        rows = np.flatnonzero(np.asarray(kept, bool))
        questions = [self.collection.questions[row] for row in rows]
        return replace(
            self,
            collection=replace(self.collection, questions=questions),
            question_tokens=[self.question_tokens[row] for row in rows],
            question_vectors=self.question_vectors[rows],
            _bm25={name: index for name, index in self._bm25.items() if name == "answer"},
        )

    def geometry(self) -> Geometry:
        """Return the means of the vectors, without an adapter."""
        return Geometry.measure(self.question_vectors, self.answer_vectors, self.stand_ins)

    def bm25(self) -> Mapping[str, BM25Index]:
        """Return the lexical index of each view, built at the first call."""
        if len(self._bm25) < len(BM25_VIEWS):
            rows = {"answer": self.answer_tokens, "question": self.question_tokens}
            if self.question_tokens:
                rows["joined"] = self._joined_tokens()
            for view in rows.keys() - self._bm25.keys():
                self._bm25[view] = BM25Index.build(rows[view], self.config.bm25)
            self._bm25.setdefault("joined", self._bm25["answer"])
        return self._bm25

    def _joined_tokens(self) -> Tokens:
        joined = [list(row) for row in self.answer_tokens]
        owners = owners_of_questions(self.collection)
        for owner, row in zip(owners, self.question_tokens, strict=True):
            joined[owner] += row
        return joined


# (folder of the model, its encoder, settings) → encoder and analyzer that work somewhere.
Spread = Callable[[Path, Encoder, IndexConfig], AbstractContextManager[tuple[Encoder, Tokenizer]]]


@contextmanager
def here(
    folder: Path, encoder: Encoder, config: IndexConfig
) -> Iterator[tuple[Encoder, Tokenizer]]:
    """Yield an encoder and an analyzer that work in this process: the `Spread` to nowhere."""
    yield encoder, AllCores(config.open_analyzer())
