"""The steps that every run takes: measure → (learn → measure → keep or drop)* → test → publish."""

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

from dotbogi.indexes.store import Workspace
from dotbogi.training.config import LoopConfig
from dotbogi.training.gate import Verdict
from dotbogi.training.ledger import Ended, Ledger, Measured, Started, Tested, clear_models

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to."""

    run: str
    started: Started
    rounds: list[Measured]  # round 0 first
    test: Tested | None  # None: nothing was held out
    generation: str | None  # published at the end; None if nothing was
    ended_early: str | None = None  # why not all rounds were taken
    model: str | None = None  # folder of the kept model where there is no collection to publish


class Rounds(ABC):
    """One run; a step that the ledger has is not taken again."""

    def __init__(
        self, workspace: Workspace, folder: Path, config: LoopConfig, progress: bool
    ) -> None:
        self.workspace, self.folder, self.config = workspace, folder, config
        self.progress = progress
        self.ledger = Ledger(folder)

    def go(self) -> RunResult:
        """Take every step that has not been taken yet."""
        started = self.ledger.find(Started) or self.ledger.add(self.start())
        rounds = [self._measured(0, None)]
        best, ended_early = rounds[0], None
        drops = 0
        for number in range(1, self.config.rounds + 1):
            done = self._measured(number, best)
            rounds.append(done)
            if done.kept:
                best, drops = done, 0
                continue
            drops += 1
            if drops >= self.config.patience and number < self.config.rounds:
                ended_early = f"ended after round {number} of {self.config.rounds}: no gain"
                break
        if best.round:
            self.refit(best.round)
        test = self.ledger.find(Tested) or self._tested(best)
        generation, model = self.publish(best)
        self.leave()
        if not self.ledger.find(Ended):
            self.ledger.add(Ended(early=ended_early))
        clear_models(self.folder)
        return RunResult(self.folder.name, started, rounds, test, generation, ended_early, model)

    def _measured(self, number: int, best: Measured | None) -> Measured:
        """Return a round as it was measured, beside the best before it."""
        known = self.ledger.find(Measured, round=number)
        if known:
            return known
        if best:
            self.learn(number, best.round)
        began = time.monotonic()
        found = self.measure(number)
        if best:
            verdict = self.judge(found, best)
            found = replace(found, kept=verdict.kept, against=best.round, verdict=verdict)
        done = self.ledger.add(replace(found, seconds=seconds_since(began)))
        logger.info(_described(done))
        return done

    def _tested(self, best: Measured) -> Tested | None:
        began = time.monotonic()
        found = self.test(best)
        return self.ledger.add(replace(found, seconds=seconds_since(began))) if found else None

    @abstractmethod
    def start(self) -> Started:
        """Return what the run begins with."""

    @abstractmethod
    def learn(self, number: int, best: int) -> None:
        """Learn a round, where it has not been learned yet; `best` is the best round so far."""

    @abstractmethod
    def measure(self, number: int) -> Measured:
        """Measure a round, each question or pair by what was learned without it."""

    @abstractmethod
    def judge(self, new: Measured, old: Measured) -> Verdict:
        """Ask the gate about a round and the best so far."""

    @abstractmethod
    def refit(self, number: int) -> None:
        """Learn a kept round once more, from all that is not held out."""

    @abstractmethod
    def test(self, best: Measured) -> Tested | None:
        """Look at what was held out, once; None where nothing was."""

    @abstractmethod
    def publish(self, best: Measured) -> tuple[str | None, str | None]:
        """Publish; return the generation, or else the folder of the model."""

    @abstractmethod
    def leave(self) -> None:
        """Leave behind what people look at."""


def seconds_since(began: float) -> float:
    """Return how long ago a moment of time.monotonic was."""
    return round(time.monotonic() - began, 1)


def _described(done: Measured) -> str:
    figures = ", ".join(
        f"{method} {value:.3f}"
        for method, metrics in done.metrics.items()
        for name, value in metrics.items()
        if name in ("MRR@10", "Spearman")
    )
    name = "Spearman" if "Spearman" in next(iter(done.metrics.values())) else "MRR@10"
    said = f"round {done.round}: {name} of {done.queries}: {figures}"
    if done.verdict is None:
        return said
    gain, decision = done.verdict.gain, "kept" if done.kept else "dropped"
    return f"{said}; {gain} over round {done.against}: {decision}"
