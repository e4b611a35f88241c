"""A run's folder → what its report tells. No HTML here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dotbogi.indexes.collection import open_collection
from dotbogi.indexes.errors import UsageError
from dotbogi.search.fusion import METHODS
from dotbogi.training.ledger import (
    Ended,
    Event,
    Measured,
    Mined,
    Published,
    Started,
    Tested,
    Trained,
    read_events,
)
from dotbogi.training.measure.bootstrap import Interval, mean_intervals
from dotbogi.training.measure.evaluation import METRICS
from dotbogi.training.measure.outcomes import Outcomes, open_outcomes
from dotbogi.training.report.comparison import Comparison, compare
from dotbogi.training.report.feedback import FeedbackReport, read_feedback_report
from dotbogi.training.report.mined import Mining, read_mining

Figures = Mapping[str, Mapping[str, Interval]]  # method → metric → mean with its interval
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Round:
    """One round: each question measured by what was learned without it."""

    measured: Measured
    figures: Figures
    first: int  # questions whose first answer is right

    @property
    def number(self) -> int:
        """Return 0 for what was there before training."""
        return self.measured.round


@dataclass(frozen=True, slots=True)
class FinalTest:
    """The look at the questions that were held out."""

    tested: Tested
    before: Figures
    after: Figures  # round 0's again if no round was kept
    first_before: int  # questions whose first answer was right before training
    first_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """All that the report of one run tells."""

    run: str
    started: Started
    answers: int
    rounds: list[Round]  # round 0 first
    fits: list[Trained]  # one of each round
    minings: list[Mining]  # for all questions
    test: FinalTest | None  # None where nothing was held out, or while the run goes on
    comparison: Comparison | None  # None before the first round of training has been measured
    feedback: FeedbackReport | None  # None for a run without
    published: str | None  # the generation
    ended: bool
    events: Sequence[Event]  # the ledger's, in their order

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of the run."""
        return self.started.config

    @property
    def tried(self) -> list[Round]:
        """The rounds of training that have been measured."""
        return self.rounds[1:]

    @property
    def best(self) -> Round:
        """The round that was kept last; round 0 if none was."""
        return [each for each in self.rounds if each.measured.kept][-1]

    @property
    def queries(self) -> int:
        """How many different questions each round was measured on."""
        return self.rounds[0].measured.queries

    @property
    def began(self) -> datetime:
        """When the run began, UTC."""
        return datetime.fromisoformat(self.started.time)


def read_run(folder: Path) -> RunReport:
    """Read what a run left in its folder; a cut-off run is read as far as it came.

    Raises:
        UsageError: the run has measured nothing yet.
        DamagedError: a file is missing or not what was written.
    """
    events = read_events(folder)
    measured, mined = _of(events, Measured), [m for m in _of(events, Mined) if m.fold is None]
    if not measured:
        raise UsageError(
            f"{folder}: nothing has been measured yet. If this is the last run, go on with it: "
            "dotbogi train --resume"
        )
    (started,) = _of(events, Started)
    seed = started.config["seed"]
    collection = open_collection(folder)
    texts = {answer.id: answer.text for answer in collection.answers}
    outcomes = [open_outcomes(folder / f"questions-{each.round}.parquet") for each in measured]
    looks = [
        open_outcomes(folder / f"test-{when}.parquet")
        for _ in _of(events, Tested)
        for when in ("before", "after")
    ]
    best = max(i for i, each in enumerate(measured) if each.kept)
    asked = {"questions in folds": [outcomes[0], outcomes[best]], "held-out questions": looks}
    published = _of(events, Published)
    return RunReport(
        run=folder.name,
        started=started,
        answers=len(collection.answers),
        rounds=_rounds(measured, outcomes, seed),
        fits=_fits(_of(events, Trained)),
        minings=[read_mining(folder, each, texts) for each in mined],
        test=_test(_of(events, Tested)[0], looks, seed) if looks else None,
        comparison=_comparison(measured, outcomes, texts, seed),
        feedback=read_feedback_report(
            folder,
            collection,
            mined[0].yields if mined else {},
            {name: pair for name, pair in asked.items() if pair},
        ),
        published=published[0].generation if published else None,
        ended=bool(_of(events, Ended)),
        events=events,
    )


def _of(events: Sequence[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def _figures(evaluations: Sequence[Outcomes], seed: int) -> list[Figures]:
    """Return the means of evaluations of the same queries, their intervals from the same draws."""
    names = [(method, metric) for method in METHODS for metric in METRICS]
    columns = [found.scores[method][metric] for found in evaluations for method, metric in names]
    intervals = iter(mean_intervals(np.asarray(columns, np.float64).T, seed=seed))
    return [
        {method: {metric: next(intervals) for metric in METRICS} for method in METHODS}
        for _ in evaluations
    ]


def _rounds(measured: Sequence[Measured], outcomes: Sequence[Outcomes], seed: int) -> list[Round]:
    figures = _figures(outcomes, seed)
    return [
        Round(event, means, _right_first(found))
        for event, means, found in zip(measured, figures, outcomes, strict=True)
    ]


def _test(tested: Tested, looks: Sequence[Outcomes], seed: int) -> FinalTest:
    before, after = _figures(looks, seed)
    first_before, first_after = map(_right_first, looks)
    return FinalTest(tested, before, after, first_before, first_after)


def _right_first(outcomes: Outcomes) -> int:
    return sum(reciprocal == 1 for reciprocal in outcomes.scores["hybrid"]["MRR@10"])


def _fits(trained: Sequence[Trained]) -> list[Trained]:
    """Return of each round the fit on all questions; where there is none, its first fold's."""
    found: dict[int, Trained] = {}
    for event in trained:
        if event.fold is None or event.round not in found:
            found[event.round] = event
    return [found[number] for number in sorted(found)]


def _comparison(
    measured: Sequence[Measured],
    outcomes: Sequence[Outcomes],
    texts: Mapping[str, str],
    seed: int,
) -> Comparison | None:
    """Compare round 0 with what was kept, or else with the highest of what was dropped."""
    if len(measured) == 1:
        return None
    kept = [i for i, each in enumerate(measured) if each.kept and each.round]
    after = (
        kept[-1]
        if kept
        else max(range(1, len(measured)), key=lambda i: measured[i].metrics["hybrid"]["MRR@10"])
    )
    return compare((measured[0], outcomes[0]), (measured[after], outcomes[after]), texts, seed=seed)
