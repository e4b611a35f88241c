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
from dotbogi.training.negatives.negative import MiningConfig, QuotaSource
from dotbogi.training.negatives.sampling import Floats, limits, order_keys

SUSPECTS = 10  # kept per question and source, the highest cosines first
_CELLS = 1 << 22  # in a block of questions × answers

Integers = NDArray[np.int64]
Marks = NDArray[np.bool_]


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
class Block:
    """Some questions against all candidates; rows are questions, columns are candidates."""

    numbers: range  # of the questions in the pool
    cosines: Floats
    usable: Marks  # not right for the question, and not taken yet
    positives: Floats  # cosine of each question and its right answer
    limits: Floats  # highest allowed cosine of each question


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates of each question of a block, best first; −1 is padding."""

    columns: Integers
    scores: NDArray[np.floating]
    ranks: Integers


@dataclass(frozen=True, slots=True)
class Picked:
    """The negatives and suspects that one source gives for a block."""

    chosen: Ranked
    suspects: Ranked  # in the window, but over the bound
    over_bound: int  # the number of all such candidates
    windows: Integers  # size of each question's window


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

    def block(self, numbers: range) -> Block:
        """Return the questions with these numbers against all candidates."""
        rows = np.arange(len(numbers))
        own = [self.column[self.questions[number].answer_id] for number in numbers]
        cosines: Floats = self.question_vectors[numbers.start : numbers.stop] @ self._vectors.T
        usable = np.ones(cosines.shape, bool)
        for row, number in enumerate(numbers):
            usable[row, list(self.right[self.question_keys[number]])] = False
        positives = cosines[rows, own]
        bounds = limits(positives, self._config.bound, self._config.bound_absolute)
        return Block(numbers, cosines, usable, positives, bounds)

    def digest(self) -> str:
        """Return a digest of the texts with their vectors and tokens."""
        hasher = hashlib.sha256(self._vectors.tobytes() + self.question_vectors.tobytes())
        texts = [(answer.id, answer.text) for answer in self.candidates]
        asked = [(question.answer_id, question.text) for question in self.questions]
        tokens = [self._bm25.frequencies(), self._tokens] if self._config.quotas.get("bm25") else []
        hasher.update(json.dumps([texts, asked, tokens]).encode())
        return hasher.hexdigest()

    def pick(
        self, source: QuotaSource, block: Block, quotas: Integers, rng: np.random.Generator
    ) -> Picked:
        """Return the negatives that a searched source gives for a block.

        If fewer candidates in a question's window pass than its quota asks for, the window is
        doubled until enough pass, or until it holds all candidates.

        Args:
            source: bm25 or model.
            block: the questions.
            quotas: int64, the number of negatives for each question.
            rng: for sampling.
        """
        scores = self._scores(source, block)
        passes: Marks = block.usable & (block.cosines <= block.limits[:, np.newaxis])
        most = int(quotas.max(initial=0))
        chosen = _best(np.where(passes, scores, -np.inf), most)
        windows = self._windows(scores, chosen, quotas)
        inside = _inside(scores, windows)
        if self._config.sampling != "top":
            keys = np.full(scores.shape, -np.inf)
            rows, columns = np.nonzero(passes & inside)
            keys[rows, columns] = order_keys(
                self._config.sampling,
                scores[rows, columns],
                block.cosines[rows, columns],
                block.positives[rows],
                rng,
            )
            chosen = _best(keys, most)
        wanted: Marks = np.arange(most)[: chosen.shape[1]] < quotas[:, np.newaxis]
        chosen = np.where(wanted, chosen, -1)
        over = block.usable & inside & ~passes
        suspects = _best(np.where(over, block.cosines, -np.inf), SUSPECTS)
        return Picked(_ranked(scores, chosen), _ranked(scores, suspects), int(over.sum()), windows)

    def _scores(self, source: QuotaSource, block: Block) -> NDArray[np.floating]:
        """Return the source's score of every candidate; −inf for those it does not find."""
        if source == "model":
            vectors = self.question_vectors[block.numbers.start : block.numbers.stop]
            known = np.abs(vectors).sum(axis=1) > 0
            return np.where(known[:, np.newaxis], block.cosines, np.float32(-np.inf))
        scores = np.stack([self._bm25.scores(self._tokens[n]) for n in block.numbers])
        return np.where(scores > self._bm25.floor, scores, np.float32(-np.inf))

    def _windows(self, scores: NDArray[np.floating], best: Integers, quotas: Integers) -> Integers:
        """Return the size of each question's window, widened as far as its quota needs."""
        total, window = scores.shape[1], self._config.window
        ranks = np.ones(len(scores), np.int64)  # of the last candidate that the quota needs
        for quota in np.unique(quotas[quotas > 0]):
            rows = np.flatnonzero(quotas == quota)
            if quota > best.shape[1]:
                ranks[rows] = total
                continue
            last = best[rows, quota - 1]
            last_ranks = _ranks(scores[rows], last[:, np.newaxis])[:, 0]
            ranks[rows] = np.where(last < 0, total, last_ranks)
        doublings = np.ceil(np.log2(np.maximum(ranks / window, 1))).astype(np.int64)
        widened: Integers = np.minimum(window << doublings, total)
        return widened


def _best(keys: NDArray[np.floating], k: int) -> Integers:
    """Return the columns of the `k` highest keys of each row, highest first; −1 for −inf.

    Equal keys are ordered by column. One pass per rank is faster than a partition, because most
    keys are −inf.
    """
    keys = keys.copy()
    rows = np.arange(len(keys))
    columns = np.full((len(keys), min(k, keys.shape[1])), -1, np.int64)
    for rank in range(columns.shape[1]):
        highest = keys.argmax(axis=1)
        columns[:, rank] = np.where(keys[rows, highest] > -np.inf, highest, -1)
        keys[rows, highest] = -np.inf
    return columns


def _inside(scores: NDArray[np.floating], windows: Integers) -> Marks:
    """Mark the highest scores of each row, `windows` of them and those equal to the last."""
    inside = scores > -np.inf
    for row, window in enumerate(windows.tolist()):
        finite = scores[row, inside[row]]
        if len(finite) > window:
            last = np.partition(finite, len(finite) - window)[len(finite) - window]
            inside[row] = scores[row] >= last
    return inside


def _ranked(scores: NDArray[np.floating], columns: Integers) -> Ranked:
    chosen = np.take_along_axis(scores, columns, axis=1)
    return Ranked(columns, chosen, _ranks(scores, columns))


def _ranks(scores: NDArray[np.floating], columns: Integers) -> Integers:
    """Return the ranks of these columns by the scores of their row; equal scores share a rank."""
    ranks = np.empty(columns.shape, np.int64)
    for i in range(columns.shape[1]):
        own = np.take_along_axis(scores, columns[:, i : i + 1], axis=1)
        ranks[:, i] = 1 + (scores > own).sum(axis=1)
    return ranks
