"""The settings and the rows of one fit; no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

ModelKind = Literal["scratch", "static", "transformer"]
Objective = Literal["mnr", "cached-mnr", "gist", "cached-gist", "cosine"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
Reporter = Literal["tensorboard", "trackio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One fit. Saved in the ledger."""

    epochs: int
    batch_size: int  # pairs a step; in-batch negatives = batch_size - 1
    learning_rate: float  # peak of AdamW, after linear warm-up
    temperature: float  # logits = cosine / temperature
    warmup_share: float = 0.1  # of all steps
    weight_decay: float = 0.0
    symmetric: bool = False  # positives also have to find their questions
    token_dropout: float = 0.0  # share of a text's tokens left out in a step; static models only
    objective: Objective = "mnr"
    mini_batch_size: int = 32  # texts in memory at a time; cached objectives only
    guide: str | None = None  # the model that guides; None: the one that the fit starts from
    guide_margin: float = 0.0  # left out: candidates above the positive's guide cosine less this
    report_to: Reporter | None = None
    seed: int = 42


# A table of token vectors moves only where a batch has its tokens: it wants steps four orders of
# magnitude longer than a transformer, and one that knows something already shorter steps than one
# from nothing (benchmarks/LOG.md).
DEFAULTS: Mapping[ModelKind, TrainConfig] = {
    "scratch": TrainConfig(epochs=10, batch_size=256, learning_rate=0.2, temperature=0.1),
    "static": TrainConfig(epochs=10, batch_size=256, learning_rate=0.002, temperature=0.1),
    "transformer": TrainConfig(
        epochs=3, batch_size=64, learning_rate=2e-5, temperature=0.05, weight_decay=0.01
    ),
}

# Scored pairs: steps halfway, because every pair says how much, and softer than a ranking's.
_COSINE: Mapping[ModelKind, Mapping[str, Any]] = {
    "scratch": {"epochs": 10, "batch_size": 64, "learning_rate": 0.02, "temperature": 0.2},
    "static": {"epochs": 6, "batch_size": 64, "learning_rate": 0.001, "temperature": 0.2},
    "transformer": {"epochs": 4, "batch_size": 32},
}


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One n-tuple; every row of a fit has the same number of negatives.

    With the objective `cosine` it is two texts and a score from 0 to 1.
    """

    question: str
    positive: str
    negatives: tuple[str, ...] = ()
    score: float | None = None


def fit_config(kind: ModelKind, changes: Mapping[str, Any]) -> TrainConfig:
    """Return the defaults for the kind of model and the objective, with what the user changed."""
    own = _COSINE[kind] if changes.get("objective") == "cosine" else {}
    return replace(DEFAULTS[kind], **{**own, **changes})
