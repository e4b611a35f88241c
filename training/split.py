"""Splits: which questions are held out, and which are left out of a fold's training."""

from collections.abc import Sequence
from dataclasses import replace

from dotbogi.indexes.collection import Collection, Split
from dotbogi.search.known_questions import fold_of

_ONE_IN = 10  # with a single fold, one question in ten is measured
_BUCKETS = 1_000_000


def hold_out(collection: Collection, share: float, *, seed: int) -> Collection:
    """Mark about this share of the questions as test, and all others as train.

    The split of a question depends on the hash of (seed, normalised text) alone. So all spellings
    of a question have one split, and keep it when the table grows.
    """
    limit = round(share * _BUCKETS)

    def split(text: str) -> Split:
        # Not the seed of the folds: with that, all held-out questions would be in one fold.
        return "test" if fold_of(text, _BUCKETS, seed + 1) < limit else "train"

    return replace(
        collection, questions=[replace(q, split=split(q.text)) for q in collection.questions]
    )


def division(folds: int) -> int:
    """Return the number of groups of questions: ten for a single fold, which is one of them."""
    return folds if folds > 1 else _ONE_IN


def held_back(collection: Collection, train: Collection, kept: Sequence[bool]) -> Collection:
    """Return the collection with its unmarked train questions moved to dev.

    Args:
        collection: its questions have splits.
        train: its train side.
        kept: one mark for each question of `train`.
    """
    others = [question for question in collection.questions if question.split != "train"]
    marked = [
        replace(question, split="train" if mark else "dev")
        for question, mark in zip(train.questions, kept, strict=True)
    ]
    return replace(collection, questions=[*marked, *others])


def split_of(text: str, seed: int) -> Split:
    """Return the split of a scored pair by its text: one in ten is test, one in ten is dev."""
    return {0: "test", 1: "dev"}.get(fold_of(text, 10, seed), "train")  # type: ignore[return-value]
