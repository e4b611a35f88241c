"""The settings of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dotbogi.search.encoded import IndexConfig
from dotbogi.search.models import ModelConfig
from dotbogi.training.fit.config import FitKind
from dotbogi.training.negatives import MiningConfig

FULL_FIT_FOLDS = 1  # a full fit is expensive, so a tenth of the questions is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """The settings of one run. Saved in the ledger."""

    rounds: int = 2
    patience: int = 1  # dropped rounds in a row that end the run
    start_from: Literal["base", "last"] = "base"  # where a full fit starts; last: the kept round
    folds: int = 5  # groups of questions, each measured with a model trained on the others
    holdout: float = 0.0  # share of the questions that are kept for the final test
    hard_from: int = 2  # first round that also learns from mined negatives
    seed: int = 42  # of the folds, the mining and the fits
    mining: MiningConfig = field(default_factory=MiningConfig)
    kind: FitKind = "adapter"  # what a round trains
    fit: Mapping[str, Any] = field(default_factory=dict)  # settings that differ from the defaults
    model: ModelConfig = field(default_factory=ModelConfig)  # the model that `base` is made from
    source: Mapping[str, Any] = field(default_factory=dict)  # where the table came from
    index: IndexConfig = field(default_factory=IndexConfig)
    started_from: str | None = None  # the generation that was published when the run began
    votes_per_client: int | None = None  # votes of a client that count; None: no feedback is used
