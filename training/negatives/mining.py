"""Mining: negatives for every train pair, by quota from each source."""

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
from dotbogi.training.negatives.pools import Block, Places, Pool, Ranked, TextEncoder, Tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mined:
    """What one mining gave.

    `rows` holds the negatives of each pair, as many for each; `suspects` were over the bound and
    may be right answers that nobody has paired with the question yet, at most ten of a question
    and a source. `counts` has, for each source, {asked, kept, over_bound, window, widened}: the
    widest window, and how many questions had theirs widened.
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

    Left out are: every answer of the same normalised question, every text equal to one of these
    after normalisation, answers known only from dev or test, and, from bm25 and model, what
    scores above the bound. Where a source starves although its window has been widened to the
    whole collection, random answers take its places, so that every pair has the same number.

    Args:
        collection: split; only its train side is used.
        encoder: the model whose mistakes are looked for.
        analyzer: for BM25.
        config: quotas, window, bound, sampling and seed.
        rejected: answers that a person has called wrong for a question: taken first.
        voted: answers that users have called wrong for a question: taken first as well.
    """
    side = train_side(collection)
    pool = Pool(side, encoder, analyzer, config)
    wrong: dict[Source, Iterable[Pair]] = {"feedback": voted, "review": rejected}
    miner = _Miner(pool, config, wrong)
    for block in pool.blocks():
        miner.take(block)
    pairs = [(question.text, question.answer_id) for question in side.questions]
    # Of a fit every row has as many. A tiny collection has not enough for most, and a question that
    # nearly every answer is right for has not either: its few are repeated, or it is left out.
    fewest = int(np.median([len(row) for row in miner.chosen])) if miner.chosen else 0
    rows = {
        pair: list(itertools.islice(itertools.cycle(row), fewest))
        for pair, row in zip(pairs, miner.chosen, strict=True)
        if row or not fewest
    }
    if left := len(set(pairs)) - len(rows):
        logger.info("%d pairs have no wrong answer to learn from and are left out", left)
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
        """Take the negatives of a block's questions, and note its suspects."""
        self._take_wrong(block)
        for source in SEARCHED:
            if self._config.quotas.get(source):
                self._search(source, block)
        self._fill(block)

    def _take_wrong(self, block: Block) -> None:
        """Take what people have called wrong, the nearest first; no bound applies."""
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
        quotas: Places = np.minimum(np.asarray(free, np.int64), quota)
        picked = self._pool.pick(source, block, quotas, self._rng)
        for row, column, rank, score in _entries(picked.chosen):
            self._keep(block, row, column, source, rank, score)
        for row, column, rank, score in _entries(picked.suspects):
            self.suspects.append(self._of(block, row, column, source, rank, score))
        counted = self.counts[source]
        counted["asked"] += int(quotas.sum())
        counted["over_bound"] += picked.over_bound
        counted["window"] = max(counted["window"], int(picked.windows.max()))
        counted["widened"] += int((picked.windows > self._config.window).sum())

    def _fill(self, block: Block) -> None:
        """Let random answers take the places that are left; fewer where there are no more.

        No bound here: a random answer is as likely to be right as any in-batch negative.
        """
        quota = self._config.quotas.get("random", 0)
        for row, number in enumerate(block.numbers):
            missing = self._total - len(self.chosen[number])
            self.counts["random"]["asked"] += min(quota, missing)
            for column in self._draw(block, row, missing):
                self._keep(block, row, column, "random")

    def _draw(self, block: Block, row: int, count: int) -> Iterator[int]:
        """Yield usable columns; each is no longer usable when the next is asked for."""
        tried = self._rng.integers(block.usable.shape[1], size=2 * count).tolist() if count else []
        for column in tried:
            if count and block.usable[row, column]:
                count -= 1
                yield column
        if count:  # a tiny collection, or bad luck
            left = np.flatnonzero(block.usable[row])
            yield from self._rng.permutation(left)[:count].tolist()

    def _keep(
        self, block: Block, row: int, column: int, source: Source, rank: int = 0,
        score: float | None = None,
    ) -> None:  # fmt: skip
        found = self._of(block, row, column, source, rank, score)
        self.chosen[block.numbers[row]].append(found)
        self.counts[source]["kept"] += 1
        block.usable[row, column] = False

    def _of(
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
    """Yield (row, column, rank, score) of what is there, row by row."""
    rows, places = np.nonzero(ranked.columns >= 0)
    columns = ranked.columns[rows, places]
    ranks, scores = ranked.ranks[rows, places], ranked.scores[rows, places]
    yield from zip(rows.tolist(), columns.tolist(), ranks.tolist(), scores.tolist(), strict=True)


def describe_yields(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return what each source gave, in one line."""
    parts = []
    for source, count in counts.items():
        notes = []
        if count["over_bound"]:
            notes.append(f"{count['over_bound']} over the bound")
        if count["widened"]:
            notes.append(f"window widened for {count['widened']}, up to {count['window']}")
        more = f" ({', '.join(notes)})" if notes else ""
        parts.append(f"{source} {count['kept']} of {count['asked']} asked{more}")
    return "negatives mined: " + "; ".join(parts)
