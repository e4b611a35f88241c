"""One run on scored pairs: measure → train → measure → keep or drop; then publish."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from indexes.cache import Cache
from indexes.collection import Split, open_collection
from indexes.dense import Vectors
from indexes.store import Workspace
from search.encoded import IndexConfig
from search.encoders import CachedEncoder, export_encoder, open_encoder
from search.geometry import AdaptedEncoder, Geometry
from search.index import question_digest, read_trained_on, read_weights
from search.models import copy_model
from search.publish import publish_index
from training.config import LoopConfig
from training.fit.adapter import adapter_config, learn_similarity
from training.fit.config import TrainingRow, fit_config
from training.ledger import Ledger, clear_models, published_by, read_trained
from training.measure.bootstrap import Interval
from training.measure.spearman import paired_bootstrap_of_spearman, spearman
from training.places import round_place
from training.publication import is_same_model
from training.scored.pairs import ScoredPair

Encode = Callable[[Sequence[str]], Vectors]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SimilarityResult:
    """What a run on scored pairs came to."""

    run: str
    counts: Mapping[str, int]  # pairs by split
    dev: list[Mapping[str, Any]]  # round 0 first: {round, spearman, kept, interval}
    test: Mapping[str, Any]  # {base, kept, kept_round, interval}
    generation: str | None  # published at the end; None if nothing was
    model: str | None  # folder of the kept model where there is no collection to publish over


class SimilarityRun:
    """One run on scored pairs; a step that the ledger has is not taken again."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        pairs: Sequence[ScoredPair],
        config: LoopConfig,
        progress: bool,
    ) -> None:
        self.workspace, self.folder, self.config = workspace, folder, config
        self.progress, self.ledger = progress, Ledger(folder)
        self._encoders: dict[int, AdaptedEncoder] = {}
        trained = read_trained(folder)
        self._pairs: dict[Split, list[ScoredPair]] = {
            "train": [pair for pair in pairs if pair.split == "train"]
        }
        for split in ("dev", "test"):
            held_out = [pair for pair in pairs if pair.split == split]
            self._pairs[split] = [pair for pair in held_out if not is_seen(pair, trained)]

    def go(self) -> SimilarityResult:
        """Take every step that has not been taken yet."""
        counts: dict[str, int] = {split: len(pairs) for split, pairs in self._pairs.items()}
        if not self.ledger.get("started"):
            self.ledger.add("started", config=asdict(self.config), pairs=counts)
        base = self.ledger.get("evaluated", 0) or self._evaluate(0, None)
        self._fit()
        tuned = self.ledger.get("evaluated", 1) or self._evaluate(1, self._incumbent(base))
        test = self.ledger.get("tested") or self._final_test(tuned["kept"])
        generation, model = self._publish() if tuned["kept"] else (None, None)
        if not self.ledger.get("ended"):
            self.ledger.add("ended")
        clear_models(self.folder)
        return SimilarityResult(self.folder.name, counts, [base, tuned], test, generation, model)

    def _evaluate(self, number: int, incumbent: Mapping[str, Any] | None) -> Mapping[str, Any]:
        cosines, facts = self._measure(self._encoder(number), "dev")
        kept = incumbent is None
        if incumbent is not None:
            interval = self._interval("dev", cosines, incumbent["gate_scores"])
            kept = interval.low > 0
            facts["interval"] = asdict(interval)
            logger.info(
                "round %d: dev Spearman %.3f of %d pairs, %s against the incumbent: %s",
                number, facts["spearman"], len(cosines), interval, "kept" if kept else "dropped",
            )  # fmt: skip
        else:
            logger.info("before: dev Spearman %.3f of %d pairs", facts["spearman"], len(cosines))
        return self.ledger.add("evaluated", number, kept=kept, **facts, gate_scores=cosines)

    def _incumbent(self, base: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the trained model has to beat: the base, or a better published model."""
        if self.workspace.current_name() is None:
            return base
        generation = self.workspace.current()
        if is_same_model(base, generation.manifest):
            return base
        trained = read_trained_on(generation.folder)
        if any(is_seen(pair, trained) for pair in self._pairs["dev"]):
            logger.info("generation %s has trained on development pairs: no match", generation.name)
            return base
        encoder = open_encoder(generation.folder, progress=self.progress)
        adapted = AdaptedEncoder(encoder, Geometry.open(generation.folder))
        cosines, facts = self._measure(adapted, "dev")
        if facts["spearman"] <= base["spearman"]:
            return base
        logger.info("published %s: dev Spearman %.3f", generation.name, facts["spearman"])
        return {**facts, "gate_scores": cosines}

    def _fit(self) -> None:
        if self.ledger.get("trained", 1):
            return
        started = time.monotonic()
        facts = self._fit_adapter() if self.config.kind == "adapter" else self._fit_model()
        seconds = round(time.monotonic() - started, 1)
        self.ledger.add("trained", 1, kind=self.config.kind, **facts, seconds=seconds)
        logger.info("trained on %d scored pairs in %.0f s", facts["rows"], seconds)

    def _fit_adapter(self) -> dict[str, Any]:
        """Learn one map; both texts of a pair are read as queries."""
        base, pairs = self._encoder(0), self._pairs["train"]
        settings = adapter_config(self.config.fit, self.config.seed)
        first = base.encode_queries([pair.first for pair in pairs])
        second = base.encode_queries([pair.second for pair in pairs])
        adapter = learn_similarity(first, second, _scores(pairs), config=settings)
        place = self.folder / "round-1"
        place.mkdir(exist_ok=True)
        replace(base.geometry, adapter=adapter).save(place)
        return {"fit": asdict(settings), "rows": len(pairs)}

    def _fit_model(self) -> dict[str, Any]:
        from training.fit.full import finetune  # imports torch: seconds

        settings = fit_config(self.config.fit)
        rows = [TrainingRow(p.first, p.second, score=p.score) for p in self._pairs["train"]]
        dev, place = self._pairs["dev"], self.folder / "round-1"
        log = finetune(
            self.folder / "base" / "model",
            rows,
            settings,
            place,
            evaluate=lambda encode, _: spearman(_cosines(encode, dev), _scores(dev)),
            progress=self.progress,
        )
        if not (place / "encoder").is_dir():
            texts = [pair.first for pair in self._pairs["train"]]
            export_encoder(place / "model", place / "encoder", texts)
        return {"fit": asdict(settings), "rows": len(rows), "log": log}

    def _final_test(self, kept: bool) -> Mapping[str, Any]:
        """Look at the test pairs, once: the kept model beside the base."""
        before, base = self._measure(self._encoder(0), "test")
        after, best = self._measure(self._encoder(1), "test") if kept else (before, base)
        return self.ledger.add(
            "tested",
            kept_round=int(kept),
            base=base["spearman"],
            kept=best["spearman"],
            interval=asdict(self._interval("test", after, before)),
        )

    def _encoder(self, number: int) -> AdaptedEncoder:
        """Return what makes a round's vectors; both texts of a pair are read as queries."""
        if number not in self._encoders:
            place = round_place(self.folder, number)
            cache = Cache(self.workspace.cache_folder)
            encoder = CachedEncoder(open_encoder(place, progress=self.progress), cache)
            learned = self.folder / (f"round-{number}" if number else "base")
            if (learned / "geometry.safetensors").is_file():
                geometry = Geometry.open(learned)
            else:
                texts = [t for p in self._pairs["train"] for t in (p.first, p.second)]
                mean = encoder.encode_queries(texts).mean(axis=0)
                geometry = Geometry(mean, mean)
            self._encoders[number] = AdaptedEncoder(encoder, geometry)
        return self._encoders[number]

    def _measure(self, encoder: AdaptedEncoder, split: Split) -> tuple[list[float], dict[str, Any]]:
        """Return the cosine of each pair of a split, and Spearman against the scores."""
        pairs = self._pairs[split]
        cosines = _cosines(encoder.encode_queries, pairs)
        rho = spearman(cosines, _scores(pairs))
        return cosines, {
            "fingerprint": encoder.fingerprint,
            "model_fingerprint": encoder.encoder.fingerprint,
            "spearman": rho,
        }

    def _interval(self, split: Split, new: Sequence[float], old: Sequence[float]) -> Interval:
        expected = _scores(self._pairs[split])
        return paired_bootstrap_of_spearman(new, old, expected, seed=self.config.seed)

    def _publish(self) -> tuple[str | None, str | None]:
        """Publish the collection with the trained model; without one, leave the model here."""
        kept = self.folder / "model"
        if self.workspace.current_name() is None:
            if not kept.is_dir():
                (self.folder / "round-1" / "model").rename(kept)
            return None, str(kept)
        entry = self.ledger.get("published")
        name = entry["generation"] if entry else self._published_before_a_cut()
        if name is None:
            name = self._publish_collection()
        if entry is None:
            self.ledger.add("published", generation=name)
        return name, None

    def _published_before_a_cut(self) -> str | None:
        return published_by(self.workspace, self.folder.name, self.config.started_from)

    def _publish_collection(self) -> str:
        current = self.workspace.current()
        before = read_trained(self.folder)
        now = {question_digest(t) for p in self._pairs["train"] for t in (p.first, p.second)}
        earlier = current.manifest["training"] if before else None
        training = {
            "run": self.folder.name,
            "round": 1,
            # The seed of the split of known questions that the model was trained on, if it was.
            "seed": earlier["seed"] if earlier else self.config.seed,
            "objective": "cosine",
        }
        generation = publish_index(
            self.workspace,
            open_collection(current.folder),
            lambda folder: copy_model(round_place(self.folder, 1), folder),
            IndexConfig(**current.manifest["index"]),
            {
                "model": asdict(self.config.model),
                "source": current.manifest["source"],
                "training": training,
                "fitted": None,
                "run": self.folder.name,
            },
            geometry=self._encoder(1).geometry,
            trained_on=before | now,
            # Until the next run on questions; the confidence is not kept.
            weights=read_weights(current.folder) if current.manifest["fitted"] else None,
            progress=self.progress,
        )
        return generation.name


def is_seen(pair: ScoredPair, trained: frozenset[str]) -> bool:
    """Tell whether a model with these digests in trained.json has trained on a text of the pair."""
    return any(question_digest(text) in trained for text in (pair.first, pair.second))


def _cosines(encode: Encode, pairs: Sequence[ScoredPair]) -> list[float]:
    """Return the cosine of each pair; both texts are read as queries."""
    first, second = ([p.first for p in pairs], [p.second for p in pairs])
    cosines: list[float] = (encode(first) * encode(second)).sum(axis=1).tolist()
    return cosines


def _scores(pairs: Sequence[ScoredPair]) -> list[float]:
    return [pair.score for pair in pairs]
