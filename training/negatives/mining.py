"""Mine negatives for every train pair, by quota from each source."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

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
from dotbogi.training.negatives.pools import Asked, Pool, Ranked, TextEncoder, Tokenizer

COUNTS = ("asked", "kept", "over_bound", "window", "widened")

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


@dataclass(frozen=True, slots=True)
class MinedBlock:
    """What was mined for some questions that follow each other in the pool."""

    chosen: list[list[Negative]]  # of each question
    suspects: list[list[Negative]]  # of each question
    counts: dict[Source, dict[str, int]] = field(
        default_factory=lambda: {source: dict.fromkeys(COUNTS, 0) for source in SOURCES}
    )


# Mines all blocks of a miner's questions, in their order.
MineBlocks = Callable[["Miner"], Iterable[MinedBlock]]


def mine(
    collection: Collection,
    encoder: TextEncoder,
    analyzer: Tokenizer,
    config: MiningConfig,
    *,
    rejected: Iterable[Pair] = (),
    voted: Iterable[Pair] = (),
    mine_blocks: MineBlocks | None = None,
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
        mine_blocks: mines the blocks elsewhere; None: here, one after the other.
    """
    side = train_side(collection)
    wrong: dict[Source, Iterable[Pair]] = {"feedback": voted, "review": rejected}
    miner = Miner(Pool(side, encoder, analyzer, config), config, wrong)
    mined = [*(mine_blocks or Miner.mine_all)(miner)]
    chosen = [of_question for block in mined for of_question in block.chosen]
    pairs = [(question.text, question.answer_id) for question in side.questions]
    # A fit needs the same number for every pair; it is the median. A pair with fewer (in a tiny
    # collection, or if most answers are right for it) repeats its own; one without any is left out.
    number = int(np.median([len(row) for row in chosen])) if chosen else 0
    rows = {
        pair: list(itertools.islice(itertools.cycle(row), number))
        for pair, row in zip(pairs, chosen, strict=True)
        if row or not number
    }
    if left := len(set(pairs)) - len(rows):
        logger.info("%d pairs left out: every answer is right for them", left)
    suspects = [s for block in mined for of_question in block.suspects for s in of_question]
    return Mined(rows, suspects, _total(mined))


def _total(mined: Iterable[MinedBlock]) -> dict[str, dict[str, int]]:
    """Return the counts of each source that was used."""
    total = MinedBlock([], []).counts
    for block in mined:
        for source, counted in block.counts.items():
            for name, count in counted.items():
                so_far = total[source][name]
                total[source][name] = max(so_far, count) if name == "window" else so_far + count
    return {source: counted for source, counted in total.items() if any(counted.values())}


class Miner:
    """Mines any block of questions, with the same result wherever and in whatever order."""

    def __init__(
        self,
        pool: Pool,
        config: MiningConfig,
        wrong: Mapping[Source, Iterable[Pair]],
    ) -> None:
        self.pool, self.config = pool, config
        self.wrong: dict[str, dict[int, Source]] = {}
        for source, pairs in wrong.items():
            for text, answer_id in pairs:
                if answer_id in pool.column:
                    of_question = self.wrong.setdefault(same_text_key(text), {})
                    of_question[pool.column[answer_id]] = source

    def mine_all(self) -> Iterator[MinedBlock]:
        """Yield the negatives of all questions, block by block."""
        return map(self.mine, self.pool.blocks())

    def mine(self, numbers: range) -> MinedBlock:
        """Return the negatives and suspects of a block of questions, by their numbers."""
        return _BlockMiner(self, numbers).mine()


class _BlockMiner:
    """Takes the negatives of one block, source by source."""

    def __init__(self, miner: Miner, numbers: range) -> None:
        self._pool, self._config, self._wrong = miner.pool, miner.config, miner.wrong
        self._numbers, self._asked = numbers, miner.pool.asked(numbers)
        self._mined = MinedBlock([[] for _ in numbers], [[] for _ in numbers])
        self._total = sum(self._config.quotas.values())
        self._rng = np.random.default_rng([self._config.seed, numbers.start])

    def mine(self) -> MinedBlock:
        self._take_wrong()
        for source in SEARCHED:
            if self._config.quotas.get(source):
                self._search(source)
        self._fill()
        return self._mined

    def _take_wrong(self) -> None:
        """Take the answers that people call wrong, the nearest first, without a bound."""
        for row, asked in enumerate(self._asked):
            wrong = self._wrong.get(self._pool.question_keys[asked.number], {})
            columns = sorted(
                (column for column in wrong if column not in asked.taken),
                key=lambda column: (-asked.cosines[column], column),
            )
            for column in columns:
                self._mined.counts[wrong[column]]["asked"] += 1
            for column in columns[: self._total]:
                self._keep(row, column, wrong[column])
            asked.taken.update(columns)

    def _search(self, source: QuotaSource) -> None:
        counted = self._mined.counts[source]
        for row, asked in enumerate(self._asked):
            free = self._total - len(self._mined.chosen[row])
            quota = min(free, self._config.quotas[source])
            picked = self._pool.pick(source, asked, quota, self._rng)
            for column, score, rank in _entries(picked.chosen):
                self._keep(row, column, source, rank, score)
            self._mined.suspects[row] += [
                self._negative(asked, column, source, rank, score)
                for column, score, rank in _entries(picked.suspects)
            ]
            counted["asked"] += quota
            counted["over_bound"] += picked.over_bound
            counted["window"] = max(counted["window"], picked.window)
            counted["widened"] += picked.window > self._config.window

    def _fill(self) -> None:
        """Fill up with random answers, as far as there are any.

        No bound applies: a random answer is no more likely to be right than an in-batch negative.
        """
        quota = self._config.quotas.get("random", 0)
        for row, asked in enumerate(self._asked):
            missing = self._total - len(self._mined.chosen[row])
            self._mined.counts["random"]["asked"] += min(quota, missing)
            for column in self._draw(asked.taken, missing):
                self._keep(row, column, "random")

    def _draw(self, taken: set[int], count: int) -> Iterator[int]:
        """Yield random columns that are not taken; the caller takes each before the next."""
        total = len(self._pool.candidates)
        for column in self._rng.integers(total, size=2 * count).tolist() if count else ():
            if count and column not in taken:
                count -= 1
                yield column
        if count:  # few are left
            left = np.setdiff1d(np.arange(total), [*taken])
            yield from self._rng.permutation(left)[:count].tolist()

    def _keep(
        self, row: int, column: int, source: Source, rank: int = 0,
        score: float | None = None,
    ) -> None:  # fmt: skip
        negative = self._negative(self._asked[row], column, source, rank, score)
        self._mined.chosen[row].append(negative)
        self._mined.counts[source]["kept"] += 1
        self._asked[row].taken.add(column)

    def _negative(
        self, asked: Asked, column: int, source: Source, rank: int, score: float | None
    ) -> Negative:
        answer, question = self._pool.candidates[column], self._pool.questions[asked.number]
        cosine = float(asked.cosines[column])
        return Negative(
            question=question.text,
            positive_id=question.answer_id,
            answer_id=answer.id,
            text=answer.text,
            source=source,
            rank=rank,
            score=cosine if score is None else score,
            cosine=cosine,
            positive_cosine=asked.positive,
            bound=asked.limit if source in SEARCHED and np.isfinite(asked.limit) else None,
        )


def _entries(ranked: Ranked) -> Iterator[tuple[int, float, int]]:
    """Return (column, score, rank) of the candidates."""
    parts = (ranked.columns, ranked.scores, ranked.ranks)
    return zip(*(part.tolist() for part in parts), strict=True)


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
