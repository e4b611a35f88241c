"""One run on scored pairs, measured by Spearman on pairs that are not trained on."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Split, open_collection
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.files import copy_folder, sync, sync_tree
from dotbogi.indexes.store import Workspace
from dotbogi.search.encoded import IndexConfig
from dotbogi.search.encoders import CachedEncoder, export_encoder, open_encoder
from dotbogi.search.geometry import AdaptedEncoder, Geometry
from dotbogi.search.index import question_digest
from dotbogi.search.models import copy_model
from dotbogi.search.publish import library_versions, publish_index
from dotbogi.training.config import LoopConfig
from dotbogi.training.fit.adapter import adapter_config, learn_similarity
from dotbogi.training.fit.config import TrainingRow, fit_config
from dotbogi.training.gate import Verdict, judge
from dotbogi.training.ledger import Measured, Published, Started, Tested, Trained, published_by
from dotbogi.training.measure.spearman import SPEARMAN, spearman, spearman_draws
from dotbogi.training.rounds import Rounds, seconds_since
from dotbogi.training.run_folders import encoder_folder, round_folder
from dotbogi.training.scored.pairs import ScoredPair

Encode = Callable[[Sequence[str]], Vectors]

logger = logging.getLogger(__name__)


class ScoredRun(Rounds):
    """One round of training on scored pairs: the dev pairs decide, the test pairs test it once."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        pairs: Sequence[ScoredPair],
        config: LoopConfig,
        progress: bool,
    ) -> None:
        super().__init__(workspace, folder, replace(config, rounds=1), progress)
        self._pairs: dict[Split, list[ScoredPair]] = {
            split: [pair for pair in pairs if pair.split == split]
            for split in ("train", "dev", "test")
        }
        self._encoders: dict[int, AdaptedEncoder] = {}

    def start(self) -> Started:
        """Return the event that begins the run."""
        return Started(
            config=asdict(self.config),
            counts={split: len(pairs) for split, pairs in self._pairs.items()},
            fingerprints={},
            libraries=library_versions(),
        )

    def learn(self, number: int, best: int) -> None:
        """Train on the train pairs, both texts of a pair as queries."""
        del best
        if self.ledger.find(Trained, round=number):
            return
        began = time.monotonic()
        folder = round_folder(self.folder, number, None)
        folder.mkdir(parents=True, exist_ok=True)
        fit = self._fit_adapter if self.config.kind == "adapter" else self._fit_model
        trained = self.ledger.add(replace(fit(number, folder), seconds=seconds_since(began)))
        logger.info("trained on %d scored pairs in %.0f s", trained.rows, trained.seconds)

    def _fit_adapter(self, number: int, folder: Path) -> Trained:
        """Train one map for all texts."""
        base, pairs = self._encoder(0), self._pairs["train"]
        settings = adapter_config(self.config.fit, self.config.seed)
        first = base.encode_queries([pair.first for pair in pairs])
        second = base.encode_queries([pair.second for pair in pairs])
        adapter = learn_similarity(first, second, _scores(pairs), config=settings)
        replace(base.geometry, adapter=adapter).save(folder)
        return Trained(
            round=number, fold=None, kind="adapter", settings=asdict(settings), rows=len(pairs),
            negatives=0, log=[], seconds=0,
        )  # fmt: skip

    def _fit_model(self, number: int, folder: Path) -> Trained:
        from dotbogi.training.fit.full import finetune  # imports torch: seconds

        settings = fit_config(self.config.fit)
        pairs = self._pairs["train"]
        rows = [TrainingRow(pair.first, pair.second, score=pair.score) for pair in pairs]
        base = self.folder / "base" / "model"
        events = self.folder / "tensorboard" / f"round-{number}"
        log = finetune(base, rows, settings, folder, events=events, progress=self.progress)
        shutil.rmtree(folder / "encoder", ignore_errors=True)  # of an interrupted step
        export_encoder(folder / "model", folder / "encoder", [pair.first for pair in pairs])
        return Trained(
            round=number, fold=None, kind="full", settings=asdict(settings), rows=len(rows),
            negatives=0, log=log, seconds=0,
        )  # fmt: skip

    def measure(self, number: int) -> Measured:
        """Measure a round on the dev pairs."""
        pairs = self._pairs["dev"]
        cosines = _cosines(self._encoder(number).encode_queries, pairs)
        return Measured(
            round=number,
            kept=True,
            queries=len(pairs),
            metrics={"dense": {SPEARMAN: spearman(cosines, _scores(pairs))}},
            scores=cosines,
            slices={},
            seconds=0,
        )

    def judge(self, new: Measured, old: Measured) -> Verdict:
        """Ask the gate to compare the Spearman of two rounds."""
        expected = _scores(self._pairs["dev"])
        return judge(*spearman_draws(new.scores, old.scores, expected, seed=self.config.seed))

    def refit(self, number: int) -> None:
        """Leave a kept round as it is: the dev pairs are not trained on."""

    def test(self, best: Measured) -> Tested | None:
        """Measure the test pairs, once, with the base and with the kept round."""
        pairs = self._pairs["test"]
        expected = _scores(pairs)
        before, after = (
            _cosines(self._encoder(number).encode_queries, pairs) for number in (0, best.round)
        )
        draws = spearman_draws(after, before, expected, seed=self.config.seed)
        return Tested(
            kept_round=best.round,
            queries=len(pairs),
            before={"dense": {SPEARMAN: spearman(before, expected)}},
            after={"dense": {SPEARMAN: spearman(after, expected)}},
            verdict=judge(*draws),
            seconds=0,
        )

    def _encoder(self, number: int) -> AdaptedEncoder:
        """Return the encoder of a round with its geometry."""
        if number not in self._encoders:
            folder = encoder_folder(self.folder, number, None)
            cache = Cache(self.workspace.cache_folder)
            encoder = CachedEncoder(open_encoder(folder, progress=self.progress), cache)
            learned = round_folder(self.folder, number, None)
            if (learned / "geometry.safetensors").is_file():
                geometry = Geometry.open(learned)
            else:
                texts = [t for p in self._pairs["train"] for t in (p.first, p.second)]
                mean = encoder.encode_queries(texts).mean(axis=0)
                geometry = Geometry(mean, mean)
            self._encoders[number] = AdaptedEncoder(encoder, geometry)
        return self._encoders[number]

    def publish(self, best: Measured) -> tuple[str | None, str | None]:
        """Publish the collection with the kept model; without a collection, keep the model here."""
        if not best.round:
            return None, None
        kept = self.folder / "model"
        if self.workspace.current_name() is None:
            staged = self.folder / ".model"
            for folder in (staged, kept):  # of an interrupted step
                shutil.rmtree(folder, ignore_errors=True)
            copy_folder(round_folder(self.folder, best.round, None) / "model", staged)
            sync_tree(staged)
            staged.rename(kept)
            sync(self.folder)
            return None, str(kept)
        published = self.ledger.find(Published)
        if published is None:
            began = time.monotonic()
            name = published_by(self.workspace, self.folder.name, self.config.started_from)
            name = name or self._publish_collection(best.round)
            event = Published(generation=name, seconds=seconds_since(began))
            published = self.ledger.add(event)
        return published.generation, None

    def _publish_collection(self, number: int) -> str:
        current = self.workspace.current()
        learned = {question_digest(t) for p in self._pairs["train"] for t in (p.first, p.second)}
        training = {
            "run": self.folder.name,
            "round": number,
            "kind": self.config.kind,
            "seed": self.config.seed,
            "objective": "cosine",
        }
        generation = publish_index(
            self.workspace,
            open_collection(current.folder),
            lambda folder: copy_model(encoder_folder(self.folder, number, None), folder),
            IndexConfig.published(current),
            {
                "model": asdict(self.config.model),
                "source": current.manifest["source"],
                "training": training,
                "run": self.folder.name,
            },
            geometry=self._encoder(number).geometry,
            trained_on=frozenset(learned),
            progress=self.progress,
        )
        return generation.name

    def write_review(self) -> None:
        """Do nothing: scored pairs have no suspects."""


def _cosines(encode: Encode, pairs: Sequence[ScoredPair]) -> list[float]:
    """Return the cosine of each pair, both texts as queries."""
    first, second = ([p.first for p in pairs], [p.second for p in pairs])
    cosines: list[float] = (encode(first) * encode(second)).sum(axis=1).tolist()
    return cosines


def _scores(pairs: Sequence[ScoredPair]) -> list[float]:
    return [pair.score for pair in pairs]
