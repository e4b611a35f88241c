"""One run on questions and answers; no question is measured with a model trained on it."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection, KnownQuestion, open_collection
from dotbogi.indexes.files import digest
from dotbogi.indexes.store import Workspace
from dotbogi.search.index import index_encoded
from dotbogi.search.known_questions import Asked, Query, ask, queries_of
from dotbogi.search.publish import library_versions
from dotbogi.search.searcher import Searcher
from dotbogi.training.config import LoopConfig
from dotbogi.training.gate import Verdict, judge_searches
from dotbogi.training.judgements.decisions import used_decisions
from dotbogi.training.judgements.feedback import read_feedback
from dotbogi.training.judgements.review import LISTED, last_review, save_review
from dotbogi.training.learner import Learner
from dotbogi.training.ledger import Measured, Merged, Started, Tested
from dotbogi.training.measure.crossfit import out_of_fold
from dotbogi.training.measure.evaluation import Evaluation, answer_is_known, evaluate
from dotbogi.training.measure.metrics import GATE_METRIC
from dotbogi.training.measure.outcomes import save_outcomes
from dotbogi.training.measure.reliability import ConfidenceQuality
from dotbogi.training.measure.trec import write_trec
from dotbogi.training.publication import Publication
from dotbogi.training.rounds import Rounds
from dotbogi.training.run_folders import encoder_folder, round_folder

GATE_METHOD = "hybrid"
SHARES = (1.0, 0.75, 0.5)  # of the tuned weights in a full fit

logger = logging.getLogger(__name__)


class Run(Rounds):
    """The rounds on a collection of questions and answers.

    A fold is one of K groups of questions. Negatives, adapter or model, hybrid weights and
    confidence are learned without a fold, and measured on it. So every question is measured, and
    never with anything that was learned from it.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        collection: Collection,
        config: LoopConfig,
        progress: bool,
    ) -> None:
        super().__init__(workspace, folder, config, progress)
        self.collection = collection
        self.held_out = self._held_out()
        self.review = used_decisions(folder)
        self.feedback = read_feedback(folder)
        self.learner = Learner(
            workspace, folder, collection, config, self.ledger,
            rejected=[(question, answer) for question, answer in self.review["rejected"]],
            voted=[(q, answer) for q, answer in (self.feedback or {"wrong": []})["wrong"]],
            progress=progress,
        )  # fmt: skip
        self._queries = self._queries_by_fold()

    def _held_out(self) -> list[Query]:
        """Return the held-out questions, from the table and from a separate test table."""
        questions = [*self.collection.only(["test"]).questions]
        if (self.folder / "held-out").is_dir():
            questions += open_collection(self.folder / "held-out").questions
        return queries_of(questions)

    def _queries_by_fold(self) -> dict[int, list[Query]]:
        """Return the queries of each fold that is measured; no fold is empty."""
        by_fold: dict[int, list[KnownQuestion]] = defaultdict(list)
        folds = self.learner.fold_of_question
        for question, fold in zip(self.learner.train.questions, folds, strict=True):
            by_fold[fold].append(question)
        return {
            fold: [replace(query, id=f"f{fold}{query.id}") for query in queries_of(by_fold[fold])]
            for fold in sorted(by_fold)[: self.config.folds]
        }

    def start(self) -> Started:
        """Return the event that begins the run."""
        questions = {"train": len(self.learner.train.questions), "test": len(self.held_out)}
        files = ("answers.parquet", "questions.parquet")
        return Started(
            config=asdict(self.config),
            counts=questions,
            review=self.review["counts"],
            feedback=self.feedback["counts"] if self.feedback else None,
            fingerprints={
                "analyzer": self.config.index.open_analyzer().fingerprint,
                **{name: digest(self.folder / name) for name in files},
            },
            libraries=library_versions(),
        )

    def learn(self, number: int, best: int) -> None:
        """Train a round without each fold in turn; the best round so far mines its negatives."""
        if best:
            self.refit(best)
        self.learner.mine(number, best)
        self.learner.fit(number, [*self._queries], best)
        if self.config.kind == "full":
            self._merge(number)

    def _merge(self, number: int) -> None:
        """Choose the share of the tuned weights by the out-of-fold metric of the hybrid."""
        if self.ledger.find(Merged, round=number):
            return
        figures = {}
        for share in SHARES:
            for fold in self._queries:
                self.learner.merge(number, fold, share)
            evaluation = out_of_fold(self._ask(number)[0]).evaluation
            figures[f"{share:g}"] = evaluation.mean(GATE_METHOD, GATE_METRIC)
        best = max(SHARES, key=lambda share: figures[f"{share:g}"])
        for fold in self._queries:  # before the event, which records these files
            self.learner.merge(number, fold, best)
        self.ledger.add(Merged(round=number, share=best, figures=figures))
        logger.info("round %d: merged with the base, %.0f%% tuned weights", number, 100 * best)

    def refit(self, number: int) -> None:
        """Train a kept round again, on all questions that are not held out."""
        measured = self.ledger.find(Measured, round=number)
        assert measured
        before = measured.against or 0
        if before and self.config.start_from == "last":
            self.refit(before)
        self.learner.fit(number, [None], before)
        merged = self.ledger.find(Merged, round=number)
        folder = round_folder(self.folder, number, None)
        if merged and not self.ledger.has(folder / "geometry.safetensors"):
            self.learner.merge(number, None, merged.share)

    def measure(self, number: int) -> Measured:
        """Search every question in an index without it, with a model trained without it."""
        asked, known = self._ask(number)
        measured = out_of_fold(asked)
        evaluation = measured.evaluation
        save_outcomes(evaluation, self.folder / f"questions-{number}.parquet")
        write_trec(evaluation, GATE_METHOD, self.folder / f"run-{number}.trec")
        return Measured(
            round=number,
            kept=True,
            queries=len(evaluation.queries),
            metrics=evaluation.means(),
            scores=evaluation.scores[GATE_METHOD][GATE_METRIC],
            dense_scores=evaluation.scores["dense"][GATE_METRIC],
            slices={
                "answer known from other questions": _slice(evaluation, known, True),
                "answer not known": _slice(evaluation, known, False),
            },
            fitted=measured.fitted,
            confidence=_quality(evaluation, measured.fitted.calibration.threshold),
            seconds=0,
        )

    def _ask(self, number: int) -> tuple[list[Asked], dict[str, bool]]:
        """Search the questions of each fold with what a round learned without them.

        Returns:
            The results, one entry per fold; and by query id, whether a question of another fold
            has its answer.
        """
        asked: list[Asked] = []
        known: dict[str, bool] = {}
        for fold, queries in self._queries.items():
            encoded, geometry = self.learner.state(number, fold)
            index = index_encoded(encoded, geometry=geometry)
            asked.append(ask(index, queries, seed=self.config.seed))
            marks = answer_is_known(queries, encoded.collection.questions)
            known |= {query.id: mark for query, mark in zip(queries, marks, strict=True)}
        return asked, known

    def judge(self, new: Measured, old: Measured) -> Verdict:
        """Ask the gate to compare the scores of two rounds."""
        return judge_searches(
            (new.scores, old.scores), (new.dense_scores, old.dense_scores), seed=self.config.seed
        )

    def test(self, best: Measured) -> Tested | None:
        """Search the held-out questions, once, with round 0 and with the kept round."""
        if not self.held_out:
            return None
        first = self.ledger.find(Measured, round=0)
        assert first
        before = self._evaluate_held_out(first)
        after = self._evaluate_held_out(best) if best.round else before
        save_outcomes(before, self.folder / "test-before.parquet")
        save_outcomes(after, self.folder / "test-after.parquet")
        hybrid, dense = (
            (after.scores[method][GATE_METRIC], before.scores[method][GATE_METRIC])
            for method in (GATE_METHOD, "dense")
        )
        assert best.fitted
        return Tested(
            kept_round=best.round,
            queries=len(self.held_out),
            before=before.means(),
            after=after.means(),
            verdict=judge_searches(hybrid, dense, seed=self.config.seed),
            confidence=_quality(after, best.fitted.calibration.threshold),
            seconds=0,
        )

    def _evaluate_held_out(self, measured: Measured) -> Evaluation:
        encoded, geometry = self.learner.state(measured.round, None)
        index = index_encoded(encoded, geometry=geometry, fitted=measured.fitted)
        return evaluate(Searcher(index), self.held_out)

    def publish(self, best: Measured) -> tuple[str | None, None]:
        """Publish the kept round over the whole collection; without one, what the run adds."""
        publication = Publication(
            workspace=self.workspace,
            folder=self.folder,
            collection=self.collection,
            config=self.config,
            ledger=self.ledger,
            rejected=[(question, answer_id) for question, answer_id in self.review["rejected"]],
            progress=self.progress,
        )
        folder = encoder_folder(self.folder, best.round, None)
        return publication.publish(
            best, folder, lambda: self.learner.state(best.round, None)[1]
        ), None

    def write_review(self) -> None:
        """Write the suspects of the run as a list to review."""
        _, suspects = last_review(self.workspace)
        save_review(suspects[:LISTED], self.folder / "review.csv")
        logger.info("%d answers may also be right. Review them: dotbogi review", len(suspects))


def _slice(evaluation: Evaluation, known: Mapping[str, bool], wanted: bool) -> dict[str, Any]:
    marks = [known[query.id] is wanted for query in evaluation.queries]
    return {"queries": sum(marks), "metrics": evaluation.means(marks) if any(marks) else {}}


def _quality(evaluation: Evaluation, threshold: float) -> ConfidenceQuality:
    return ConfidenceQuality.of(evaluation.confidence, evaluation.first_is_right(), threshold)
