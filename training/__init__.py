"""How the encoder gets better from the collection's own questions and answers."""

from training.evaluation import Evaluation, Query, evaluate, queries_of
from training.loop import resume_loop, run_loop
from training.mining import mine
from training.negatives import MiningConfig
from training.rounds import LoopConfig, LoopResult

__all__ = [
    "Evaluation",
    "LoopConfig",
    "LoopResult",
    "MiningConfig",
    "Query",
    "evaluate",
    "mine",
    "queries_of",
    "resume_loop",
    "run_loop",
]
