"""The settings of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dotbogi.search.encoded import IndexConfig
from dotbogi.search.models import ModelConfig
from dotbogi.training.fit.config import FitKind
from dotbogi.training.negatives import MiningConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """One run of the loop. Saved in the ledger."""

    rounds: int = 2
    patience: int = 1  # rounds dropped in a row before the loop ends
    start_from: Literal["base", "last"] = "base"  # of each fit: the base, or the last kept model
    folds: int = 5  # groups of questions, each measured by what the others taught
    holdout: float = 0.0  # share of the questions that are kept away from all of that
    hard_from: int = 2  # the first round that learns from mined negatives beside those of a batch
    seed: int = 42  # of the folds, the mining and the fits
    mining: MiningConfig = field(default_factory=MiningConfig)
    kind: FitKind = "adapter"  # what a round learns
    fit: Mapping[str, Any] = field(default_factory=dict)  # what differs from the fit's defaults
    model: ModelConfig = field(default_factory=ModelConfig)  # what `base` was made from
    source: Mapping[str, Any] = field(default_factory=dict)  # where the table came from
    index: IndexConfig = field(default_factory=IndexConfig)
    started_from: str | None = None  # the generation that was published when the run began
    votes_per_client: int | None = None  # that count, of its feedback; None: it is not used
