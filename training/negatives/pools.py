"""The train side of a collection, searched for wrong answers by each source."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.collection import Answer, Collection
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.lexical import BM25Index, Tokens
from dotbogi.indexes.text import same_text_key
from dotbogi.training.negatives.negative import MiningConfig, QuotaSource
from dotbogi.training.negatives.sampling import Floats, limits, order_keys

SUSPECTS = 10  # of a question and a source that are listed, the likeliest first
_CELLS = 1 << 22  # of a block of questions × answers

Places = NDArray[np.int64]
Marks = NDArray[np.bool_]


class TextEncoder(Protocol):
    """Texts → unit rows: of an encoder, or of `KnownTexts`."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows of questions."""

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows of answers."""


class Tokenizer(Protocol):
    """Texts → tokens: an analyzer, or `KnownTexts`."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of answers."""

    def tokenize_queries(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of questions as queries."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some questions beside all candidates; the rows are questions."""

    numbers: range
    cosines: Floats
    usable: Marks  # not right for the question, and not taken yet
    positives: Floats  # cosine of each pair
    limits: Floats  # the highest cosine that passes


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates of each question of a block, best first; places that are left hold −1."""

    columns: Places
    scores: NDArray[np.floating]
    ranks: Places


@dataclass(frozen=True, slots=True)
class Picked:
    """What one source gives for a block."""

    chosen: Ranked
    suspects: Ranked  # over the bound, inside the window
    over_bound: int
    windows: Places  # that each question was looked through


class Pool:
    """The train side with its vectors, and every answer's score for a question by source.

    `candidates` are the answers with distinct texts; `by_key` finds one by its normalised text,
    and `column[id]` is the one with the text of an answer.
    """

    def __init__(
        self, side: Collection, encoder: TextEncoder, analyzer: Tokenizer, config: MiningConfig
    ) -> None:
        self.questions, self.candidates = side.questions, [*_distinct(side.answers)]
        self.by_key = {same_text_key(a.text): i for i, a in enumerate(self.candidates)}
        self.column = {a.id: self.by_key[same_text_key(a.text)] for a in side.answers}
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

    def blocks(self) -> Iterator[Block]:
        """Yield all questions, a few at a time."""
        size = min(256, max(1, _CELLS // max(len(self.candidates), 1)))
        own = [self.column[question.answer_id] for question in self.questions]
        for start in range(0, len(self.questions), size):
            numbers = range(start, min(start + size, len(self.questions)))
            rows = np.arange(len(numbers))
            cosines: Floats = self.question_vectors[numbers.start : numbers.stop] @ self._vectors.T
            usable = np.ones(cosines.shape, bool)
            for row, number in enumerate(numbers):
                usable[row, list(self.right[self.question_keys[number]])] = False
            positives = cosines[rows, own[numbers.start : numbers.stop]]
            bounds = limits(positives, self._config.bound, self._config.bound_absolute)
            yield Block(numbers, cosines, usable, positives, bounds)

    def pick(
        self, source: QuotaSource, block: Block, quotas: Places, rng: np.random.Generator
    ) -> Picked:
        """Return the negatives that a searched source gives for a block.

        A question whose window holds fewer than its quota that pass has it doubled until it
        holds enough, or everything.

        Args:
            source: bm25 or model.
            block: the questions.
            quotas: how many each question wants.
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
        """Return the source's score of every candidate; −inf for what it does not find."""
        if source == "model":
            vectors = self.question_vectors[block.numbers.start : block.numbers.stop]
            known = np.abs(vectors).sum(axis=1) > 0
            return np.where(known[:, np.newaxis], block.cosines, np.float32(-np.inf))
        scores = np.full(block.cosines.shape, -np.inf, np.float32)
        for row, number in enumerate(block.numbers):
            matched, found = self._bm25.scores(self._tokens[number])
            scores[row, matched] = found
        return scores

    def _windows(self, scores: NDArray[np.floating], best: Places, quotas: Places) -> Places:
        """Return how many of its best candidates each question is looked through."""
        total, window = scores.shape[1], self._config.window
        ranks = np.ones(len(scores), np.int64)  # of the last one wanted that passes
        for quota in np.unique(quotas[quotas > 0]):
            rows = np.flatnonzero(quotas == quota)
            if quota > best.shape[1]:
                ranks[rows] = total
                continue
            last = best[rows, quota - 1]
            found = _ranks(scores[rows], last[:, np.newaxis])[:, 0]
            ranks[rows] = np.where(last < 0, total, found)
        doublings = np.ceil(np.log2(np.maximum(ranks / window, 1))).astype(np.int64)
        widened: Places = np.minimum(window << doublings, total)
        return widened


def _distinct(answers: Sequence[Answer]) -> Iterator[Answer]:
    """Yield the first answer of each text; texts are compared normalised."""
    seen = set()
    for answer in answers:
        key = same_text_key(answer.text)
        if key not in seen:
            seen.add(key)
            yield answer


def _best(keys: NDArray[np.floating], k: int) -> Places:
    """Return the columns of the `k` highest keys of each row, highest first; −1 for −inf.

    Equal keys go by column. A pass for each place is faster than a partition: most keys are −inf.
    """
    keys = keys.copy()
    rows = np.arange(len(keys))
    columns = np.full((len(keys), min(k, keys.shape[1])), -1, np.int64)
    for place in range(columns.shape[1]):
        highest = keys.argmax(axis=1)
        columns[:, place] = np.where(keys[rows, highest] > -np.inf, highest, -1)
        keys[rows, highest] = -np.inf
    return columns


def _inside(scores: NDArray[np.floating], windows: Places) -> Marks:
    """Mark each row's `windows` highest scores; those that tie with the last are in."""
    inside = scores > -np.inf
    for row, window in enumerate(windows.tolist()):
        found = scores[row, inside[row]]
        if len(found) > window:
            last = np.partition(found, len(found) - window)[len(found) - window]
            inside[row] = scores[row] >= last
    return inside


def _ranked(scores: NDArray[np.floating], columns: Places) -> Ranked:
    found = np.take_along_axis(scores, columns, axis=1)
    return Ranked(columns, found, _ranks(scores, columns))


def _ranks(scores: NDArray[np.floating], columns: Places) -> Places:
    """Return the ranks of some columns by their row's scores; equal scores have one rank."""
    ranks = np.empty(columns.shape, np.int64)
    for place in range(columns.shape[1]):
        own = np.take_along_axis(scores, columns[:, place : place + 1], axis=1)
        ranks[:, place] = 1 + (scores > own).sum(axis=1)
    return ranks
