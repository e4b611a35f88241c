"""What a search gives back: candidates of one signal, and hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Candidate(NamedTuple):
    """One answer as one signal sees it; `question` is the known question that matched."""

    answer_id: str
    score: float
    question: str | None = None


Ranking = list[Candidate]  # best first; equal scores by the smaller answer id


class Evidence(NamedTuple):
    """Where a signal placed an answer (rank from 1), and with what score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One ranked answer."""

    answer_id: str
    text: str
    score: float
    signals: Mapping[str, Evidence] = field(default_factory=dict)
    question: str | None = None  # the known question that matched best, if one did
    confidence: float | None = None  # P(this is the right answer), of the first hit
    metadata: Mapping[str, str] = field(default_factory=dict)


Run = Mapping[str, Sequence[Candidate]]  # query id → its ranking
Qrels = Mapping[str, Mapping[str, int]]  # query id → {answer id: grade}
