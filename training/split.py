"""Which questions are held out, and which fold each of the others is in."""

from collections.abc import Sequence
from dataclasses import replace

from dotbogi.indexes.collection import Collection, Split
from dotbogi.search.known_questions import fold_of

_ONE_IN = 10  # questions that are measured where there is a single fold
_PLACES = 1_000_000


def hold_out(collection: Collection, share: float, *, seed: int) -> Collection:
    """Mark about this share of the questions as test, and all others as train.

    A question goes where the hash of (seed, its normalised text) sends it: all typings of one
    question go together, and stay where they are when the table grows.
    """
    held = round(share * _PLACES)

    def split(text: str) -> Split:
        # Another seed than that of the folds, or those held out would all be of one fold.
        return "test" if fold_of(text, _PLACES, seed + 1) < held else "train"

    return replace(
        collection, questions=[replace(q, split=split(q.text)) for q in collection.questions]
    )


def division(folds: int) -> int:
    """Return into how many groups questions are divided; of a single fold, one in ten is asked."""
    return folds if folds > 1 else _ONE_IN


def held_back(collection: Collection, train: Collection, kept: Sequence[bool]) -> Collection:
    """Return a collection in which only the marked train questions are on the train side.

    Args:
        collection: split.
        train: its train side.
        kept: a mark for each question of `train`.
    """
    others = [question for question in collection.questions if question.split != "train"]
    marked = [
        replace(question, split="train" if mark else "dev")
        for question, mark in zip(train.questions, kept, strict=True)
    ]
    return replace(collection, questions=[*marked, *others])


def split_of(text: str, seed: int) -> Split:
    """Return the split of a scored pair by its text: of ten, one is test and one development."""
    return {0: "test", 1: "dev"}.get(fold_of(text, 10, seed), "train")  # type: ignore[return-value]
