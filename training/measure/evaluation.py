"""Metrics of BM25, dense and hybrid search, through the search path that users get."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import numpy as np

from indexes.cache import Cache
from indexes.collection import Collection, KnownQuestion
from indexes.dense import Vectors
from indexes.errors import DotbogiError
from indexes.hits import Qrels, Ranking, Run
from indexes.text import clean, same_text_key
from search.fusion import METHODS, FusionWeights
from search.geometry import Geometry
from search.index import SearchIndex, build_index, question_digest
from search.known_questions import Query, queries_of
from search.searcher import Searcher
from search.weights import fit_weights
from training.measure.calibration import fit_calibration
from training.measure.metrics import ndcg_at, recall_at, reciprocal_rank_at

METRICS = ("recall@1", "recall@5", "recall@10", "MRR@10", "nDCG@10")
DEPTH = 100  # answers a query in a run file
FOLDS = 10
KNOWN_SHARE = 0.2  # known questions, cut short, for each query that weights are fitted on

Encode = Callable[[Sequence[str]], Vectors]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of every query by method and metric; `scores[method][metric][i]` is query i's."""

    queries: list[Query]
    scores: Mapping[str, Mapping[str, list[float]]]
    runs: Mapping[str, Run]
    confidence: list[float]  # of each query's first hybrid answer; empty before it is calibrated

    def mean(self, method: str, metric: str, only: Sequence[bool] | None = None) -> float:
        """Return a metric's mean over the queries, or over those marked in `only`."""
        values = np.asarray(self.scores[method][metric])
        chosen = values if only is None else values[np.asarray(only, bool)]
        return float(chosen.mean()) if len(chosen) else float("nan")

    def first_is_right(self) -> list[bool]:
        """Return for each query whether its first hybrid answer is right."""
        run = self.runs["hybrid"]
        firsts = (run[query.id][:1] for query in self.queries)
        pairs = zip(firsts, self.queries, strict=True)
        return [any(q.grades.get(c.answer_id, 0) > 0 for c in first) for first, q in pairs]

    def means(self, only: Sequence[bool] | None = None) -> dict[str, dict[str, float]]:
        """Return {method: {metric: mean}}."""
        return {
            method: {metric: self.mean(method, metric, only) for metric in METRICS}
            for method in METHODS
        }


def evaluate(searcher: Searcher, queries: Sequence[Query]) -> Evaluation:
    """Search every query and score what comes back."""
    return _scored(queries, *_search(searcher, queries))


def evaluate_fitted(
    index: SearchIndex, queries: Sequence[Query], *, seed: int
) -> tuple[Evaluation, SearchIndex]:
    """Fit weights and confidence on the queries, and evaluate with them: for development splits.

    Returns the evaluation and the index with what was fitted.

    Beside the queries the fit sees some known questions of the index, cut short. A development
    query is never a known question; what people ask of a published index often nearly is. Where
    most answers have one known question each, the queries alone teach that known questions are
    of no use, and one asked again in its own words finds another answer (benchmarks/LOG.md).
    """
    searcher = Searcher(index)
    signals = searcher.rankings([query.text for query in queries], DEPTH)
    known = _cut_short(index.collection.questions, round(KNOWN_SHARE * len(queries)), seed)
    weights = fit_weights(
        [*signals, *searcher.rankings([query.text for query in known], DEPTH)],
        [query.grades for query in [*queries, *known]],
        prior=FusionWeights(),
        source=f"{len(queries)} development questions",
    )
    calibration = fit_calibration(
        [clean(query.text) for query in queries],
        signals,
        [query.grades for query in queries],
        weights,
    )
    fitted = replace(index, weights=weights, calibration=calibration)
    return _scored(queries, *_fused(Searcher(fitted), queries, signals)), fitted


def _cut_short(questions: Sequence[KnownQuestion], count: int, seed: int) -> list[Query]:
    """Return some known questions without half of their words, or a single word's second half."""
    rng = np.random.default_rng(seed)
    known = queries_of(questions)
    drawn = [known[i] for i in rng.permutation(len(known))[:count]]

    def cut(text: str) -> str:
        words = text.split()
        if len(words) == 1:
            return text[: (len(text) + 1) // 2]
        kept = rng.permutation(len(words))[: (len(words) + 1) // 2]
        return " ".join(words[i] for i in sorted(kept))

    return [replace(query, text=cut(query.text)) for query in drawn]


Found = tuple[dict[str, dict[str, Ranking]], dict[str, float]]  # runs, confidence; by query id


def _search(searcher: Searcher, queries: Sequence[Query]) -> Found:
    signals = searcher.rankings([query.text for query in queries], DEPTH)
    return _fused(searcher, queries, signals)


def _fused(
    searcher: Searcher, queries: Sequence[Query], rankings: Sequence[Mapping[str, Ranking]]
) -> Found:
    runs: dict[str, dict[str, Ranking]] = {method: {} for method in METHODS}
    confidences: dict[str, float] = {}
    for query, signals in zip(queries, rankings, strict=True):
        for method in METHODS:
            runs[method][query.id] = searcher.fuse(signals, method)[:DEPTH]
        confidence = searcher.confidence(query.text, signals, runs["hybrid"][query.id])
        if confidence is not None:
            confidences[query.id] = confidence
    return runs, confidences


def _scored(
    queries: Sequence[Query], runs: Mapping[str, Run], confidences: Mapping[str, float]
) -> Evaluation:
    scores = {
        method: _score(queries, [[c.answer_id for c in run[q.id]] for q in queries])
        for method, run in runs.items()
    }
    confidence = [confidences[q.id] for q in queries] if confidences else []
    return Evaluation(list(queries), scores, runs, confidence)


def evaluate_table(searcher: Searcher, table: Collection) -> tuple[Evaluation, list[bool]]:
    """Evaluate a published generation on a table's questions.

    Answers of the table are found in the generation by their id, else by their text.

    Returns:
        The evaluation, and for each query whether the model has not trained on it.

    Raises:
        DotbogiError: no question of the table has an answer that the generation holds.
    """
    held = searcher.index.answers
    by_text = {same_text_key(answer.text): answer.id for answer in held.values()}
    texts = {answer.id: answer.text for answer in table.answers}
    questions = []
    for question in table.questions:
        answer_id = question.answer_id
        if answer_id not in held or held[answer_id].text != texts[answer_id]:
            answer_id = by_text.get(same_text_key(texts[answer_id]), "")
        if answer_id:
            questions.append(replace(question, answer_id=answer_id))
    if not table.questions:
        raise DotbogiError("there is no question to measure with: the table has answers alone.")
    missing = len(table.questions) - len(questions)
    if not questions:
        raise DotbogiError(
            f"none of the table's {len(table.questions)} questions has an answer that generation "
            f"{searcher.generation} holds. Index the answers first: dotbogi index TABLE"
        )
    if missing:
        logger.info("%d questions left out: their answers are not in the generation", missing)
    queries = queries_of(questions)
    trained = searcher.index.trained_on
    evaluation = _evaluate_without_twins(searcher, queries)
    return evaluation, [question_digest(query.text) not in trained for query in queries]


def _evaluate_without_twins(searcher: Searcher, queries: Sequence[Query]) -> Evaluation:
    """Evaluate so that no query finds the known question that it is.

    Queries that are known questions are taken in ten folds: each fold is searched in an index
    that lacks the known questions of this fold alone.
    """
    index = searcher.index
    known = {same_text_key(question.text) for question in index.collection.questions}
    folds: dict[int | None, list[Query]] = defaultdict(list)
    for number, query in enumerate(queries):
        folds[number % FOLDS if same_text_key(query.text) in known else None].append(query)
    runs: dict[str, dict[str, Ranking]] = {method: {} for method in METHODS}
    confidences: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        for fold, members in folds.items():
            place = searcher
            if fold is not None:
                keys = {same_text_key(query.text) for query in members}
                kept = [q for q in index.collection.questions if same_text_key(q.text) not in keys]
                rest = replace(index.collection, questions=kept)
                built = build_index(
                    rest,
                    index.encoder,
                    index.config,
                    cache=cache,
                    geometry=index.geometry,
                    weights=index.weights,
                )
                place = Searcher(replace(built, calibration=index.calibration))
            of_fold, sure = _search(place, members)
            confidences |= sure
            for method, run in of_fold.items():
                runs[method].update(run)
    ordered = {method: {q.id: run[q.id] for q in queries} for method, run in runs.items()}
    return _scored(queries, ordered, confidences)


def dense_mrr(train: Collection, queries: Sequence[Query]) -> Callable[[Encode, Encode], float]:
    """Return what gives MRR@10 of dense search, over both views, from a model's encode functions.

    Used inside a fit, where the weights change with every step: only vectors are made anew.
    """
    answers = [answer.text for answer in train.answers]
    questions = [question.text for question in train.questions]
    places = {answer.id: place for place, answer in enumerate(train.answers)}
    owners = np.asarray([places[question.answer_id] for question in train.questions], np.int64)
    asked = [query.text for query in queries]

    def score(encode_queries: Encode, encode_answers: Encode) -> float:
        found = encode_queries([*questions, *asked]), encode_answers(answers)
        geometry = Geometry(found[0].mean(axis=0), found[1].mean(axis=0))
        known, wanted = np.split(geometry.queries(found[0]), [len(questions)])
        cosines = wanted @ geometry.answers(found[1]).T
        np.maximum.at(cosines.T, owners, known @ wanted.T)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :10]
        rankings = [[train.answers[place].id for place in row] for row in best]
        return float(np.mean(_score(queries, rankings)["MRR@10"]))

    return score


def known_from_training(queries: Sequence[Query], train: Collection) -> list[bool]:
    """Mark the queries one of whose answers has a train-side question."""
    known = {question.answer_id for question in train.questions}
    return [not known.isdisjoint(query.grades) for query in queries]


def write_trec(evaluation: Evaluation, method: str, folder: Path) -> None:
    """Write run.trec and qrels.trec, from which any trec_eval gives the figures reported here.

    queries.tsv tells the text of each query id.

    trec_eval orders equal scores by its own rule and reads them in single precision: a score that
    is not below the one before it is lowered by one such step.
    """
    lines = []
    for query_id, ranking in evaluation.runs[method].items():
        previous = np.float32(np.inf)
        for rank, candidate in enumerate(ranking, 1):
            score = min(np.float32(candidate.score), np.nextafter(previous, np.float32(-np.inf)))
            answer = _one_word(candidate.answer_id)
            lines.append(f"{query_id} Q0 {answer} {rank} {score:.9g} dotbogi-{method}")
            previous = score
    _write(folder / "run.trec", lines)
    texts = (" ".join(query.text.split()) for query in evaluation.queries)
    ids = (query.id for query in evaluation.queries)
    _write(folder / "queries.tsv", [f"{i}\t{text}" for i, text in zip(ids, texts, strict=True)])
    qrels: Qrels = {query.id: query.grades for query in evaluation.queries}
    _write(
        folder / "qrels.trec",
        [
            f"{q} 0 {_one_word(answer)} {grade}"
            for q, grades in qrels.items()
            for answer, grade in grades.items()
        ],
    )


def _score(queries: Sequence[Query], rankings: Sequence[Sequence[str]]) -> dict[str, list[float]]:
    pairs = [(ranking, query.grades) for query, ranking in zip(queries, rankings, strict=True)]
    return {
        "recall@1": [recall_at(1, *pair) for pair in pairs],
        "recall@5": [recall_at(5, *pair) for pair in pairs],
        "recall@10": [recall_at(10, *pair) for pair in pairs],
        "MRR@10": [reciprocal_rank_at(10, *pair) for pair in pairs],
        "nDCG@10": [ndcg_at(10, *pair) for pair in pairs],
    }


def _one_word(answer_id: str) -> str:
    """Percent-encode white space, which separates the columns of a TREC file."""
    return re.sub(r"\s", lambda space: quote(space[0]), answer_id)


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
