"""What a run publishes at its end: a kept round, or its collection with the current model."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dotbogi.indexes.collection import Collection, KnownQuestion, open_collection, pair_key
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.search.encoders import EncoderFacts
from dotbogi.search.fitted import Fitted
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import question_digest, read_trained_on
from dotbogi.search.models import copy_model
from dotbogi.search.publish import publish_index
from dotbogi.training.config import LoopConfig
from dotbogi.training.judgements.decisions import Pair
from dotbogi.training.ledger import Ledger, Measured, Published, published_by

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publication:
    """Publishes the result of one run over its whole collection."""

    workspace: Workspace
    folder: Path
    collection: Collection
    config: LoopConfig
    ledger: Ledger
    rejected: Sequence[Pair]  # by a review
    progress: bool

    def publish(
        self, best: Measured, model_folder: Path, geometry: Callable[[], Geometry]
    ) -> str | None:
        """Publish once; return the generation's name, or None if the current one stays.

        Args:
            best: the kept round, or round 0.
            model_folder: holds the model and encoder of that round.
            geometry: returns the geometry of that round.
        """
        event = self.ledger.find(Published) or self._published_before_interruption()
        if event:
            return event.generation
        current = self.workspace.current() if self.workspace.current_name() else None
        what = self._what(best, model_folder, current)
        if what == "the model":
            return self._publish_model(model_folder, geometry(), best)
        return self._publish_again(current) if what == "the collection" and current else None

    def _what(
        self, best: Measured, model_folder: Path, current: Generation | None
    ) -> Literal["the model", "the collection"] | None:
        """Return what to publish.

        A kept round's model is published. Without a kept round, the base is published again if it
        is the current model and the run adds pairs or votes; another current model is published
        again only if the run adds votes.
        """
        if best.round or current is None:
            return "the model"
        published = open_collection(current.folder)
        if not self.collection.holds(self._without_withdrawn(published)):
            # Nothing shows that search is better without the published pairs.
            logger.info(
                "nothing was published: the table lacks pairs that are indexed now. "
                "To index the table as it is: dotbogi index TABLE"
            )
            return None
        voted = _from_feedback(published) != _from_feedback(self.collection)
        base = EncoderFacts.open(model_folder / "encoder").fingerprint
        if current.manifest["training"] is None and current.manifest["model_fingerprint"] == base:
            grown = published.digest() != self.collection.digest()
            return "the model" if voted or grown else None
        return "the collection" if voted else None

    def _without_withdrawn(self, published: Collection) -> Collection:
        """Leave out pairs that a review rejected, or that users' votes may withdraw."""
        rejected = {pair_key(*pair) for pair in self.rejected}
        with_feedback = self.config.votes_per_client is not None
        kept = [
            question
            for question in published.questions
            if pair_key(question.text, question.answer_id) not in rejected
            and not (with_feedback and question.origin == "feedback")
        ]
        return replace(published, questions=kept)

    def _publish_model(self, model_folder: Path, geometry: Geometry, best: Measured) -> str:
        training = {
            "run": self.folder.name,
            "round": best.round,
            "kind": self.config.kind,
            "seed": self.config.seed,
            "objective": self.config.fit.get("objective", "mnr"),
        }
        learned = self.collection.only(["train"]).questions if best.round else []
        return self._publish(
            model_folder,
            {
                "model": asdict(self.config.model),
                "training": training if best.round else None,
            },
            # Without training, the geometry is the means of the whole collection.
            geometry=geometry if best.round else None,
            trained_on=frozenset(question_digest(q.text) for q in learned),
            fitted=best.fitted,
        )

    def _publish_again(self, current: Generation) -> str:
        """Publish the run's collection with the current model."""
        trained = current.manifest["training"] is not None
        return self._publish(
            current.folder,
            {name: current.manifest[name] for name in ("model", "training")},
            geometry=Geometry.open(current.folder) if trained else None,
            trained_on=read_trained_on(current.folder),
            fitted=Fitted.open(current.folder),
        )

    def _publish(self, model_folder: Path, facts: Mapping[str, Any], **learned: Any) -> str:
        began = time.monotonic()
        generation = publish_index(
            self.workspace,
            self.collection,
            lambda folder: copy_model(model_folder, folder),
            self.config.index,
            {**facts, "source": dict(self.config.source), "run": self.folder.name},
            **learned,
            progress=self.progress,
        )
        seconds = round(time.monotonic() - began, 1)
        return self.ledger.add(Published(generation=generation.name, seconds=seconds)).generation

    def _published_before_interruption(self) -> Published | None:
        name = published_by(self.workspace, self.folder.name, self.config.started_from)
        return self.ledger.add(Published(generation=name, seconds=0)) if name else None


def _from_feedback(collection: Collection) -> set[KnownQuestion]:
    """Return the known questions that feedback added or weighted, without their splits."""
    voted = (q for q in collection.questions if q.origin == "feedback" or q.preferred)
    return {replace(question, split=None) for question in voted}
