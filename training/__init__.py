"""How the encoder gets better from the collection's own questions and answers."""

from search.known_questions import Query, queries_of
from training.config import LoopConfig
from training.loop import resume_loop, run_loop, run_similarity
from training.measure.evaluation import Evaluation, evaluate
from training.negatives import MiningConfig, mine
from training.rounds import RunResult

__all__ = [
    "Evaluation",
    "LoopConfig",
    "MiningConfig",
    "Query",
    "RunResult",
    "evaluate",
    "mine",
    "queries_of",
    "resume_loop",
    "run_loop",
    "run_similarity",
]
