"""One page with all generations and runs of a workspace, from their manifests and ledgers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.manifest import read_manifest
from dotbogi.indexes.store import Workspace
from dotbogi.search.fusion import METHODS
from dotbogi.training.gate import LEVEL
from dotbogi.training.ledger import (
    RUN_NAME,
    Ended,
    Event,
    Measured,
    Metrics,
    Published,
    Started,
    Tested,
    read_events,
    run_names,
)
from dotbogi.training.measure.bootstrap import Interval
from dotbogi.training.measure.metrics import GATE_METRIC
from dotbogi.training.measure.spearman import SPEARMAN
from dotbogi.training.report.charts import Point, Series, gain_chart, legend, round_chart
from dotbogi.training.report.templates import open_templates
from dotbogi.training.report.text import shown_text, signed
from dotbogi.training.report.words import WORDS

SHOWN = 30  # runs, and as many generations

_templates = open_templates(text=shown_text, signed=signed)


@dataclass(frozen=True, slots=True)
class PastGeneration:
    """One generation; if it is damaged, the manifest is None."""

    name: str
    published: bool
    manifest: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PastRound:
    """One round of a run, each question measured with a model trained without it."""

    number: int
    kept: bool
    figures: Mapping[str, float]  # by method; for scored pairs, `spearman` only
    gain: Interval | None  # over the best round before it; None for round 0


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run, as far as it got."""

    name: str
    began: str
    counts: Mapping[str, int]  # questions, or scored pairs, by split
    folds: int
    rounds: list[PastRound]
    best: PastRound  # the last round that was kept; round 0 if none was
    test: tuple[float, float] | None  # MRR@10 of the hybrid (or Spearman) before and after
    generation: str | None
    ended: bool
    has_report: bool

    @property
    def number(self) -> int:
        """Return 7 for run-0007."""
        return int(self.name.removeprefix("run-"))

    @property
    def scored(self) -> bool:
        """Return whether this is a run on scored pairs."""
        return "spearman" in self.rounds[0].figures


class HistoryPages:
    """The pages of one workspace, for the service."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def history(self, language: Literal["ko", "en"]) -> str:
        """Return the page with all generations and rounds."""
        return render_history(self._workspace, language)

    def report(self, run: str) -> str | None:
        """Return the report of a run; None if there is none."""
        path = self._workspace.rounds_folder / run / "report.html"
        if not RUN_NAME.fullmatch(run) or not path.is_file():
            return None
        return path.read_text(encoding="utf-8")


def render_history(workspace: Workspace, language: Literal["ko", "en"]) -> str:
    """Return the history as HTML; runs and generations that cannot be read are named in it."""
    words = WORDS[language]
    generations = _generations(workspace)
    runs, damaged = _runs(workspace)
    on_questions = [run for run in runs if not run.scored]
    return _templates.get_template("history.html.jinja").render(
        language=language,
        other="en" if language == "ko" else "ko",
        words=words,
        level=f"{LEVEL:.0%}",
        methods=METHODS,
        generations=generations[:SHOWN],
        more_generations=max(0, len(generations) - SHOWN),
        more_runs=max(0, len(run_names(workspace)) - SHOWN),
        runs=runs,
        damaged=damaged,
        latest=next((run for run in runs if run.has_report), None),
        chart=_run_chart(on_questions, words) if on_questions else None,
        gains=_gain_chart(on_questions, words),
        method_legend=legend(METHODS),
    )


def _generations(workspace: Workspace) -> list[PastGeneration]:
    """Return the generations, newest first."""
    try:
        current = workspace.current_name()
    except DamagedError:
        current = None
    generations = []
    for name in reversed(workspace.names()):
        try:
            manifest = read_manifest(workspace.generations_folder / name)
        except DamagedError:
            manifest = None
        generations.append(PastGeneration(name, name == current, manifest))
    return generations


def _runs(workspace: Workspace) -> tuple[list[PastRun], list[str]]:
    """Return the last runs with a measurement, newest first, and the names of unreadable runs."""
    runs, damaged = [], []
    for name in reversed(run_names(workspace)[-SHOWN:]):
        folder = workspace.rounds_folder / name
        try:
            events = read_events(folder)
            if any(isinstance(event, Measured) for event in events):
                runs.append(_run(name, events, (folder / "report.html").is_file()))
        except (DamagedError, KeyError, TypeError, ValueError, IndexError):  # another version
            damaged.append(name)
    return runs, damaged


def _run(name: str, events: Sequence[Event], has_report: bool) -> PastRun:
    last = {type(event): event for event in events}
    started, tested, published = last[Started], last.get(Tested), last.get(Published)
    assert isinstance(started, Started)
    rounds = [_round(event) for event in events if isinstance(event, Measured)]
    return PastRun(
        name=name,
        began=started.time,
        counts=started.counts,
        folds=started.config["folds"],
        rounds=rounds,
        best=[round_ for round_ in rounds if round_.kept][-1],
        test=(_headline(tested.before), _headline(tested.after))
        if isinstance(tested, Tested)
        else None,
        generation=published.generation if isinstance(published, Published) else None,
        ended=Ended in last,
        has_report=has_report,
    )


def _round(event: Measured) -> PastRound:
    if "hybrid" in event.metrics:
        figures = {method: event.metrics[method][GATE_METRIC] for method in METHODS}
    else:
        figures = {"spearman": _headline(event.metrics)}
    gain = event.verdict.gain if event.verdict else None
    return PastRound(event.round, event.kept, figures, gain)


def _headline(metrics: Metrics) -> float:
    """Return MRR@10 of the hybrid; for scored pairs, Spearman."""
    return metrics["hybrid"][GATE_METRIC] if "hybrid" in metrics else metrics["dense"][SPEARMAN]


def _run_chart(runs: Sequence[PastRun], words: Mapping[str, str]) -> Markup:
    """Draw the best round of each run; hollow if no round was kept."""

    def points(method: str) -> list[Point]:
        return [
            Point(run.number, run.best.figures[method], hollow=run.best.number == 0)
            for run in reversed(runs)
        ]

    series = [Series(method, points(method)) for method in METHODS]
    return round_chart(words["chart"], series, words["run"])


def _gain_chart(runs: Sequence[PastRun], words: Mapping[str, str]) -> Markup | None:
    rows = [
        (f"{run.number}–{round_.number}", Point(gain.mean, 0, gain.low, gain.high, not round_.kept))
        for run in reversed(runs)
        for round_ in run.rounds
        if (gain := round_.gain)
    ]
    return gain_chart(words["gains"], rows[-SHOWN:], words["gain_axis"]) if rows else None
