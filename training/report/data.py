"""A run's folder → what its report tells. No HTML here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from indexes.collection import Collection, open_collection
from indexes.errors import UsageError
from search.fusion import METHODS, PARTS
from training.ledger import read_events
from training.measure.bootstrap import Interval, mean_intervals
from training.measure.evaluation import METRICS
from training.measure.outcomes import Outcomes, open_outcomes
from training.report.comparison import Comparison, compare
from training.report.feedback import FeedbackReport, read_feedback_report
from training.report.mined import Mining, read_mining

Figures = Mapping[str, Mapping[str, Interval]]  # method → metric → mean with its interval
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """One round as measured on the development questions."""

    number: int
    figures: Figures
    kept: bool
    gain: Interval | None  # of the hybrid's MRR@10 over `against`; None for round 0
    against: str
    facts: Event  # `evaluated` of the ledger

    @property
    def weights(self) -> dict[str, float]:
        """Return what each part of the hybrid counted for."""
        return {name: self.facts["weights"][name] for name in PARTS}


@dataclass(frozen=True, slots=True)
class FinalTest:
    """The look at the test questions."""

    queries: int
    first_before: int  # queries whose first answer was right with round 0's model
    first_after: int  # the same with the kept model; round 0's again if no round was kept
    before: Figures
    after: Figures
    gain: Interval
    confidence: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """All that the report of one run tells."""

    run: str
    started: Event
    answers: int
    trained_before: int  # questions that the starting model had been trained on by an earlier run
    dev_queries: int
    rounds: list[Round]  # round 0 first
    incumbent: Event | None  # a published model that was better than round 0
    incumbent_figures: Figures | None
    fits: list[Event]  # `trained`, with settings, log and seconds
    minings: list[Mining]
    test: FinalTest | None  # None while the run goes on
    kept_round: int | None
    comparison: Comparison | None  # None before the first round has been measured
    feedback: FeedbackReport | None  # None for a run without
    published: str | None  # the generation
    ended: bool
    steps: Sequence[Event]  # the ledger's events, in their order

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of the run."""
        config: Mapping[str, Any] = self.started["config"]
        return config

    @property
    def tried(self) -> list[Round]:
        """The rounds of training that have been measured."""
        return self.rounds[1:]

    @property
    def began(self) -> datetime:
        """When the run began, UTC."""
        return datetime.fromisoformat(self.started["time"])


def read_run(folder: Path) -> RunReport:
    """Read what a run left in its folder; a cut-off run is read as far as it came.

    Raises:
        UsageError: the run has measured nothing yet.
        DamagedError: a file is missing or not what was written.
    """
    events = read_events(folder)
    last = {event["event"]: event for event in events}
    measured = [event for event in events if event["event"] == "evaluated"]
    if not measured:
        raise UsageError(
            f"{folder}: nothing has been measured yet. If this is the last run, go on with it: "
            "dotbogi train --resume"
        )
    collection = open_collection(folder)
    texts = {answer.id: answer.text for answer in collection.answers}
    started, incumbent, tested = last["started"], last.get("incumbent"), last.get("tested")
    seed = started["config"]["seed"]
    dev = [open_outcomes(folder / f"dev-{event['round']}.parquet") for event in measured]
    bar = [open_outcomes(folder / "dev-incumbent.parquet")] if incumbent else []
    figures = _figures([*dev, *bar], seed)
    looks = (
        [open_outcomes(folder / f"test-{when}.parquet") for when in ("before", "after")]
        if tested
        else []
    )
    kept = tested["kept_round"] if tested else None
    asked = {"development": [dev[0], dev[_place(measured, kept or 0)]], "test": looks}
    return RunReport(
        run=folder.name,
        started=started,
        answers=len(collection.answers),
        trained_before=len(json.loads((folder / "trained.json").read_text(encoding="utf-8"))),
        dev_queries=len(dev[0].queries),
        rounds=_rounds(measured, figures, incumbent),
        incumbent=incumbent,
        incumbent_figures=figures[-1] if incumbent else None,
        fits=[event for event in events if event["event"] == "trained"],
        minings=[read_mining(folder, e, texts) for e in events if e["event"] == "mined"],
        test=_test(tested, looks, seed) if tested else None,
        kept_round=kept,
        comparison=_comparison(measured, tested, dev, looks, collection, seed),
        feedback=read_feedback_report(
            folder,
            collection,
            next((event for event in events if event["event"] == "mined"), None),
            {split: pair for split, pair in asked.items() if pair},
        ),
        published=last["published"]["generation"] if "published" in last else None,
        ended="ended" in last,
        steps=events,
    )


def _place(measured: Sequence[Event], number: int) -> int:
    return next(i for i, event in enumerate(measured) if event["round"] == number)


def _figures(evaluations: Sequence[Outcomes], seed: int) -> list[Figures]:
    """Return the means of evaluations of the same queries, their intervals from the same draws."""
    names = [(method, metric) for method in METHODS for metric in METRICS]
    columns = [found.scores[method][metric] for found in evaluations for method, metric in names]
    intervals = iter(mean_intervals(np.asarray(columns, np.float64).T, seed=seed))
    return [
        {method: {metric: next(intervals) for metric in METRICS} for method in METHODS}
        for _ in evaluations
    ]


def _rounds(
    measured: Sequence[Event], figures: Sequence[Figures], incumbent: Event | None
) -> list[Round]:
    rounds: list[Round] = []
    against = f"generation {incumbent['generation']}" if incumbent else "round 0"
    for event, means in zip(measured, figures, strict=False):  # the incumbent's come last
        number = event["round"]
        gain = Interval(**event["interval"]) if number else None
        rounds.append(Round(number, means, event["kept"], gain, against if number else "", event))
        if number and event["kept"]:
            against = f"round {number}"
    return rounds


def _test(tested: Event, looks: Sequence[Outcomes], seed: int) -> FinalTest:
    before, after = _figures(looks, seed)
    return FinalTest(
        queries=len(looks[0].queries),
        first_before=_right_first(looks[0]),
        first_after=_right_first(looks[1]),
        before=before,
        after=after,
        gain=Interval(**tested["interval"]),
        confidence=tested.get("confidence"),
    )


def _right_first(outcomes: Outcomes) -> int:
    return sum(reciprocal == 1 for reciprocal in outcomes.scores["hybrid"]["MRR@10"])


def _comparison(
    measured: Sequence[Event],
    tested: Event | None,
    dev: Sequence[Outcomes],
    looks: Sequence[Outcomes],
    collection: Collection,
    seed: int,
) -> Comparison | None:
    """Compare on the test questions what was kept, or else on the development ones what was tried.

    Of dropped rounds it is the one with the highest figure: the test questions never see them.
    """
    if tested and tested["kept_round"]:
        before, after = looks
        return compare("test", tested["kept_round"], before, after, collection, seed=seed)
    if len(measured) == 1:
        return None
    best = max(range(1, len(measured)), key=lambda i: measured[i]["metrics"]["hybrid"]["MRR@10"])
    number = measured[best]["round"]
    return compare("development", number, dev[0], dev[best], collection, seed=seed)
