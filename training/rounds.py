"""The rounds of one run: mine → train → rebuild → evaluate → keep or drop; then publish."""

import json
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from indexes.analyzer import Analyzer
from indexes.collection import Collection, KnownQuestion, open_collection
from indexes.store import Workspace, digest
from search.confidence import Calibration
from search.encoders import Encoder, open_encoder
from search.fusion import METHODS, FusionWeights
from search.index import (
    IndexConfig,
    build_index,
    question_digest,
    read_trained_on,
    read_weights,
)
from search.models import ModelConfig, copy_model
from search.publish import library_versions, publish_index
from search.searcher import Searcher
from training.bootstrap import paired_bootstrap
from training.evaluation import (
    Evaluation,
    dense_mrr,
    evaluate,
    evaluate_fitted,
    known_from_training,
    queries_of,
    write_trec,
)
from training.fit import TrainingRow, fit_config
from training.ledger import Ledger, published_by
from training.negatives import MiningConfig, Negative, describe_yields, mine, train_side
from training.negatives.files import open_negatives, save_negatives
from training.objectives import model_kind
from training.outcomes import save_outcomes
from training.reliability import ConfidenceQuality
from training.review import LISTED, last_review, save_review

FEW_QUERIES = 100
GATE_METRIC = "MRR@10"
GATE_METHOD = "hybrid"
REVIEW_FILE = "decisions.json"  # of a run: the decisions it uses, as they were when it began
FEEDBACK_FILE = "feedback.json"  # of a run with feedback: what users had said when it began

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """One run of the loop. Saved in the ledger."""

    rounds: int = 2
    patience: int = 1  # rounds dropped in a row before the loop ends
    start_from: Literal["base", "last"] = "base"  # of each fit: the base, or the last kept model
    keep_negatives: bool = False  # train on those of earlier rounds as well
    seed: int = 42  # of the split, the mining and the fits
    mining: MiningConfig = field(default_factory=MiningConfig)
    fit: Mapping[str, Any] = field(default_factory=dict)  # what differs from the model's defaults
    model: ModelConfig = field(default_factory=ModelConfig)  # what `base` was made from
    source: Mapping[str, Any] = field(default_factory=dict)  # where the table came from
    index: IndexConfig = field(default_factory=IndexConfig)
    started_from: str | None = None  # the generation that was published when the run began
    votes_per_client: int | None = None  # that count, of its feedback; None: it is not used


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
        self.dev = queries_of(collection.only(["dev"]).questions)
        self.test = queries_of(collection.only(["test"]).questions)
        self.ledger = Ledger(folder)
        self.review: Mapping[str, Any] = json.loads(
            (folder / REVIEW_FILE).read_text(encoding="utf-8")
        )
        self.feedback = read_feedback(folder)

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
            # An untrained model has no opinion on negatives; even a dropped one has.
            miner = best if best["trained"] else rounds[-1]
            done = self._round(number, miner, incumbent, best["round"])
            rounds.append(done)
            if done["kept"]:
                best, incumbent, drops = done, done, 0
            else:
                drops += 1
                if drops >= self.config.patience and number < self.config.rounds:
                    ended_early = f"ended after round {number} of {self.config.rounds}: no gain"
                    break
        test = self.ledger.get("tested") or self._final_test(rounds[0], best)
        generation = self._publish(best, ended_early)
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
        encoder = open_encoder(self.folder / "base", progress=self.progress)
        found, facts = self._measure(encoder, "dev-0.parquet")
        entry = self.ledger.add("evaluated", 0, kept=True, **facts)
        _log_metrics("round 0, before training", found)
        return entry

    def _incumbent(self, round_zero: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the first round has to beat: round 0, or a better published model."""
        name = self.workspace.current_name()
        known = self.ledger.get("incumbent")
        if name is None or known:
            return known or round_zero
        generation = self.workspace.current()
        if generation.manifest["model_fingerprint"] == round_zero["fingerprint"]:
            return round_zero
        encoder = open_encoder(generation.folder / "model", progress=self.progress)
        found, facts = self._measure(encoder, "dev-incumbent.parquet")
        if found.mean(GATE_METHOD, GATE_METRIC) <= _headline(round_zero):
            return round_zero
        _log_metrics(f"published generation {name}", found)
        return self.ledger.add("incumbent", generation=name, **facts)

    def _round(
        self,
        number: int,
        miner: Mapping[str, Any],
        incumbent: Mapping[str, Any],
        last_kept: int,
    ) -> Mapping[str, Any]:
        known = self.ledger.get("evaluated", number)
        if known:
            return known
        negatives = self._mine(number, miner)
        self._fit(number, negatives, last_kept if self.config.start_from == "last" else 0)
        encoder = open_encoder(self._model_folder(number), progress=self.progress)
        found, facts = self._measure(encoder, f"dev-{number}.parquet")
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

    def _mine(self, number: int, miner: Mapping[str, Any]) -> list[Negative]:
        """Return the negatives of a round: the new ones, and the earlier ones if they are kept."""
        path = self.folder / f"negatives-{number}.parquet"
        earlier: list[Negative] = []
        if self.config.keep_negatives:
            for before in range(1, number):
                earlier += open_negatives(self.folder / f"negatives-{before}.parquet")
        if self.ledger.get("mined", number):
            return open_negatives(path) + earlier
        started = time.monotonic()
        encoder = open_encoder(self._model_folder(miner["round"]), progress=self.progress)
        mined = mine(
            self.collection,
            encoder,
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
        """Train the round's model from that of round `start`."""
        if self.ledger.get("trained", number):
            return
        from training.finetune import finetune  # imports torch: seconds

        started = time.monotonic()
        base = self._model_folder(start)
        # A round's model is no longer from nothing, whatever the first one was made from.
        settings = fit_config(
            model_kind(base, self.config.model.name if start == 0 else ""), self.config.fit
        )
        rows = training_rows(self.collection, negatives)
        log = finetune(
            base,
            rows,
            settings,
            self.folder / f"round-{number}",
            evaluate=dense_mrr(self.train, self.dev),
            guide=self.folder / "guide" if settings.guide else None,
            progress=self.progress,
        )
        seconds = _seconds_since(started)
        self.ledger.add(
            "trained",
            number,
            start=start,
            fit=asdict(settings),
            rows=len(rows),
            negatives=len(rows[0].negatives),
            log=log,
            seconds=seconds,
        )
        logger.info("round %d: trained on %d pairs in %.0f s", number, len(rows), seconds)

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

    def _publish(self, best: Mapping[str, Any], ended_early: str | None) -> str | None:
        """Publish the kept model over the whole collection, once, and clear the working models.

        Where no round was kept, the model stays; what was fitted for it, the hybrid's weights and
        the confidence, is published if the generation has no such fit yet. What users have said is
        published in any case: a run that started from another model, which was no better, leaves
        the published one where it is.
        """
        entry = self.ledger.get("published") or self._published_before_a_cut()
        if entry is None and (best["round"] > 0 or self._lacks_what_was_fitted(best)):
            entry = self._publish_with(
                self._model_folder(best["round"]),
                self._facts_of_publication(best["round"]),
                trained_on=self._trained_on(best["round"]),
                weights=FusionWeights(**best["weights"]),
                calibration=_calibration(best),
            )
        elif entry is None and self._lacks_feedback():
            current = self.workspace.current()
            kept = {name: current.manifest[name] for name in ("model", "training", "fitted")}
            entry = self._publish_with(
                current.folder / "model",
                {**self._facts_of_publication(0), **kept},
                trained_on=read_trained_on(current.folder),
                weights=read_weights(current.folder),
                calibration=Calibration.open(current.folder),
            )
        _, suspects = last_review(self.workspace)
        save_review(suspects[:LISTED], self.folder / "review.csv")
        logger.info("%d answers may be right too; to review: dotbogi review", len(suspects))
        self.ledger.add("ended", early=ended_early)
        for pattern in ("base", "guide", "round-*"):
            for path in self.folder.glob(pattern):
                shutil.rmtree(path)
        return entry["generation"] if entry else None

    def _publish_with(
        self, model: Path, facts: Mapping[str, Any], **fitted: Any
    ) -> Mapping[str, Any]:
        """Publish the whole collection with a copy of a model; return the ledger's entry."""
        started = time.monotonic()
        generation = publish_index(
            self.workspace,
            self.collection,
            lambda folder: copy_model(model, folder),
            self.config.index,
            facts,
            **fitted,
            progress=self.progress,
        )
        seconds = _seconds_since(started)
        return self.ledger.add("published", generation=generation.name, seconds=seconds)

    def _lacks_what_was_fitted(self, base: Mapping[str, Any]) -> bool:
        """Tell whether publishing the base adds what was fitted or said, and nothing else.

        That is weights and confidence where there are none yet, or feedback, for which they were
        fitted anew. True also where nothing is published yet.
        """
        if self.workspace.current_name() is None:
            return True
        current = self.workspace.current()
        if (
            base["calibration"] is None
            or current.manifest["model_fingerprint"] != base["fingerprint"]
        ):
            return False
        unfitted = Calibration.open(current.folder) is None
        same = _same_texts(open_collection(current.folder), self.collection)
        return (unfitted and same) or self._lacks_feedback()

    def _lacks_feedback(self) -> bool:
        """Tell whether the published collection differs in what came from feedback."""
        if not self.feedback:
            return False
        published = open_collection(self.workspace.current().folder)
        return _from_feedback(published) != _from_feedback(self.collection)

    def _published_before_a_cut(self) -> Mapping[str, Any] | None:
        name = published_by(self.workspace, self.folder.name)
        return self.ledger.add("published", generation=name) if name else None

    def _trained_on(self, number: int) -> frozenset[str]:
        before = frozenset(json.loads((self.folder / "trained.json").read_text(encoding="utf-8")))
        now = {question_digest(question.text) for question in self.train.questions}
        return before | now if number else before

    def _facts_of_publication(self, number: int) -> dict[str, Any]:
        this = {
            "run": self.folder.name,
            "round": number,
            "seed": self.config.seed,
            "objective": self.config.fit.get("objective", "mnr"),
        }
        before = self.workspace.current().manifest if self.workspace.current_name() else {}
        return {
            "model": asdict(self.config.model),
            "source": dict(self.config.source),
            "training": this if number else before.get("training"),
            "fitted": this,
            "feedback": self.folder.name if self.feedback else None,  # the run that used it
        }

    def _measure(self, encoder: Encoder, file: str) -> tuple[Evaluation, dict[str, Any]]:
        """Fit the hybrid's weights on the development split, and measure there.

        What became of every query goes into `file`. Also returns what the ledger keeps;
        `gate_scores` are per query, for the gate.
        """
        started = time.monotonic()
        index = build_index(self.train, encoder, self.config.index)
        found, fitted = evaluate_fitted(index, self.dev, seed=self.config.seed)
        save_outcomes(found, self.folder / file)
        return found, {
            "fingerprint": encoder.fingerprint,
            "trained": encoder.trained,
            "weights": asdict(fitted.weights),
            "calibration": asdict(fitted.calibration) if fitted.calibration else None,
            "queries": len(found.queries),
            "metrics": found.means(),
            "gate_scores": found.scores[GATE_METHOD][GATE_METRIC],
            "seconds": _seconds_since(started),
        }

    def _test(self, entry: Mapping[str, Any]) -> Evaluation:
        encoder = open_encoder(self._model_folder(entry["round"]), progress=self.progress)
        weights = FusionWeights(**entry["weights"])
        index = build_index(
            self.train,
            encoder,
            self.config.index,
            weights=weights,
            calibration=_calibration(entry),
        )
        return evaluate(Searcher(index), self.test)

    def _model_folder(self, number: int) -> Path:
        return self.folder / f"round-{number}" / "model" if number else self.folder / "base"


def run_names(workspace: Workspace) -> list[str]:
    """Return the names of a workspace's runs, oldest first."""
    return sorted(path.name for path in workspace.rounds_folder.glob("run-[0-9]*"))


def training_rows(collection: Collection, negatives: Sequence[Negative]) -> list[TrainingRow]:
    """Return the train pairs as texts, each with its mined negatives."""
    texts = {answer.id: answer.text for answer in collection.answers}
    mined: dict[tuple[str, str], list[str]] = defaultdict(list)
    for negative in negatives:
        mined[negative.question, negative.positive_id].append(negative.text)
    return [
        TrainingRow(q.text, texts[q.answer_id], tuple(mined[q.text, q.answer_id]))
        for q in train_side(collection).questions
    ]


def _calibration(entry: Mapping[str, Any]) -> Calibration | None:
    return Calibration(**entry["calibration"]) if entry["calibration"] else None


def _same_texts(one: Collection, other: Collection) -> bool:
    """Tell whether two collections have the same answers and pairs, whatever their splits."""
    pairs = [{(q.text, q.answer_id) for q in each.questions} for each in (one, other)]
    return one.answers == other.answers and pairs[0] == pairs[1]


def _from_feedback(collection: Collection) -> set[KnownQuestion]:
    """Return the known questions that feedback has made or weighed, whatever their splits."""
    return {replace(q, split=None) for q in collection.questions if q.origin or q.preferred}


def read_feedback(folder: Path) -> Mapping[str, Any] | None:
    """Return what a run uses of the feedback: {counts, wrong, conflicts}; None if nothing."""
    path = folder / FEEDBACK_FILE
    if not path.is_file():
        return None
    stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def _slice(evaluation: Evaluation, marks: Sequence[bool]) -> dict[str, Any]:
    return {"queries": sum(marks), "metrics": evaluation.means(marks) if any(marks) else {}}


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 1)


def _headline(entry: Mapping[str, Any]) -> float:
    return float(entry["metrics"][GATE_METHOD][GATE_METRIC])


def _log_metrics(what: str, evaluation: Evaluation) -> None:
    figures = ", ".join(f"{m} {evaluation.mean(m, GATE_METRIC):.3f}" for m in METHODS)
    logger.info("%s: dev %s of %d queries: %s", what, GATE_METRIC, len(evaluation.queries), figures)
