"""The pool of candidates: the train side of a collection, ranked by each source."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.lexical import BM25Index, Tokens
from dotbogi.indexes.text import same_text_key
from dotbogi.indexes.views import highest
from dotbogi.training.negatives.negative import MiningConfig, QuotaSource
from dotbogi.training.negatives.sampling import Floats, limits, order_keys

SUSPECTS = 10  # kept per question and source, the highest cosines first
_CELLS = 1 << 24  # cosines in memory, questions × answers; with fewer, products take longer
_LOOKED_AT = 4  # candidates looked at first, per place of the window

Integers = NDArray[np.int64]
Marks = NDArray[np.bool_]
Scores = NDArray[np.floating]


class TextEncoder(Protocol):
    """Texts → unit vectors: an encoder, or `KnownTexts`."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the unit vectors of questions, texts × dim."""

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return the unit vectors of answers, texts × dim."""


class Tokenizer(Protocol):
    """Texts → tokens: an analyzer, or `KnownTexts`."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of answers."""

    def tokenize_queries(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of questions as queries."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that negatives are sought for."""

    number: int  # in the pool
    cosines: Floats  # with every candidate
    taken: set[int]  # columns that are right for it, or that it has already
    positive: float  # cosine with its right answer
    limit: float  # highest allowed cosine


@dataclass(frozen=True, slots=True)
class Ranked:
    """Some candidates of a question, best first."""

    columns: Integers
    scores: Scores  # by the source
    ranks: Integers  # by score, from 1; equal scores share a rank


@dataclass(frozen=True, slots=True)
class Picked:
    """The negatives and suspects that one source gives for a question."""

    chosen: Ranked
    suspects: Ranked  # in the window, but over the bound
    over_bound: int  # the number of all such candidates
    window: int  # its size


class Pool:
    """The train side with its vectors, and the scores of all answers for a question by source.

    `candidates` are the answers with distinct texts. `by_key` gives the index of a candidate by
    normalised text, and `column` by the id of any answer with that text.
    """

    def __init__(
        self, side: Collection, encoder: TextEncoder, analyzer: Tokenizer, config: MiningConfig
    ) -> None:
        keys = [same_text_key(answer.text) for answer in side.answers]
        firsts = dict(zip(keys[::-1], side.answers[::-1], strict=True))
        self.questions = side.questions
        self.by_key = {key: column for column, key in enumerate(dict.fromkeys(keys))}
        self.candidates = [firsts[key] for key in self.by_key]
        self.column = {a.id: self.by_key[key] for a, key in zip(side.answers, keys, strict=True)}
        self.question_keys = [same_text_key(question.text) for question in self.questions]
        self.right: dict[str, set[int]] = defaultdict(set)
        for key, question in zip(self.question_keys, self.questions, strict=True):
            self.right[key].add(self.column[question.answer_id])
        self._config = config
        texts = [answer.text for answer in self.candidates]
        questions = [question.text for question in self.questions]
        self._vectors: Vectors = encoder.encode_answers(texts)
        self.question_vectors: Vectors = encoder.encode_queries(questions)
        if config.quotas.get("bm25"):
            self._bm25 = BM25Index.build(analyzer.tokenize(texts))
            self._tokens = analyzer.tokenize_queries(questions)

    def blocks(self) -> Iterator[range]:
        """Yield the numbers of all questions, one block at a time."""
        size = min(256, max(1, _CELLS // max(len(self.candidates), 1)))
        for start in range(0, len(self.questions), size):
            yield range(start, min(start + size, len(self.questions)))

    def asked(self, numbers: range) -> list[Asked]:
        """Return the questions with these numbers."""
        own = [self.column[self.questions[number].answer_id] for number in numbers]
        cosines: Floats = self.question_vectors[numbers.start : numbers.stop] @ self._vectors.T
        positives = cosines[np.arange(len(numbers)), own]
        bounds = limits(positives, self._config.bound, self._config.bound_absolute)
        rows = zip(numbers, cosines, positives.tolist(), bounds.tolist(), strict=True)
        return [
            Asked(number, of_question, {*self.right[self.question_keys[number]]}, positive, limit)
            for number, of_question, positive, limit in rows
        ]

    def digest(self) -> str:
        """Return a digest of the texts with their vectors and tokens."""
        hasher = hashlib.sha256(self._vectors.tobytes() + self.question_vectors.tobytes())
        texts = [(answer.id, answer.text) for answer in self.candidates]
        asked = [(question.answer_id, question.text) for question in self.questions]
        tokens = [self._bm25.frequencies(), self._tokens] if self._config.quotas.get("bm25") else []
        hasher.update(json.dumps([texts, asked, tokens]).encode())
        return hasher.hexdigest()

    def pick(
        self, source: QuotaSource, asked: Asked, quota: int, rng: np.random.Generator
    ) -> Picked:
        """Return the negatives that a searched source gives for a question.

        If fewer candidates in its window pass than the quota asks for, the window is doubled until
        enough pass, or until it holds all candidates.

        Args:
            source: bm25 or model.
            asked: the question.
            quota: the number of negatives.
            rng: for sampling.
        """
        scores, floor = self._scores(source, asked)
        for looked_at in (_LOOKED_AT * self._config.window, len(scores) + 1):
            # All candidates that score at least as high as the last of these.
            columns = highest(scores, looked_at, floor)
            is_all = len(columns) < looked_at
            picked = self._picked(asked, columns, scores[columns], is_all, quota, rng)
            if picked:
                break
        assert picked
        return picked

    def _scores(self, source: QuotaSource, asked: Asked) -> tuple[Scores, float]:
        """Return the source's score of every candidate, and the score of those not found."""
        if source == "bm25":
            return self._bm25.scores(self._tokens[asked.number]), self._bm25.floor
        is_known = self.question_vectors[asked.number].any()
        return asked.cosines if is_known else np.full_like(asked.cosines, -np.inf), -np.inf

    def _picked(
        self,
        asked: Asked,
        columns: Integers,
        scores: Scores,
        is_all: bool,
        quota: int,
        rng: np.random.Generator,
    ) -> Picked | None:
        """Return what is picked of the best candidates; None if more have to be looked at.

        Args:
            asked: the question.
            columns: of the best candidates, ascending.
            scores: theirs, by the source.
            is_all: the source has found no others.
            quota: the number of negatives.
            rng: for sampling.
        """
        cosines = asked.cosines[columns]
        usable: Marks = ~np.isin(columns, [*asked.taken])
        passes: Marks = usable & (cosines <= asked.limit)
        chosen = _best(scores, np.flatnonzero(passes), quota)
        window = self._window(scores, chosen, quota)
        if len(columns) > window:
            last = np.partition(scores, len(scores) - window)[len(scores) - window]
            inside: Marks = scores >= last
        elif is_all:
            inside = np.ones(len(columns), bool)
        else:
            return None
        if self._config.sampling != "top":
            places = np.flatnonzero(passes & inside)
            keys = order_keys(
                self._config.sampling,
                scores[places],
                cosines[places],
                np.full(len(places), asked.positive, np.float32),
                rng,
            )
            chosen = places[_best(keys, np.arange(len(places)), quota)]
        over = np.flatnonzero(usable & inside & ~passes)
        suspects = _best(cosines, over, SUSPECTS)
        best, nearest = (
            Ranked(columns[places], scores[places], _ranks(scores, places))
            for places in (chosen, suspects)
        )
        return Picked(best, nearest, len(over), window)

    def _window(self, scores: Scores, chosen: Integers, quota: int) -> int:
        """Return the size of the window, doubled until it has as many as the quota needs."""
        total, window = len(self.candidates), self._config.window
        last = 1 if not quota else total
        if quota and len(chosen) == quota:
            last = int(_ranks(scores, chosen[-1:])[0])
        while window < last:
            window *= 2
        return min(window, total)


def _best(keys: Scores, places: Integers, k: int) -> Integers:
    """Return which `k` of these places have the highest keys, highest first; ties in order."""
    if not k:
        return places[:0]
    found = keys[places]
    places = places[highest(found, k)]
    return places[np.argsort(-keys[places], kind="stable")[:k]]


def _ranks(scores: Scores, places: Integers) -> Integers:
    """Return the ranks of these places among all scores; equal scores share a rank."""
    ranks: Integers = 1 + (scores > scores[places, np.newaxis]).sum(axis=1)
    return ranks
