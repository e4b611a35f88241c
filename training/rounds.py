"""The steps of every run: measure → (learn → measure → keep or drop)* → test → publish."""

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

from dotbogi.indexes.store import Workspace
from dotbogi.training.config import LoopConfig
from dotbogi.training.gate import Verdict
from dotbogi.training.ledger import Ended, Ledger, Measured, Started, Tested, clear_models
from dotbogi.training.measure.metrics import GATE_METRIC
from dotbogi.training.measure.spearman import SPEARMAN

logger = logging.getLogger(__name__)

_WORKING = ("tuned", "checkpoints", "log.json", "files.json")  # of a fit; the model is merged


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of a run."""

    run: str
    started: Started
    rounds: list[Measured]  # round 0 first
    test: Tested | None  # None if nothing was held out
    generation: str | None  # published at the end; None if none was
    ended_early: str | None = None  # why the last rounds were not run
    model: str | None = None  # folder of the kept model, if there is no collection to publish


class Rounds(ABC):
    """One run; a step that is in the ledger is not repeated."""

    def __init__(
        self, workspace: Workspace, folder: Path, config: LoopConfig, progress: bool
    ) -> None:
        self.workspace, self.folder, self.config = workspace, folder, config
        self.progress = progress
        self.ledger = Ledger(folder)

    def go(self) -> RunResult:
        """Take the steps that are not in the ledger yet, and return the outcome."""
        started = self.ledger.find(Started) or self.ledger.add(self.start(), *self._began_with())
        rounds = [self._measured(0, None)]
        best, ended_early = rounds[0], None
        drops = 0
        for number in range(1, self.config.rounds + 1):
            measured = self._measured(number, best)
            rounds.append(measured)
            if measured.kept:
                best, drops = measured, 0
                continue
            drops += 1
            if drops >= self.config.patience and number < self.config.rounds:
                ended_early = f"ended after round {number} of {self.config.rounds}: no gain"
                break
        if best.round:
            self.refit(best.round)
        test = self.ledger.find(Tested) or self._tested(best)
        generation, model = self.publish(best)
        self.write_review()
        if not self.ledger.find(Ended):
            self.ledger.add(Ended(early=ended_early), *self.folder.glob("review.csv"))
        clear_models(self.folder)
        return RunResult(self.folder.name, started, rounds, test, generation, ended_early, model)

    def _measured(self, number: int, best: Measured | None) -> Measured:
        """Return a round's measurement, and the verdict if there is a best round."""
        stored = self.ledger.find(Measured, round=number)
        if stored:
            return stored
        if best:
            self.learn(number, best.round)
        began = time.monotonic()
        measured = self.measure(number)
        if best:
            verdict = self.judge(measured, best)
            measured = replace(measured, kept=verdict.kept, against=best.round, verdict=verdict)
        measured = replace(measured, seconds=seconds_since(began))
        measured = self.ledger.add(measured, *self._made_in(number))
        logger.info(_described(measured))
        return measured

    def _tested(self, best: Measured) -> Tested | None:
        began = time.monotonic()
        tested = self.test(best)
        if tested is None:
            return None
        outcomes = self.folder.glob("test-*.parquet")
        return self.ledger.add(replace(tested, seconds=seconds_since(began)), *outcomes)

    def _began_with(self) -> list[Path]:
        """Return what is in the run's folder when it begins."""
        return [path for path in self.folder.iterdir() if path.name != "ledger.jsonl"]

    def _made_in(self, number: int) -> list[Path]:
        """Return what is left of a round: what it mined, learned and found."""
        learned = (self.folder / f"round-{number}").glob("*/*")
        models = [path for path in learned if path.name not in _WORKING]
        shared = [self.folder / name for name in ("queries.tsv", "qrels.trec")]
        files = [*self.folder.glob(f"*-{number}.*"), *shared]
        return [*models, *(path for path in files if path.is_file())]

    @abstractmethod
    def start(self) -> Started:
        """Return the event that begins the run."""

    @abstractmethod
    def learn(self, number: int, best: int) -> None:
        """Train a round unless that is done; `best` is the number of the best round so far."""

    @abstractmethod
    def measure(self, number: int) -> Measured:
        """Measure a round, each question or pair with a model trained without it."""

    @abstractmethod
    def judge(self, new: Measured, old: Measured) -> Verdict:
        """Ask the gate to compare a round with the best round before it."""

    @abstractmethod
    def refit(self, number: int) -> None:
        """Train a kept round again, on everything that is not held out."""

    @abstractmethod
    def test(self, best: Measured) -> Tested | None:
        """Measure what was held out with the best round; return None if nothing was."""

    @abstractmethod
    def publish(self, best: Measured) -> tuple[str | None, str | None]:
        """Publish the best round; return the generation and the model's folder, None if absent."""

    @abstractmethod
    def write_review(self) -> None:
        """Write the list of suspects that people can review, if the run has suspects."""


def seconds_since(began: float) -> float:
    """Return the seconds since a value of time.monotonic, to one decimal."""
    return round(time.monotonic() - began, 1)


def _described(measured: Measured) -> str:
    figures = ", ".join(
        f"{method} {value:.3f}"
        for method, metrics in measured.metrics.items()
        for name, value in metrics.items()
        if name in (GATE_METRIC, SPEARMAN)
    )
    scored = SPEARMAN in next(iter(measured.metrics.values()))
    metric, unit = (SPEARMAN, "pairs") if scored else (GATE_METRIC, "questions")
    line = f"round {measured.round}: {metric} on {measured.queries} {unit}: {figures}"
    if measured.verdict is None:
        return line
    gain, decision = measured.verdict.gain, "kept" if measured.kept else "dropped"
    return f"{line}; gain {gain} over round {measured.against}: {decision}"
