"""Hard negatives: mined by quota from several sources, and stored with their provenance."""

from dotbogi.training.negatives.mining import Mined, describe_yields, mine
from dotbogi.training.negatives.negative import MiningConfig, Negative, parse_quotas, train_side

__all__ = [
    "Mined",
    "MiningConfig",
    "Negative",
    "describe_yields",
    "mine",
    "parse_quotas",
    "train_side",
]
