"""Hard negatives: the settings of mining, the usable answers, and one mined negative."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.text import same_text_key
from dotbogi.training.negatives.sampling import Sampling

QuotaSource = Literal["bm25", "model", "random"]
# review: suspects that a person rejected; feedback: answers that users call wrong.
Source = Literal["review", "feedback", QuotaSource]
QUOTA_SOURCES: tuple[QuotaSource, ...] = get_args(QuotaSource)
SOURCES: tuple[Source, ...] = ("review", "feedback", *QUOTA_SOURCES)
SEARCHED: tuple[QuotaSource, ...] = ("bm25", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningConfig:
    """The settings of mining. Saved in the ledger."""

    quotas: Mapping[QuotaSource, int] = field(
        default_factory=lambda: {"bm25": 1, "model": 1}  # the best of docs/negatives_table.md
    )
    window: int = 50  # best answers of bm25 and of the model that are considered at first
    bound: float | None = 0.95  # a mined negative has at most this share of the positive's cosine
    bound_absolute: float | None = None  # and is at least this far below the positive's cosine
    sampling: Sampling = "top"  # how to choose among answers within the bounds
    seed: int = 42


def parse_quotas(text: str) -> dict[QuotaSource, int]:
    """Parse quotas as typed on the command line.

    >>> parse_quotas("bm25:2,model:4")
    {'bm25': 2, 'model': 4}

    Raises:
        UsageError: a source is unknown or named twice, or its quota is not a number.
    """
    quotas: dict[QuotaSource, int] = {}
    for part in text.split(","):
        source, _, count = part.strip().partition(":")
        if source not in QUOTA_SOURCES or not (count.isascii() and count.isdigit()):
            raise UsageError(
                f"--negatives: {part.strip()!r} is not SOURCE:COUNT (sources: "
                f"{', '.join(QUOTA_SOURCES)}). Example: bm25:1,model:1,random:1"
            )
        if source in quotas:
            raise UsageError(f"--negatives: {source} is named twice in {text!r}; name it once.")
        quotas[source] = int(count)
    return quotas


@dataclass(frozen=True, slots=True)
class Negative:
    """One wrong answer to a train-side question. Cosines are those of the mining model."""

    question: str
    positive_id: str
    answer_id: str
    text: str
    source: Source
    rank: int  # in its source, from 1; 0 without a ranking
    score: float  # BM25 score for bm25, cosine for the others
    cosine: float  # of question and negative
    positive_cosine: float
    bound: float | None  # the highest allowed cosine; None if no bound applies


def train_side(collection: Collection) -> Collection:
    """Return the train questions with the answers that may be negatives.

    These are the answers of train questions, and answers without known questions. An answer known
    from dev or test questions only, or one with the same text, never appears in training, not even
    as a negative.
    """
    train = [question for question in collection.questions if question.split == "train"]
    keys = {answer.id: same_text_key(answer.text) for answer in collection.answers}
    in_train = {question.answer_id for question in train}
    known = {question.answer_id for question in collection.questions}
    held_out = {keys[answer_id] for answer_id in known} - {keys[a] for a in in_train}
    usable = [
        answer
        for answer in collection.answers
        if answer.id in in_train or (answer.id not in known and keys[answer.id] not in held_out)
    ]
    return Collection(usable, train)
