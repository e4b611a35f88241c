"""Evaluation of BM25, dense and hybrid search, through the code that answers users."""

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
from dotbogi.training.measure.metrics import METRICS

DEPTH = 20  # answers kept per ranking; metrics see no more
FOLDS = 10  # of the queries that are known questions

Encode = Callable[[Sequence[str]], Vectors]
Scores = Mapping[str, Mapping[str, list[float]]]  # method → metric → a score per query

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of queries by method and metric; `scores[method][metric][i]` belongs to query i."""

    queries: list[Query]
    scores: Scores
    # By method, for each query its first DEPTH answers, with the known questions that matched.
    rankings: Mapping[str, list[Ranking]]
    confidence: list[float]  # in each query's first hybrid answer

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
        return [
            bool(ranking) and query.grades.get(ranking[0].answer_id, 0) > 0
            for ranking, query in zip(self.hybrid, self.queries, strict=True)
        ]

    def means(self, only: Sequence[bool] | None = None) -> dict[str, dict[str, float]]:
        """Return {method: {metric: mean}}."""
        return {
            method: {metric: self.mean(method, metric, only) for metric in METRICS}
            for method in METHODS
        }


def evaluate(searcher: Searcher, queries: Sequence[Query]) -> Evaluation:
    """Search every query, and score the results."""
    index = searcher.index
    results = find_candidates(index, [query.text for query in queries])
    return score(queries, results, index.fitted)


def score(queries: Sequence[Query], results: Sequence[Candidates], fitted: Fitted) -> Evaluation:
    """Rank the candidates of every query by each method, and score the rankings."""
    rankings: dict[str, list[Ranking]] = {method: [] for method in METHODS}
    confidence: list[float] = []
    for query, candidates in zip(queries, results, strict=True):
        for method, of_method in rankings.items():
            scores = scores_by(candidates, method, fitted.weights)
            rows = candidates.ranking_by(scores)[:DEPTH]
            ids = [candidates.answer_ids[row] for row in rows.tolist()]
            matched = map(candidates.questions.get, ids)
            of_method.append(list(map(Candidate, ids, scores[rows].tolist(), matched)))
        first = rankings["hybrid"][-1]
        confidence.append(fitted.calibration.confidence(clean(query.text), candidates, first))
    return evaluation_of(queries, rankings, confidence)


def evaluation_of(
    queries: Sequence[Query],
    rankings: Mapping[str, list[Ranking]],
    confidence: Sequence[float] = (),
) -> Evaluation:
    """Score rankings: by method one per query, best first."""
    scores = {method: _score(queries, ranked) for method, ranked in rankings.items()}
    return Evaluation(list(queries), scores, rankings, list(confidence))


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """Return the evaluation of the queries of all parts."""
    return Evaluation(
        [query for part in parts for query in part.queries],
        {
            method: {
                metric: [value for part in parts for value in part.scores[method][metric]]
                for metric in METRICS
            }
            for method in METHODS
        },
        {method: [r for part in parts for r in part.rankings[method]] for method in METHODS},
        [value for part in parts for value in part.confidence],
    )


def evaluate_table(searcher: Searcher, table: Collection) -> tuple[Evaluation, list[bool]]:
    """Evaluate a published generation on a table's questions.

    Answers of the table are matched with those of the generation by id, or else by text.

    Returns:
        The evaluation, and for each query whether the model was not trained on it.

    Raises:
        DotbogiError: the table has no question, or none with an answer of the generation.
    """
    answers = searcher.index.answers
    by_text = {same_text_key(answer.text): answer.id for answer in answers.values()}
    texts = {answer.id: answer.text for answer in table.answers}
    questions = []
    for question in table.questions:
        answer_id, text = question.answer_id, texts[question.answer_id]
        if answer_id in answers and answers[answer_id].text == text:
            answer_id = answers[answer_id].id  # it may have named a former id
        else:
            answer_id = by_text.get(same_text_key(text), "")
        if answer_id:
            questions.append(replace(question, answer_id=answer_id))
    if not table.questions:
        raise DotbogiError("the table has no question to measure with, only answers.")
    missing = len(table.questions) - len(questions)
    if not questions:
        raise DotbogiError(
            f"none of the table's {len(table.questions)} questions has an answer that is in "
            f"generation {searcher.generation}. Index the answers first: dotbogi index TABLE"
        )
    if missing:
        logger.info("%d questions left out: their answers are not in the generation", missing)
    queries = queries_of(questions)
    trained = searcher.index.trained_on
    evaluation = _evaluate_without_twins(searcher, queries)
    return evaluation, [question_digest(query.text) not in trained for query in queries]


def _evaluate_without_twins(searcher: Searcher, queries: Sequence[Query]) -> Evaluation:
    """Evaluate so that no query finds itself among the known questions.

    Queries that are known questions are divided into ten folds. Each fold is searched in an index
    without the known questions of this fold.
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
            own_searcher = searcher
            if fold is not None:
                keys = {same_text_key(query.text) for query in members}
                kept = [q for q in index.collection.questions if same_text_key(q.text) not in keys]
                built = build_index(
                    replace(index.collection, questions=kept),
                    index.encoder,
                    index.config,
                    cache=cache,
                    geometry=index.geometry,
                    fitted=index.fitted,
                )
                own_searcher = Searcher(built)
            parts.append(evaluate(own_searcher, members))
    return _in_order(joined(parts), queries)


def _in_order(evaluation: Evaluation, queries: Sequence[Query]) -> Evaluation:
    """Return an evaluation with its queries in this order."""
    positions = {query.id: position for position, query in enumerate(evaluation.queries)}
    order = [positions[query.id] for query in queries]
    return Evaluation(
        list(queries),
        {
            method: {metric: [values[i] for i in order] for metric, values in metrics.items()}
            for method, metrics in evaluation.scores.items()
        },
        {method: [rankings[i] for i in order] for method, rankings in evaluation.rankings.items()},
        [evaluation.confidence[i] for i in order],
    )


def answer_is_known(queries: Sequence[Query], questions: Sequence[KnownQuestion]) -> list[bool]:
    """Mark the queries with a right answer that has one of these known questions."""
    known = {question.answer_id for question in questions}
    return [not known.isdisjoint(query.grades) for query in queries]


def _score(queries: Sequence[Query], rankings: Sequence[Ranking]) -> dict[str, list[float]]:
    ids = [[candidate.answer_id for candidate in ranking] for ranking in rankings]
    pairs = [(ranking, query.grades) for query, ranking in zip(queries, ids, strict=True)]
    return {name: [metric(*pair) for pair in pairs] for name, metric in METRICS.items()}
