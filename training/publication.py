"""What a run publishes when its rounds are over: a kept model, or what it adds to the one there."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from indexes.collection import Collection, KnownQuestion, open_collection
from indexes.store import Generation, Workspace
from search.confidence import Calibration
from search.fusion import FusionWeights
from search.index import question_digest, read_trained_on, read_weights
from search.models import copy_model
from search.publish import publish_index
from training.config import LoopConfig
from training.ledger import Ledger, published_by, read_trained

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publication:
    """One run's, over its whole collection."""

    workspace: Workspace
    folder: Path
    collection: Collection
    config: LoopConfig
    ledger: Ledger
    progress: bool

    def publish(self, best: Mapping[str, Any], model: Path) -> str | None:
        """Publish once; return the generation's name, or None if CURRENT stays.

        A kept round's model is published. Where no round was kept, the base is published again
        if that adds something; and what users have said is published with the model that is
        published now, where the run began from another.

        Args:
            best: the `evaluated` event of the kept round, or of round 0.
            model: the folder of its model.
        """
        done = self.ledger.get("published") or self._published_before_a_cut()
        if done:
            return str(done["generation"])
        current = self.workspace.current() if self.workspace.current_name() else None
        if best["round"] or current is None or self._adds_something(current, best["fingerprint"]):
            return self._publish_model(model, best, current)
        if self.config.votes_per_client is not None and self._is_new(current):
            return self._publish_again(current)
        return None

    def _adds_something(self, current: Generation, base: str) -> bool:
        """Tell whether the base is the published model and gets weights or pairs by this run."""
        if current.manifest["model_fingerprint"] != base:
            return False
        fitted = (current.manifest["fitted"] or {}).get("texts")
        return self._takes_nothing(current) and (
            fitted != self.collection.digest() or self._is_new(current)
        )

    def _is_new(self, current: Generation) -> bool:
        """Tell whether feedback has changed the known questions, and no others are missing."""
        published = open_collection(current.folder)
        return self._takes_nothing(current) and (
            _from_feedback(published) != _from_feedback(self.collection)
        )

    def _takes_nothing(self, current: Generation) -> bool:
        """Tell whether all that is searched now stays.

        A table in which published pairs are missing has not shown that it is better. What came
        from feedback may go by feedback, and not by a run that leaves feedback out.
        """
        published = open_collection(current.folder)
        if self.config.votes_per_client is not None:
            own = [question for question in published.questions if question.origin is None]
            published = replace(published, questions=own)
        return self.collection.holds(published)

    def _publish_model(
        self, model: Path, best: Mapping[str, Any], current: Generation | None
    ) -> str:
        this = {
            "run": self.folder.name,
            "round": best["round"],
            "seed": self.config.seed,
            "objective": self.config.fit.get("objective", "mnr"),
        }
        before = current.manifest["training"] if current else None
        return self._publish(
            model,
            {
                "model": asdict(self.config.model),
                "training": this if best["round"] else before,
                "fitted": {**this, "texts": self.collection.digest()},
            },
            trained_on=self._trained_on(best["round"]),
            weights=FusionWeights(**best["weights"]),
            calibration=calibration_of(best),
        )

    def _publish_again(self, current: Generation) -> str:
        """Publish the run's collection with what is published beside it now."""
        return self._publish(
            current.folder / "model",
            {name: current.manifest[name] for name in ("model", "training", "fitted")},
            trained_on=read_trained_on(current.folder),
            weights=read_weights(current.folder),
            calibration=Calibration.open(current.folder),
        )

    def _publish(self, model: Path, facts: Mapping[str, Any], **fitted: Any) -> str:
        started = time.monotonic()
        generation = publish_index(
            self.workspace,
            self.collection,
            lambda folder: copy_model(model, folder),
            self.config.index,
            {**facts, "source": dict(self.config.source), "run": self.folder.name},
            **fitted,
            progress=self.progress,
        )
        seconds = round(time.monotonic() - started, 1)
        self.ledger.add("published", generation=generation.name, seconds=seconds)
        return generation.name

    def _published_before_a_cut(self) -> Mapping[str, Any] | None:
        name = published_by(self.workspace, self.folder.name)
        return self.ledger.add("published", generation=name) if name else None

    def _trained_on(self, number: int) -> frozenset[str]:
        before = read_trained(self.folder)
        train = self.collection.only(["train"]).questions
        return before | {question_digest(q.text) for q in train} if number else before


def calibration_of(entry: Mapping[str, Any]) -> Calibration | None:
    """Return the confidence that an `evaluated` event holds; None where too little was known."""
    return Calibration(**entry["calibration"]) if entry["calibration"] else None


def _from_feedback(collection: Collection) -> set[KnownQuestion]:
    """Return the known questions that feedback has made or weighed, whatever their splits."""
    return {replace(q, split=None) for q in collection.questions if q.origin or q.preferred}
