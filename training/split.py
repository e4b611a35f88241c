"""Known questions → train, dev and test, the same way every time."""

import hashlib
from dataclasses import replace

from indexes.collection import Collection, Split
from indexes.text import same_text_key

DEV_SHARE = 0.1
TEST_SHARE = 0.1


def split_collection(collection: Collection, *, seed: int) -> Collection:
    """Give every known question its split: about 80% train, 10% dev, 10% test.

    A question goes where the hash of (seed, its normalised text) sends it. So all typings of one
    question share a split, and a question keeps its split when the table grows: what a model has
    trained on never becomes a test question later.
    """
    return replace(
        collection,
        questions=[replace(q, split=split_of(q.text, seed)) for q in collection.questions],
    )


def split_of(question: str, seed: int) -> Split:
    """Return the split of a text: where the hash of (seed, its normalised form) sends it."""
    digest = hashlib.sha256(f"{seed}\n{same_text_key(question)}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < TEST_SHARE:
        return "test"
    return "dev" if place < TEST_SHARE + DEV_SHARE else "train"
