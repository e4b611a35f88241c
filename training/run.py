"""The rounds of one run: mine → train → rebuild → evaluate → keep or drop; then publish."""

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes.analyzer import Analyzer
from indexes.cache import Cache
from indexes.collection import Collection
from indexes.store import Workspace, digest
from indexes.views import owners_of_questions
from search.encoded import EncodedCollection
from search.encoders import export_encoder
from search.fusion import METHODS, FusionWeights
from search.geometry import Geometry
from search.index import index_encoded, question_digest, read_trained_on
from search.known_questions import Query, queries_of
from search.publish import all_texts, library_versions
from search.searcher import Searcher
from training.config import LoopConfig
from training.fit.adapter import adapter_config, learn_adapter
from training.fit.config import fit_config
from training.fit.rows import hard_negatives, training_rows
from training.judgements.decisions import REVIEW_FILE
from training.judgements.feedback import read_feedback
from training.judgements.review import LISTED, last_review, save_review
from training.ledger import Ledger, clear_models, read_trained
from training.measure.bootstrap import paired_bootstrap
from training.measure.evaluation import (
    Evaluation,
    dense_mrr,
    evaluate,
    evaluate_fitted,
    known_from_training,
    write_trec,
)
from training.measure.outcomes import save_outcomes
from training.measure.reliability import ConfidenceQuality
from training.negatives import Negative, describe_yields, mine
from training.negatives.files import open_negatives, save_negatives
from training.places import adapted_encoder, encode_with, round_geometry, round_place
from training.publication import Publication, calibration_of, is_same_model

FEW_QUERIES = 100
GATE_METRIC = "MRR@10"
GATE_METHOD = "hybrid"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What a run came to; metrics are {method: {metric: mean}}."""

    run: str
    counts: Mapping[str, int]  # questions by split
    dev: list[Mapping[str, Any]]  # round 0 first: {round, metrics, kept, interval, …}
    test: Mapping[str, Any]  # {base, kept, interval, slices}
    generation: str | None  # published at the end; None if nothing was
    review: Mapping[str, Any]  # decisions that were there when the run began, and their use
    ended_early: str | None = None  # why not all rounds were taken
    feedback: Mapping[str, Any] | None = None  # what came of users' votes; None: not used


class Run:
    """One run of the loop; a step that the ledger has is not taken again."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        collection: Collection,
        config: LoopConfig,
        progress: bool,
    ) -> None:
        self.workspace, self.folder, self.config = workspace, folder, config
        self.collection, self.progress = collection, progress
        self.train = collection.only(["train"])
        self.dev = self._unseen(queries_of(collection.only(["dev"]).questions))
        self.test = self._unseen(queries_of(collection.only(["test"]).questions))
        self.ledger = Ledger(folder)
        self.review: Mapping[str, Any] = json.loads(
            (folder / REVIEW_FILE).read_text(encoding="utf-8")
        )
        self.feedback = read_feedback(folder)
        self._encoded_at: dict[Path, EncodedCollection] = {}

    def _unseen(self, queries: list[Query]) -> list[Query]:
        """Leave out what the starting model has trained on."""
        trained = read_trained(self.folder)
        kept = [query for query in queries if question_digest(query.text) not in trained]
        if len(kept) < len(queries):
            logger.info(
                "%d questions left out of the measuring: the starting model has trained on them",
                len(queries) - len(kept),
            )
        return kept

    def go(self) -> LoopResult:
        """Take every step that has not been taken yet."""
        counts = {s: len(self.collection.only([s]).questions) for s in ("train", "dev", "test")}
        if not self.ledger.get("started"):
            self.ledger.add(
                "started",
                config=asdict(self.config),
                questions=counts,
                review=self.review["counts"],
                feedback=self.feedback["counts"] if self.feedback else None,
                fingerprints=self._fingerprints(),
                libraries=library_versions(),
            )
        if len(self.dev) < FEW_QUERIES:
            logger.info(
                "only %d development questions: a gain has to be large to be told from chance",
                len(self.dev),
            )
        rounds = [self._round_zero()]
        best = rounds[0]
        incumbent = self._incumbent(rounds[0])
        drops = 0
        ended_early = None
        for number in range(1, self.config.rounds + 1):
            done = self._round(number, best["round"], incumbent)
            rounds.append(done)
            if done["kept"]:
                best, incumbent, drops = done, done, 0
            else:
                drops += 1
                if drops >= self.config.patience and number < self.config.rounds:
                    ended_early = f"ended after round {number} of {self.config.rounds}: no gain"
                    break
        test = self.ledger.get("tested") or self._final_test(rounds[0], best)
        generation = self._publish(best)
        self._end(ended_early)
        return LoopResult(
            self.folder.name, counts, list(rounds), test, generation, self._use_of_review(),
            ended_early, self._use_of_feedback(),
        )  # fmt: skip

    def _fingerprints(self) -> dict[str, str]:
        files = ("answers.parquet", "questions.parquet")
        tables = {name: digest(self.folder / name) for name in files}
        return {"analyzer": Analyzer(self.config.index.analyzer).fingerprint, **tables}

    def _round_zero(self) -> Mapping[str, Any]:
        known = self.ledger.get("evaluated", 0)
        if known:
            return known
        encoded, geometry = self._state(0)
        found, facts = self._measure(encoded, geometry, "dev-0.parquet")
        entry = self.ledger.add("evaluated", 0, kept=True, **facts)
        _log_metrics("round 0, before training", found)
        return entry

    def _incumbent(self, round_zero: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the first round has to beat: round 0, or a better published model."""
        name = self.workspace.current_name()
        known = self.ledger.get("incumbent")
        begun = self.ledger.get("evaluated", 1) or self.ledger.get("published")
        if known or begun or name is None:  # decided before a cut
            return known or round_zero
        generation = self.workspace.current()
        if is_same_model(round_zero, generation.manifest):
            return round_zero
        trained = read_trained_on(generation.folder)
        if any(question_digest(q.text) in trained for q in self.dev):
            logger.info("generation %s knows development questions: it is no match", name)
            return round_zero
        encoded = self._encoded(generation.folder)
        # The means of untrained models are over all questions: here as in round 0.
        geometry = Geometry.open(generation.folder) if trained else encoded.geometry()
        found, facts = self._measure(encoded, geometry, "dev-incumbent.parquet")
        if found.mean(GATE_METHOD, GATE_METRIC) <= _headline(round_zero):
            return round_zero
        _log_metrics(f"published generation {name}", found)
        return self.ledger.add("incumbent", generation=name, **facts)

    def _round(
        self,
        number: int,
        last_kept: int,
        incumbent: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        known = self.ledger.get("evaluated", number)
        if known:
            return known
        negatives = self._mine(number, last_kept)
        self._fit(number, negatives, last_kept if self.config.start_from == "last" else 0)
        encoded, geometry = self._state(number)
        found, facts = self._measure(encoded, geometry, f"dev-{number}.parquet")
        interval = paired_bootstrap(
            found.scores[GATE_METHOD][GATE_METRIC], incumbent["gate_scores"], seed=self.config.seed
        )
        kept = interval.low > 0
        entry = self.ledger.add("evaluated", number, kept=kept, interval=asdict(interval), **facts)
        _log_metrics(f"round {number}", found)
        logger.info(
            "round %d: hybrid %s %s a query against the incumbent: %s",
            number, GATE_METRIC, interval, "kept" if kept else "dropped",
        )  # fmt: skip
        return entry

    def _mine(self, number: int, miner: int) -> list[Negative]:
        """Return the negatives of a round: the new ones, and the earlier ones if they are kept."""
        path = self.folder / f"negatives-{number}.parquet"
        earlier: list[Negative] = []
        if self.config.keep_negatives:
            for before in range(1, number):
                earlier += open_negatives(self.folder / f"negatives-{before}.parquet")
        if self.ledger.get("mined", number):
            return open_negatives(path) + earlier
        started = time.monotonic()
        mined = mine(
            self.collection,
            adapted_encoder(self.folder, miner, self._encoded(round_place(self.folder, miner))),
            Analyzer(self.config.index.analyzer),
            replace(self.config.mining, seed=self.config.seed + number),
            rejected=map(tuple, self.review["rejected"]),
            voted=map(tuple, self.feedback["wrong"] if self.feedback else []),
            earlier=earlier,
        )
        negatives = list(mined.all())
        save_negatives(negatives, path)
        save_negatives(mined.suspects, self.folder / f"suspects-{number}.parquet")
        seconds = _seconds_since(started)
        self.ledger.add(
            "mined", number, yields=mined.counts, suspects=len(mined.suspects), seconds=seconds
        )
        logger.info("round %d: %s", number, describe_yields(mined.counts))
        return negatives + earlier

    def _use_of_review(self) -> dict[str, Any]:
        """Return the counts of the decisions, and how many negatives of a round came of them."""
        return {**self.review["counts"], "rejected_used": self._mined_from("review")}

    def _use_of_feedback(self) -> dict[str, Any] | None:
        """Return the counts of the votes, and how many negatives of a round came of them."""
        if not self.feedback:
            return None
        return {**self.feedback["counts"], "negatives_used": self._mined_from("feedback")}

    def _mined_from(self, source: str) -> int:
        mined = self.ledger.get("mined", 1)
        return mined["yields"].get(source, {}).get("kept", 0) if mined else 0

    def _fit(self, number: int, negatives: Sequence[Negative], start: int) -> None:
        """Learn the round's adapter, or train its model from that of round `start`."""
        if self.ledger.get("trained", number):
            return
        started = time.monotonic()
        fit = self._fit_adapter if self.config.kind == "adapter" else self._fit_model
        facts = fit(number, negatives, start)
        seconds = _seconds_since(started)
        self.ledger.add("trained", number, kind=self.config.kind, **facts, seconds=seconds)
        logger.info("round %d: trained on %d pairs in %.0f s", number, facts["rows"], seconds)

    def _fit_adapter(
        self, number: int, negatives: Sequence[Negative], start: int
    ) -> dict[str, Any]:
        """Learn maps on the base's vectors; an adapter always starts from the base."""
        del start
        encoded = self._encoded(self.folder / "base")
        means = encoded.geometry()
        settings = adapter_config(self.config.fit, self.config.seed)
        kept, rows = hard_negatives(self.train, negatives)
        owners = np.asarray(owners_of_questions(self.train), np.int64)
        adapter, log = learn_adapter(
            means.queries(encoded.question_vectors)[kept],
            owners[kept],
            means.answers(encoded.answer_vectors),
            config=settings,
            negatives=rows,
        )
        place = self.folder / f"round-{number}"
        place.mkdir(exist_ok=True)
        replace(means, adapter=adapter).save(place)
        facts = {"fit": asdict(settings), "rows": len(kept), "negatives": rows.shape[1]}
        return {**facts, "log": log}

    def _fit_model(self, number: int, negatives: Sequence[Negative], start: int) -> dict[str, Any]:
        from training.fit.full import finetune  # imports torch: seconds

        settings = fit_config(self.config.fit)
        rows = training_rows(self.collection, negatives)
        place = self.folder / f"round-{number}"
        log = finetune(
            round_place(self.folder, start) / "model",
            rows,
            settings,
            place,
            evaluate=dense_mrr(self.train, self.dev),
            guide=self.folder / "guide" if settings.guide else None,
            progress=self.progress,
        )
        if not (place / "encoder").is_dir():
            staged = place / ".encoder"
            shutil.rmtree(staged, ignore_errors=True)
            export_encoder(place / "model", staged, all_texts(self.train))
            staged.rename(place / "encoder")
        return {
            "start": start,
            "fit": asdict(settings),
            "rows": len(rows),
            "negatives": len(rows[0].negatives),
            "log": log,
        }

    def _final_test(self, base: Mapping[str, Any], best: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look at the test split, once: the kept model beside the base."""
        started = time.monotonic()
        before = self._test(base)
        after = self._test(best) if best["round"] else before
        calibration = best["calibration"]
        confidence = (
            ConfidenceQuality.of(after.confidence, after.first_is_right(), calibration["threshold"])
            if calibration
            else None
        )
        known = known_from_training(self.test, self.train)
        unknown = [not mark for mark in known]
        interval = paired_bootstrap(
            after.scores[GATE_METHOD][GATE_METRIC],
            before.scores[GATE_METHOD][GATE_METRIC],
            seed=self.config.seed,
        )
        write_trec(after, GATE_METHOD, self.folder)
        save_outcomes(before, self.folder / "test-before.parquet")
        save_outcomes(after, self.folder / "test-after.parquet")
        return self.ledger.add(
            "tested",
            kept_round=best["round"],
            base=before.means(),
            kept=after.means(),
            interval=asdict(interval),
            confidence=asdict(confidence) if confidence else None,
            slices={
                "answer known from training": _slice(after, known),
                "answer not known from training": _slice(after, unknown),
            },
            seconds=_seconds_since(started),
        )

    def _publish(self, best: Mapping[str, Any]) -> str | None:
        publication = Publication(
            workspace=self.workspace,
            folder=self.folder,
            collection=self.collection,
            config=self.config,
            ledger=self.ledger,
            rejected=[(question, answer_id) for question, answer_id in self.review["rejected"]],
            progress=self.progress,
        )
        place = round_place(self.folder, best["round"])
        return publication.publish(best, place, lambda: self._state(best["round"])[1])

    def _end(self, ended_early: str | None) -> None:
        """Leave a list to review, close the ledger, and clear the working models."""
        _, suspects = last_review(self.workspace)
        save_review(suspects[:LISTED], self.folder / "review.csv")
        logger.info("%d answers may be right too; to review: dotbogi review", len(suspects))
        self.ledger.add("ended", early=ended_early)
        clear_models(self.folder)

    def _encoded(self, place: Path) -> EncodedCollection:
        """Return the train side as a place's encoder reads it; the cache has it after the first."""
        if place not in self._encoded_at:
            cache = Cache(self.workspace.cache_folder)
            self._encoded_at[place] = encode_with(
                place, self.train, self.config.index, cache, progress=self.progress
            )
        return self._encoded_at[place]

    def _state(self, number: int) -> tuple[EncodedCollection, Geometry]:
        """Return the train side as a round's model reads it, and what the round learned."""
        encoded = self._encoded(round_place(self.folder, number))
        return encoded, round_geometry(self.folder, number, encoded)

    def _measure(
        self, encoded: EncodedCollection, geometry: Geometry, file: str
    ) -> tuple[Evaluation, dict[str, Any]]:
        """Fit the hybrid's weights on the development split, and measure there.

        What became of every query goes into `file`. Also returns what the ledger keeps;
        `gate_scores` are per query, for the gate.
        """
        started = time.monotonic()
        index = index_encoded(encoded, geometry=geometry)
        found, fitted = evaluate_fitted(index, self.dev, seed=self.config.seed)
        save_outcomes(found, self.folder / file)
        return found, {
            "fingerprint": geometry.fingerprint(encoded.encoder.fingerprint),
            "model_fingerprint": encoded.encoder.fingerprint,
            "weights": asdict(fitted.weights),
            "calibration": asdict(fitted.calibration) if fitted.calibration else None,
            "queries": len(found.queries),
            "metrics": found.means(),
            "gate_scores": found.scores[GATE_METHOD][GATE_METRIC],
            "seconds": _seconds_since(started),
        }

    def _test(self, entry: Mapping[str, Any]) -> Evaluation:
        encoded, geometry = self._state(entry["round"])
        weights = FusionWeights(**entry["weights"])
        index = index_encoded(
            encoded, geometry=geometry, weights=weights, calibration=calibration_of(entry)
        )
        return evaluate(Searcher(index), self.test)


def _slice(evaluation: Evaluation, marks: Sequence[bool]) -> dict[str, Any]:
    return {"queries": sum(marks), "metrics": evaluation.means(marks) if any(marks) else {}}


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 1)


def _headline(entry: Mapping[str, Any]) -> float:
    return float(entry["metrics"][GATE_METHOD][GATE_METRIC])


def _log_metrics(what: str, evaluation: Evaluation) -> None:
    figures = ", ".join(f"{m} {evaluation.mean(m, GATE_METRIC):.3f}" for m in METHODS)
    logger.info("%s: dev %s of %d queries: %s", what, GATE_METRIC, len(evaluation.queries), figures)
