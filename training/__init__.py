"""Training: fine-tune the encoder on the collection's own questions and answers."""

from dotbogi.search.known_questions import Query, queries_of
from dotbogi.training.config import LoopConfig
from dotbogi.training.loop import check_run, resume_loop, run_loop, run_similarity
from dotbogi.training.measure.evaluation import Evaluation, evaluate
from dotbogi.training.negatives import MiningConfig, mine
from dotbogi.training.rounds import RunResult

__all__ = [
    "Evaluation",
    "LoopConfig",
    "MiningConfig",
    "Query",
    "RunResult",
    "check_run",
    "evaluate",
    "mine",
    "queries_of",
    "resume_loop",
    "run_loop",
    "run_similarity",
]
