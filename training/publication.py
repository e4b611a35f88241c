"""What a run publishes when its rounds are over: a kept model, or what it adds to the one there."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from indexes.collection import Collection, KnownQuestion, open_collection
from indexes.store import Generation, Workspace
from indexes.text import same_text_key
from search.confidence import Calibration
from search.fusion import FusionWeights
from search.geometry import Geometry
from search.index import question_digest, read_trained_on, read_weights
from search.models import copy_model
from search.publish import publish_index
from training.config import LoopConfig
from training.judgements.decisions import Pair
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
    rejected: Sequence[Pair]  # in a review
    progress: bool

    def publish(
        self, best: Mapping[str, Any], place: Path, geometry: Callable[[], Geometry]
    ) -> str | None:
        """Publish once; return the generation's name, or None if CURRENT stays.

        Args:
            best: the `evaluated` event of the kept round, or of round 0.
            place: the folder of its model and encoder.
            geometry: gives what the round learned.
        """
        done = self.ledger.get("published") or self._published_before_a_cut()
        if done:
            return str(done["generation"])
        current = self.workspace.current() if self.workspace.current_name() else None
        what = self._what(best, current)
        if what == "the model":
            return self._publish_model(place, geometry(), best, current)
        return self._publish_again(current) if what == "the collection" and current else None

    def _what(
        self, best: Mapping[str, Any], current: Generation | None
    ) -> Literal["the model", "the collection"] | None:
        """Return what to publish: a kept round's model, or what the run adds without one.

        The base is published again if it is the published model and gets weights, confidence or
        pairs by this run. Of a run that began from another model, what users have said goes to
        the published one.
        """
        if best["round"] or current is None:
            return "the model"
        published = open_collection(current.folder)
        if not self.collection.holds(self._without_withdrawn(published)):
            # A table in which published pairs are missing has not shown that it is better.
            logger.info(
                "pairs that are searched now are missing in the table: nothing is published. "
                "To search the table as it is: dotbogi index TABLE"
            )
            return None
        voted = _from_feedback(published) != _from_feedback(self.collection)
        if is_same_model(best, current.manifest):
            fitted = (current.manifest["fitted"] or {}).get("texts")
            return "the model" if voted or fitted != self.collection.digest() else None
        return "the collection" if voted else None

    def _without_withdrawn(self, published: Collection) -> Collection:
        """Leave out the pairs that a review has rejected, or that users' votes may take back."""
        rejected = {(same_text_key(question), answer_id) for question, answer_id in self.rejected}
        with_feedback = self.config.votes_per_client is not None
        kept = [
            question
            for question in published.questions
            if (same_text_key(question.text), question.answer_id) not in rejected
            and not (with_feedback and question.origin == "feedback")
        ]
        return replace(published, questions=kept)

    def _publish_model(
        self, place: Path, geometry: Geometry, best: Mapping[str, Any], current: Generation | None
    ) -> str:
        this = {
            "run": self.folder.name,
            "round": best["round"],
            "seed": self.config.seed,
            "objective": self.config.fit.get("objective", "mnr"),
        }
        before = current.manifest["training"] if current else None
        return self._publish(
            place,
            {
                "model": asdict(self.config.model),
                "training": this if best["round"] else before,
                "fitted": {**this, "texts": self.collection.digest()},
            },
            # Of an untrained model the means are those of the whole collection.
            geometry=geometry if best["round"] or before else None,
            trained_on=self._trained_on(best["round"]),
            weights=FusionWeights(**best["weights"]),
            calibration=calibration_of(best),
        )

    def _publish_again(self, current: Generation) -> str:
        """Publish the run's collection with what is published beside it now."""
        return self._publish(
            current.folder,
            {name: current.manifest[name] for name in ("model", "training", "fitted")},
            geometry=Geometry.open(current.folder) if current.manifest["training"] else None,
            trained_on=read_trained_on(current.folder),
            weights=read_weights(current.folder),
            calibration=Calibration.open(current.folder),
        )

    def _publish(self, place: Path, facts: Mapping[str, Any], **fitted: Any) -> str:
        started = time.monotonic()
        generation = publish_index(
            self.workspace,
            self.collection,
            lambda folder: copy_model(place, folder),
            self.config.index,
            {**facts, "source": dict(self.config.source), "run": self.folder.name},
            **fitted,
            progress=self.progress,
        )
        seconds = round(time.monotonic() - started, 1)
        self.ledger.add("published", generation=generation.name, seconds=seconds)
        return generation.name

    def _published_before_a_cut(self) -> Mapping[str, Any] | None:
        name = published_by(self.workspace, self.folder.name, self.config.started_from)
        return self.ledger.add("published", generation=name) if name else None

    def _trained_on(self, number: int) -> frozenset[str]:
        before = read_trained(self.folder)
        train = self.collection.only(["train"]).questions
        return before | {question_digest(q.text) for q in train} if number else before


def is_same_model(evaluated: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Tell whether an `evaluated` event is of the model that a generation has.

    The means of an untrained model are no part of the question: they follow the collection.
    """
    if manifest["training"] is None:
        same = evaluated["model_fingerprint"] == manifest["model_fingerprint"]
        return bool(evaluated["round"] == 0 and same)
    return bool(manifest["vectors_fingerprint"] == evaluated["fingerprint"])


def calibration_of(entry: Mapping[str, Any]) -> Calibration | None:
    """Return the confidence that an `evaluated` event holds; None where too little was known."""
    return Calibration(**entry["calibration"]) if entry["calibration"] else None


def _from_feedback(collection: Collection) -> set[KnownQuestion]:
    """Return the known questions that feedback has made or weighed, whatever their splits."""
    return {replace(q, split=None) for q in collection.questions if q.origin or q.preferred}
