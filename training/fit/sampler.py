"""Batches in which no row holds another row's right answer."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.text import same_text_key

LABEL = "label"  # the column that the loss gets in addition to the texts


class NoSharedAnswerSampler(DefaultBatchSampler):
    """Batches of rows (anchor, positive, negatives…) safe for in-batch negatives.

    MNR takes every other row's positive and negatives as wrong for an anchor. So no two rows of a
    batch share a text in any column, and no row's positive or negative is, anywhere in the data, a
    positive of another row's anchor. Texts are compared normalised (`same_text_key`). Rows that fit
    into no full batch form smaller ones. Batches below an eighth of the largest are left out of
    that epoch: with few negatives, a few rows would move the weights as far as a full batch does.
    """

    def __init__(self, dataset: Any, batch_size: int, drop_last: bool, **kwargs: Any) -> None:
        super().__init__(dataset, batch_size, drop_last, **kwargs)
        columns = [
            [same_text_key(text) for text in dataset[name]]
            for name in dataset.column_names
            if name != LABEL
        ]
        positives: dict[str, set[str]] = defaultdict(set)
        for anchor, positive in zip(columns[0], columns[1], strict=True):
            positives[anchor].add(positive)
        # The texts of each row, and the texts that no other row of its batch may have.
        self._texts = [frozenset(row) for row in zip(*columns, strict=True)]
        self._refuses = [
            texts | positives[anchor] for texts, anchor in zip(self._texts, columns[0], strict=True)
        ]
        self._length = len(self._pack(np.random.default_rng([self.seed, 0])))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        # Every epoch has as many batches as the first: the schedule counts on it, and a resumed
        # trainer finds its position in the data by dividing by this number.
        rng = np.random.default_rng([self.seed, self.epoch])
        batches = self._pack(rng)
        while len(batches) < self._length:
            batches += self._pack(rng)
        return iter(batches[: self._length])

    def _pack(self, rng: np.random.Generator) -> list[list[int]]:
        """Fill batches first-fit, each with rows that the earlier ones could not take."""
        waiting: Sequence[int] = rng.permutation(len(self._texts)).tolist()
        batches = []
        while waiting:
            batch: list[int] = []
            texts: set[str] = set()
            refused: set[str] = set()
            skipped: list[int] = []
            rest = iter(waiting)
            for row in rest:
                if refused.isdisjoint(self._texts[row]) and texts.isdisjoint(self._refuses[row]):
                    batch.append(row)
                    texts |= self._texts[row]
                    refused |= self._refuses[row]
                    if len(batch) == self.batch_size:
                        break
                else:
                    skipped.append(row)
            waiting = skipped + list(rest)
            batches.append(batch)
        least = max(2, max(map(len, batches)) / 8)  # a single row has no in-batch negatives
        whole = [batch for batch in batches if len(batch) >= least]
        order = rng.permutation(len(whole))
        return [whole[i] for i in order] or batches


class Shares:
    """One process's share of each batch of a sampler; all processes draw the same batches."""

    def __init__(self, batches: Any, rank: int, count: int) -> None:
        self._rank, self._count = rank, count
        # Accelerate knows both by these names: it seeds the sampler of rows anew in each epoch.
        self.batch_sampler, self.sampler = batches, batches.sampler

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batch_sampler:
            if len(batch) < self._count:
                raise UsageError(
                    f"a batch of {len(batch)} rows, the most that differ in their answers, is too "
                    f"small for {self._count} processes. Start fewer."
                )
            bounds = [place * len(batch) // self._count for place in range(self._count + 1)]
            yield batch[bounds[self._rank] : bounds[self._rank + 1]]

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of an epoch."""
        self.batch_sampler.set_epoch(epoch)
