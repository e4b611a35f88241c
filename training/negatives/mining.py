"""Mine negatives for every train pair, by quota from each source."""

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.text import same_text_key
from dotbogi.training.judgements.decisions import Pair
from dotbogi.training.negatives.negative import (
    SEARCHED,
    SOURCES,
    MiningConfig,
    Negative,
    QuotaSource,
    Source,
    train_side,
)
from dotbogi.training.negatives.pools import Block, Integers, Pool, Ranked, TextEncoder, Tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mined:
    """The result of one mining.

    `rows` has the negatives of each pair, the same number for each. `suspects` are answers over
    the bound, which may be right although no table has the pair; at most ten per question and
    source. `counts` has, for each source, {asked, kept, over_bound, window, widened}, where window
    is the widest window, and widened is the number of questions with a widened window.
    """

    rows: dict[Pair, list[Negative]]
    suspects: list[Negative]
    counts: dict[str, dict[str, int]]

    def all(self) -> Iterator[Negative]:
        """Yield every mined negative."""
        for negatives in self.rows.values():
            yield from negatives


def mine(
    collection: Collection,
    encoder: TextEncoder,
    analyzer: Tokenizer,
    config: MiningConfig,
    *,
    rejected: Iterable[Pair] = (),
    voted: Iterable[Pair] = (),
) -> Mined:
    """Mine negatives for every train pair.

    Some answers are never taken: those of the same normalised question, those with the same
    normalised text as one of these, those known only from dev or test, and, for bm25 and model,
    those above the bound. If a source gives too few even from the whole collection, random answers
    fill the gap, so every pair has the same number.

    Args:
        collection: its questions have splits; only its train side is used.
        encoder: the model whose mistakes are mined.
        analyzer: the tokenizer for BM25.
        config: quotas, window, bound, sampling and seed.
        rejected: (question, answer id) pairs that a person rejected; taken first.
        voted: (question, answer id) pairs that users call wrong; taken first as well.
    """
    side = train_side(collection)
    pool = Pool(side, encoder, analyzer, config)
    wrong: dict[Source, Iterable[Pair]] = {"feedback": voted, "review": rejected}
    miner = _Miner(pool, config, wrong)
    for block in pool.blocks():
        miner.take(block)
    pairs = [(question.text, question.answer_id) for question in side.questions]
    # A fit needs the same number for every pair; it is the median. A pair with fewer (in a tiny
    # collection, or if most answers are right for it) repeats its own; one without any is left out.
    number = int(np.median([len(row) for row in miner.chosen])) if miner.chosen else 0
    rows = {
        pair: list(itertools.islice(itertools.cycle(row), number))
        for pair, row in zip(pairs, miner.chosen, strict=True)
        if row or not number
    }
    if left := len(set(pairs)) - len(rows):
        logger.info("%d pairs left out: every answer is right for them", left)
    return Mined(
        rows,
        miner.suspects,
        {source: counted for source, counted in miner.counts.items() if any(counted.values())},
    )


class _Miner:
    """Takes negatives block by block, source by source."""

    def __init__(
        self,
        pool: Pool,
        config: MiningConfig,
        wrong: Mapping[Source, Iterable[Pair]],
    ) -> None:
        self._pool, self._config = pool, config
        self.chosen: list[list[Negative]] = [[] for _ in pool.questions]
        self.suspects: list[Negative] = []
        names = ("asked", "kept", "over_bound", "window", "widened")
        self.counts: dict[Source, dict[str, int]] = {
            source: dict.fromkeys(names, 0) for source in SOURCES
        }
        self._total = sum(config.quotas.values())
        self._rng = np.random.default_rng(config.seed)
        self._wrong: dict[str, dict[int, Source]] = defaultdict(dict)
        for source, pairs in wrong.items():
            for text, answer_id in pairs:
                if answer_id in pool.column:
                    self._wrong[same_text_key(text)][pool.column[answer_id]] = source

    def take(self, block: Block) -> None:
        """Collect the negatives and suspects of a block of questions."""
        self._take_wrong(block)
        for source in SEARCHED:
            if self._config.quotas.get(source):
                self._search(source, block)
        self._fill(block)

    def _take_wrong(self, block: Block) -> None:
        """Take the answers that people call wrong, the nearest first, without a bound."""
        for row, number in enumerate(block.numbers):
            wrong = self._wrong[self._pool.question_keys[number]]
            columns = sorted(
                (column for column in wrong if block.usable[row, column]),
                key=lambda column: (-block.cosines[row, column], column),
            )
            for column in columns:
                self.counts[wrong[column]]["asked"] += 1
            for column in columns[: self._total]:
                self._keep(block, row, column, wrong[column])
            block.usable[row, columns] = False

    def _search(self, source: QuotaSource, block: Block) -> None:
        quota = self._config.quotas[source]
        free = [self._total - len(self.chosen[number]) for number in block.numbers]
        quotas: Integers = np.minimum(np.asarray(free, np.int64), quota)
        picked = self._pool.pick(source, block, quotas, self._rng)
        for row, column, rank, score in _entries(picked.chosen):
            self._keep(block, row, column, source, rank, score)
        for row, column, rank, score in _entries(picked.suspects):
            self.suspects.append(self._negative(block, row, column, source, rank, score))
        counted = self.counts[source]
        counted["asked"] += int(quotas.sum())
        counted["over_bound"] += picked.over_bound
        counted["window"] = max(counted["window"], int(picked.windows.max()))
        counted["widened"] += int((picked.windows > self._config.window).sum())

    def _fill(self, block: Block) -> None:
        """Fill up with random answers, as far as there are any.

        No bound applies: a random answer is no more likely to be right than an in-batch negative.
        """
        quota = self._config.quotas.get("random", 0)
        for row, number in enumerate(block.numbers):
            missing = self._total - len(self.chosen[number])
            self.counts["random"]["asked"] += min(quota, missing)
            for column in self._draw(block, row, missing):
                self._keep(block, row, column, "random")

    def _draw(self, block: Block, row: int, count: int) -> Iterator[int]:
        """Yield random usable columns; the caller takes each before it asks for the next."""
        drawn = self._rng.integers(block.usable.shape[1], size=2 * count).tolist() if count else []
        for column in drawn:
            if count and block.usable[row, column]:
                count -= 1
                yield column
        if count:  # few usable columns
            left = np.flatnonzero(block.usable[row])
            yield from self._rng.permutation(left)[:count].tolist()

    def _keep(
        self, block: Block, row: int, column: int, source: Source, rank: int = 0,
        score: float | None = None,
    ) -> None:  # fmt: skip
        negative = self._negative(block, row, column, source, rank, score)
        self.chosen[block.numbers[row]].append(negative)
        self.counts[source]["kept"] += 1
        block.usable[row, column] = False

    def _negative(
        self, block: Block, row: int, column: int, source: Source, rank: int, score: float | None
    ) -> Negative:
        answer, cosine = self._pool.candidates[column], float(block.cosines[row, column])
        question, limit = self._pool.questions[block.numbers[row]], float(block.limits[row])
        return Negative(
            question=question.text,
            positive_id=question.answer_id,
            answer_id=answer.id,
            text=answer.text,
            source=source,
            rank=rank,
            score=cosine if score is None else score,
            cosine=cosine,
            positive_cosine=float(block.positives[row]),
            bound=limit if source in SEARCHED and np.isfinite(limit) else None,
        )


def _entries(ranked: Ranked) -> Iterator[tuple[int, int, int, float]]:
    """Yield (row, column, rank, score) of the candidates, row by row."""
    rows, positions = np.nonzero(ranked.columns >= 0)
    columns = ranked.columns[rows, positions]
    ranks, scores = ranked.ranks[rows, positions], ranked.scores[rows, positions]
    yield from zip(rows.tolist(), columns.tolist(), ranks.tolist(), scores.tolist(), strict=True)


def describe_yields(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the yield of each source, in one line."""
    parts = []
    for source, count in counts.items():
        notes = []
        if count["over_bound"]:
            notes.append(f"{count['over_bound']} over the bound")
        if count["widened"]:
            notes.append(f"window widened for {count['widened']} questions, to {count['window']}")
        more = f" ({', '.join(notes)})" if notes else ""
        parts.append(f"{source} {count['kept']} of {count['asked']} asked for{more}")
    return "negatives mined: " + "; ".join(parts)
