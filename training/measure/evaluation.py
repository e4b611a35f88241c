"""Metrics of BM25, dense and hybrid search, through the search path that users get."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Collection, KnownQuestion
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.hits import Candidate, Ranking
from dotbogi.indexes.text import clean, same_text_key
from dotbogi.search.candidates import Candidates
from dotbogi.search.fitted import Fitted
from dotbogi.search.fusion import METHODS, scores_by
from dotbogi.search.index import build_index, question_digest
from dotbogi.search.known_questions import Query, queries_of
from dotbogi.search.ranking import find_candidates
from dotbogi.search.searcher import Searcher
from dotbogi.training.measure.metrics import ndcg_at, recall_at, reciprocal_rank_at

METRICS = ("recall@1", "recall@5", "recall@10", "MRR@10", "nDCG@10")
DEPTH = 20  # answers a query that are kept of the hybrid's ranking
FOLDS = 10

Encode = Callable[[Sequence[str]], Vectors]
Scores = Mapping[str, Mapping[str, list[float]]]  # method → metric → a score a query

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of every query by method and metric; `scores[method][metric][i]` is query i's."""

    queries: list[Query]
    scores: Scores
    rankings: Mapping[str, list[Ranking]]  # by method: of each query, the first DEPTH answers
    confidence: list[float]  # of each query's first hybrid answer

    def mean(self, method: str, metric: str, only: Sequence[bool] | None = None) -> float:
        """Return a metric's mean over the queries, or over those marked in `only`."""
        values = np.asarray(self.scores[method][metric])
        chosen = values if only is None else values[np.asarray(only, bool)]
        return float(chosen.mean()) if len(chosen) else float("nan")

    @property
    def hybrid(self) -> list[Ranking]:
        """Return the hybrid's ranking of each query."""
        return self.rankings["hybrid"]

    def first_is_right(self) -> list[bool]:
        """Return for each query whether its first hybrid answer is right."""
        pairs = zip(self.hybrid, self.queries, strict=True)
        return [bool(found) and q.grades.get(found[0].answer_id, 0) > 0 for found, q in pairs]

    def means(self, only: Sequence[bool] | None = None) -> dict[str, dict[str, float]]:
        """Return {method: {metric: mean}}."""
        return {
            method: {metric: self.mean(method, metric, only) for metric in METRICS}
            for method in METHODS
        }


def evaluate(searcher: Searcher, queries: Sequence[Query]) -> Evaluation:
    """Search every query and score what comes back."""
    index = searcher.index
    found = find_candidates(index, [query.text for query in queries])
    return score(queries, found, index.fitted)


def score(queries: Sequence[Query], found: Sequence[Candidates], fitted: Fitted) -> Evaluation:
    """Rank the candidates of every query by each method, and score the rankings."""
    rankings: dict[str, list[Ranking]] = {method: [] for method in METHODS}
    confidence: list[float] = []
    for query, candidates in zip(queries, found, strict=True):
        for method, of_method in rankings.items():
            scores = scores_by(candidates, method, fitted.weights)
            rows = candidates.ranking_by(scores)[:DEPTH]
            ids = map(candidates.answer_ids.__getitem__, rows.tolist())
            of_method.append(list(map(Candidate, ids, scores[rows].tolist())))
        first = rankings["hybrid"][-1]
        confidence.append(fitted.calibration.confidence(clean(query.text), candidates, first))
    return evaluation_of(queries, rankings, confidence)


def evaluation_of(
    queries: Sequence[Query],
    rankings: Mapping[str, list[Ranking]],
    confidence: Sequence[float] = (),
) -> Evaluation:
    """Score rankings, by method one a query, best first."""
    scores = {method: _score(queries, ranked) for method, ranked in rankings.items()}
    return Evaluation(list(queries), scores, rankings, list(confidence))


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """Return the evaluation of all queries of several."""
    return Evaluation(
        [query for part in parts for query in part.queries],
        {
            method: {
                metric: [each for part in parts for each in part.scores[method][metric]]
                for metric in METRICS
            }
            for method in METHODS
        },
        {method: [r for part in parts for r in part.rankings[method]] for method in METHODS},
        [each for part in parts for each in part.confidence],
    )


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
    parts: list[Evaluation] = []
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
                    fitted=index.fitted,
                )
                place = Searcher(built)
            parts.append(evaluate(place, members))
    return _in_order(joined(parts), queries)


def _in_order(found: Evaluation, queries: Sequence[Query]) -> Evaluation:
    places = {query.id: place for place, query in enumerate(found.queries)}
    order = [places[query.id] for query in queries]
    return Evaluation(
        list(queries),
        {
            method: {metric: [values[i] for i in order] for metric, values in metrics.items()}
            for method, metrics in found.scores.items()
        },
        {method: [rankings[i] for i in order] for method, rankings in found.rankings.items()},
        [found.confidence[i] for i in order],
    )


def answer_is_known(queries: Sequence[Query], questions: Sequence[KnownQuestion]) -> list[bool]:
    """Mark the queries one of whose answers has one of these known questions."""
    known = {question.answer_id for question in questions}
    return [not known.isdisjoint(query.grades) for query in queries]


def _score(queries: Sequence[Query], rankings: Sequence[Ranking]) -> dict[str, list[float]]:
    ids = [[candidate.answer_id for candidate in ranking[:10]] for ranking in rankings]
    pairs = [(ranking, query.grades) for query, ranking in zip(queries, ids, strict=True)]
    return {
        "recall@1": [recall_at(1, *pair) for pair in pairs],
        "recall@5": [recall_at(5, *pair) for pair in pairs],
        "recall@10": [recall_at(10, *pair) for pair in pairs],
        "MRR@10": [reciprocal_rank_at(10, *pair) for pair in pairs],
        "nDCG@10": [ndcg_at(10, *pair) for pair in pairs],
    }
