"""Read what a report shows from the folder of a run; independent of its format."""

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
from dotbogi.training.measure.metrics import GATE_METRIC, METRICS
from dotbogi.training.measure.outcomes import Outcomes, open_outcomes
from dotbogi.training.report.comparison import Comparison, compare
from dotbogi.training.report.feedback import FeedbackReport, read_feedback_report
from dotbogi.training.report.mined import Mining, read_mining

Figures = Mapping[str, Mapping[str, Interval]]  # method → metric → mean with its interval
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Round:
    """One round, each question measured with a model trained without it."""

    measured: Measured
    figures: Figures
    first: int  # questions with a right first answer

    @property
    def number(self) -> int:
        """The number of the round; 0 is before training."""
        return self.measured.round


@dataclass(frozen=True, slots=True)
class FinalTest:
    """The final test on the held-out questions."""

    tested: Tested
    before: Figures
    after: Figures  # that of round 0 if no round was kept
    first_before: int  # questions with a right first answer before training
    first_after: int  # and with the kept round


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The contents of the report of one run."""

    run: str
    started: Started
    answers: int
    rounds: list[Round]  # round 0 first
    fits: list[Trained]  # one per round
    minings: list[Mining]  # one per round, for all questions
    test: FinalTest | None  # None if nothing was held out, or before the test
    comparison: Comparison | None  # None before the first round of training is measured
    feedback: FeedbackReport | None  # None for a run without feedback
    published: str | None  # the generation
    ended: bool
    events: Sequence[Event]  # of the ledger, in order

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
        """The last round that was kept; round 0 if none was."""
        return [round_ for round_ in self.rounds if round_.measured.kept][-1]

    @property
    def queries(self) -> int:
        """The number of different questions that each round was measured on."""
        return self.rounds[0].measured.queries

    @property
    def began(self) -> datetime:
        """The time when the run began, in UTC."""
        return datetime.fromisoformat(self.started.time)


def read_run(folder: Path) -> RunReport:
    """Read the folder of a run whose files have been checked, as far as the run got.

    Raises:
        UsageError: the run has measured nothing yet.
        DamagedError: a file cannot be read.
    """
    events = read_events(folder)
    measured, mined = _of(events, Measured), [m for m in _of(events, Mined) if m.fold is None]
    if not measured:
        raise UsageError(
            f"{folder}: nothing has been measured yet. If this is the last run, resume it: "
            "dotbogi train --resume"
        )
    (started,) = _of(events, Started)
    seed = started.config["seed"]
    collection = open_collection(folder)
    texts = {answer.id: answer.text for answer in collection.answers}
    outcomes = [open_outcomes(folder / f"questions-{event.round}.parquet") for event in measured]
    tests = [
        open_outcomes(folder / f"test-{when}.parquet")
        for _ in _of(events, Tested)
        for when in ("before", "after")
    ]
    best = max(i for i, event in enumerate(measured) if event.kept)
    pairs = {"questions in folds": [outcomes[0], outcomes[best]], "held-out questions": tests}
    published = _of(events, Published)
    return RunReport(
        run=folder.name,
        started=started,
        answers=len(collection.answers),
        rounds=_rounds(measured, outcomes, seed),
        fits=_fits(_of(events, Trained)),
        minings=[read_mining(folder, event, texts) for event in mined],
        test=_test(_of(events, Tested)[0], tests, seed) if tests else None,
        comparison=_comparison(measured, outcomes, texts, seed),
        feedback=read_feedback_report(
            folder,
            collection,
            mined[0].yields if mined else {},
            {name: pair for name, pair in pairs.items() if pair},
        ),
        published=published[0].generation if published else None,
        ended=bool(_of(events, Ended)),
        events=events,
    )


def _of(events: Sequence[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def _figures(evaluations: Sequence[Outcomes], seed: int) -> list[Figures]:
    """Return the means of evaluations on the same queries, with intervals from the same draws.

    The metrics are those that all evaluations have, in the order of METRICS.
    """
    metrics = [m for m in METRICS if all(m in part.scores["hybrid"] for part in evaluations)]
    names = [(method, metric) for method in METHODS for metric in metrics]
    columns = [part.scores[method][metric] for part in evaluations for method, metric in names]
    intervals = iter(mean_intervals(np.asarray(columns, np.float64).T, seed=seed))
    return [
        {method: {metric: next(intervals) for metric in metrics} for method in METHODS}
        for _ in evaluations
    ]


def _rounds(measured: Sequence[Measured], outcomes: Sequence[Outcomes], seed: int) -> list[Round]:
    figures = _figures(outcomes, seed)
    return [
        Round(event, means, _right_first(queries))
        for event, means, queries in zip(measured, figures, outcomes, strict=True)
    ]


def _test(tested: Tested, outcomes: Sequence[Outcomes], seed: int) -> FinalTest:
    before, after = _figures(outcomes, seed)
    first_before, first_after = map(_right_first, outcomes)
    return FinalTest(tested, before, after, first_before, first_after)


def _right_first(outcomes: Outcomes) -> int:
    return sum(reciprocal == 1 for reciprocal in outcomes.scores["hybrid"][GATE_METRIC])


def _fits(trained: Sequence[Trained]) -> list[Trained]:
    """Return for each round the fit on all questions, or else that without the first fold."""
    fits: dict[int, Trained] = {}
    for event in trained:
        if event.fold is None or event.round not in fits:
            fits[event.round] = event
    return [fits[number] for number in sorted(fits)]


def _comparison(
    measured: Sequence[Measured],
    outcomes: Sequence[Outcomes],
    texts: Mapping[str, str],
    seed: int,
) -> Comparison | None:
    """Compare round 0 with the kept round, or else with the best of the dropped rounds."""
    if len(measured) == 1:
        return None
    kept = [i for i, event in enumerate(measured) if event.kept and event.round]
    after = (
        kept[-1]
        if kept
        else max(range(1, len(measured)), key=lambda i: measured[i].metrics["hybrid"][GATE_METRIC])
    )
    return compare((measured[0], outcomes[0]), (measured[after], outcomes[after]), texts, seed=seed)
