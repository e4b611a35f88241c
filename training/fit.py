"""The settings and the rows of one fit; no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One fit. Saved in the ledger."""

    epochs: int
    batch_size: int  # pairs a step; in-batch negatives = batch_size - 1
    learning_rate: float  # peak of AdamW, after linear warm-up
    temperature: float  # logits = cosine / temperature
    warmup_share: float = 0.1  # of all steps
    weight_decay: float = 0.0
    seed: int = 42


# A table of token vectors moves only where a batch has its tokens: it wants steps four orders of
# magnitude longer than a transformer (benchmarks/LOG.md).
STATIC_DEFAULTS = TrainConfig(epochs=10, batch_size=256, learning_rate=0.2, temperature=0.1)
TRANSFORMER_DEFAULTS = TrainConfig(
    epochs=3, batch_size=64, learning_rate=2e-5, temperature=0.05, weight_decay=0.01
)


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One n-tuple; every row of a fit has the same number of negatives."""

    question: str
    positive: str
    negatives: tuple[str, ...] = ()


def fit_config(*, static: bool, changes: Mapping[str, Any]) -> TrainConfig:
    """Return the defaults for the kind of model, with what the user changed."""
    return replace(STATIC_DEFAULTS if static else TRANSFORMER_DEFAULTS, **changes)
