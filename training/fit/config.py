"""Settings and rows of a full fit; does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

FitKind = Literal["adapter", "full"]
Objective = Literal["mnr", "cached-mnr", "gist", "cached-gist", "cosine"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
Reporter = Literal["tensorboard", "trackio"]
NOT_A_NUMBER = (
    "the fit has failed: its weights are no numbers any more (NaN or infinite). No model was "
    "published. Lower --learning-rate, and check the model."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one full fit. Saved in the ledger."""

    epochs: int = 3
    batch_size: int = 64  # pairs per step; in-batch negatives = batch_size - 1
    learning_rate: float = 2e-5  # peak of AdamW, after linear warm-up
    temperature: float = 0.05  # logits = cosine / temperature
    warmup_share: float = 0.1  # of all steps
    weight_decay: float = 0.01
    symmetric: bool = False  # an answer also has to find its question
    objective: Objective = "mnr"
    mini_batch_size: int = 32  # texts in memory at a time, for the cached objectives
    guide: str | None = None  # the guide model; None: the model that the fit starts from
    guide_margin: float = 0.0  # leaves out candidates above the positive's guide cosine − margin
    report_to: Reporter | None = None
    seed: int = 42


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One n-tuple; all rows of a fit have the same number of negatives.

    For the objective `cosine` it is two texts and a score from 0 to 1.
    """

    question: str
    positive: str
    negatives: tuple[str, ...] = ()
    score: float | None = None


def fit_config(changes: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of a full fit: the defaults of its objective with the changes."""
    defaults = {"epochs": 4, "batch_size": 32} if changes.get("objective") == "cosine" else {}
    return TrainConfig(**{**defaults, **changes})
