"""Why a wrong answer came first, in words for the owner of the table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.hits import Candidate
from dotbogi.search.searcher import Searcher
from dotbogi.training.measure.known import Known, Near

# Cosines of centred vectors. On the bundled sample, nine in ten right first answers have a known
# question above the first value; questions above the second differ in an ending or a particle.
_RESEMBLES = 0.3
_NEARLY_SAME = 0.8
_CLOSE = 0.02  # a lead in the fused score


@dataclass(frozen=True, slots=True)
class Case:
    """A question whose right answer did not come first."""

    question: str
    right_id: str
    rank: int | None  # of the right answer; None: not among those that are looked at
    first: Candidate | None  # the answer that came first; None: nothing was found
    lead: float | None  # of its score over that of the right answer, if that is ranked


def causes_of(searcher: Searcher, cases: Sequence[Case]) -> list[list[str]]:
    """Return for each case why the wrong answer came first, as sentences; the surest first."""
    known = Known(searcher)
    queries = searcher.encode([case.question for case in cases])
    rights = searcher.encode([known.answer(case.right_id) for case in cases], "answer")
    return [
        list(_causes(known, case, queries[i : i + 1], rights[i : i + 1]))
        or ["No single cause stands out."]
        for i, case in enumerate(cases)
    ]


def _causes(known: Known, case: Case, query: Vectors, right: Vectors) -> Iterator[str]:
    near = known.nearest(case.question, case.right_id, query)
    if case.first is None:
        yield "It shares no word with any answer or known question."
        yield from _missing(known, case, near)
        return
    matched = known.matched(case.first, query)
    yield from _misfiled(known, case, case.first, matched)
    if known.alike(right, case.first.answer_id) >= _NEARLY_SAME:
        yield "The two answers say nearly the same: merge them, or file the question under both."
    yield from _missing(known, case, near)
    if words := known.words_of_first_alone(case.question, case.first, case.right_id):
        yield (f"It shares “{', '.join(words)}” with the first answer, but not with the right one.")
    if near and matched and _RESEMBLES <= near.cosine < matched.cosine < _NEARLY_SAME:
        yield (
            f"It is more like “{matched.question}”, a known question of the first answer, than "
            f"like “{near.question}”, one of the right answer."
        )
    if case.lead is not None and case.lead < _CLOSE:
        yield f"It was close: the first answer leads by {case.lead:.3f}."


def _misfiled(known: Known, case: Case, first: Candidate, matched: Near | None) -> Iterator[str]:
    if twin := known.twin(case.question, first.answer_id):
        yield (
            f"The same question is known for the first answer (“{twin}”): is it filed under the "
            "wrong answer, or do both answers fit?"
        )
    elif matched and matched.cosine >= _NEARLY_SAME:
        yield (
            f"A known question of the first answer, “{matched.question}”, is nearly the same: is "
            "one of the two filed under the wrong answer?"
        )


def _missing(known: Known, case: Case, near: Near | None) -> Iterator[str]:
    is_known = known.twin(case.question, case.right_id) is not None
    other = "other " if is_known else ""
    mend = "add more phrasings like it" if is_known else "add it as a phrasing"
    if near is None:
        yield f"The right answer has no {other}known question: {mend}."
    elif near.cosine < _RESEMBLES:
        yield (
            f"No {other}known question of the right answer resembles it; the nearest is "
            f"“{near.question}”: {mend}."
        )
