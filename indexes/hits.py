"""Results of a search: the candidates of one signal, and the final hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Candidate(NamedTuple):
    """One answer found by one signal; `question` is the known question that matched."""

    answer_id: str
    score: float
    question: str | None = None


Ranking = list[Candidate]  # best first; ties in order of answer id


class Evidence(NamedTuple):
    """An answer's rank (from 1) and score in one signal."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One ranked answer."""

    answer_id: str
    text: str
    score: float
    signals: Mapping[str, Evidence] = field(default_factory=dict)
    question: str | None = None  # the known question that matched best, if any
    confidence: float | None = None  # P(this answer is right); first hit only
    corrected: str | None = None  # what was searched for, if not for the query as typed
    metadata: Mapping[str, str] = field(default_factory=dict)


Run = Mapping[str, Sequence[Candidate]]  # query id → its ranking
Qrels = Mapping[str, Mapping[str, int]]  # query id → {answer id: grade}
