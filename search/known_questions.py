"""Known questions as labelled queries, each searched in an index without it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dotbogi.indexes.collection import KnownQuestion
from dotbogi.indexes.text import clean, same_text_key
from dotbogi.search.calibration import fit_calibration
from dotbogi.search.candidates import Candidates
from dotbogi.search.encoded import EncodedCollection
from dotbogi.search.fitted import Fitted
from dotbogi.search.fusion import FusionWeights
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import SearchIndex, index_encoded, question_digest
from dotbogi.search.ranking import find_candidates
from dotbogi.search.weights import fit_weights

FOLDS = 10
FEWEST_TO_FIT = 40  # known questions; with fewer, default weights are as good (benchmarks/LOG.md)
_ENOUGH_TO_FIT = 1000  # more questions hardly change the weights
_CUT_SHARE = 0.2  # shortened known questions per query that weights are fitted on


@dataclass(frozen=True, slots=True)
class Query:
    """A labelled query: its text and its right answers."""

    id: str
    text: str
    grades: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Fold:
    """Some of the known questions, and the collection without them."""

    queries: list[Query]
    rest: EncodedCollection


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries, and the candidates for each from an index without it."""

    queries: list[Query]
    found: list[Candidates]
    # Shortened questions that the index contains.
    cut: list[Query]
    found_for_cut: list[Candidates]


def queries_of(questions: Sequence[KnownQuestion]) -> list[Query]:
    """Return one query for each distinct normalised question; all its answers are right."""
    grades: dict[str, dict[str, int]] = {}
    texts: dict[str, str] = {}
    for question in questions:
        key = same_text_key(question.text)
        texts.setdefault(key, question.text)
        grades.setdefault(key, {})[question.answer_id] = 1
    return [Query(f"q{i}", texts[key], grades[key]) for i, key in enumerate(texts)]


def _digest(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest()


def fold_of(text: str, count: int, seed: int) -> int:
    """Return the fold of a text; it is the same for all variants, and in every later table."""
    return int.from_bytes(_digest(same_text_key(text), seed)[:8], "big") * count >> 64


def balanced_folds(questions: Sequence[KnownQuestion], count: int, seed: int) -> list[int]:
    """Return the fold of each question: variants together, the questions of one answer apart.

    So a question searched without its fold finds nearly as many known questions of its answer as a
    new question would. With random folds, a fifth of them are missing, and MRR@10 was .05 too low
    on a development set (benchmarks/LOG.md).

    Args:
        questions: the known questions.
        count: the number of folds.
        seed: of the order in which questions are assigned.
    """
    answers: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        answers[same_text_key(question.text)].add(question.answer_id)
    placed: dict[str, Counter[int]] = defaultdict(Counter)  # answer → its questions in each fold
    sizes: Counter[int] = Counter()
    folds: dict[str, int] = {}
    for key in sorted(answers, key=lambda key: _digest(key, seed)):
        counters = [placed[answer] for answer in answers[key]]
        fold = min(
            range(count), key=lambda fold: (sum(counter[fold] for counter in counters), sizes[fold])
        )
        folds[key] = fold
        for counter in [sizes, *counters]:
            counter[fold] += 1
    return [folds[same_text_key(question.text)] for question in questions]


def folds_of(encoded: EncodedCollection, count: int, seed: int) -> Iterator[Fold]:
    """Yield every fold that has questions; its `rest` has no variant of them."""
    questions = encoded.collection.questions
    numbers = balanced_folds(questions, count, seed)
    for fold in range(count):
        asked = [q for q, number in zip(questions, numbers, strict=True) if number == fold]
        if asked:
            rest = encoded.with_questions([number != fold for number in numbers])
            yield Fold(queries_of(asked), rest)


def ask(index: SearchIndex, queries: Sequence[Query], *, seed: int) -> Asked:
    """Search an index for queries that it does not contain, and for shortened known questions.

    Real queries often resemble a known question. If most answers have only one, the queries here
    resemble none. Weights fitted on them alone would ignore known questions, and a reworded known
    question would find another answer (benchmarks/LOG.md).
    """
    cut = _cut_short(index.collection.questions, round(_CUT_SHARE * len(queries)), seed)
    candidates = [
        replace(of_query, questions={})  # saves memory: the texts are not needed
        for of_query in find_candidates(index, [query.text for query in [*queries, *cut]])
    ]
    return Asked(list(queries), candidates[: len(queries)], cut, candidates[len(queries) :])


def _cut_short(questions: Sequence[KnownQuestion], count: int, seed: int) -> list[Query]:
    """Return some known questions without half of their words, or half of a single word."""
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


def fit(asked: Sequence[Asked], what: str) -> Fitted:
    """Fit the fusion weights, and the confidence that goes with them.

    Args:
        asked: queries whose right answers are known.
        what: a short description of the queries, displayed after their number.
    """
    count = sum(len(part.queries) for part in asked)
    step = -(-count // _ENOUGH_TO_FIT) or 1  # every step-th query is used
    used = slice(None, None, step)
    queries = [query for part in asked for query in part.queries[used]]
    candidates = [of_query for part in asked for of_query in part.found[used]]
    source = f"{len(queries)} {what}"
    if count < FEWEST_TO_FIT:
        weights = FusionWeights()
    else:
        cut = [query for part in asked for query in part.cut[used]]
        weights = fit_weights(
            [*candidates, *(of_query for part in asked for of_query in part.found_for_cut[used])],
            [query.grades for query in [*queries, *cut]],
            prior=FusionWeights(),
            source=source,
        )
    calibration = fit_calibration(
        [clean(query.text) for query in queries],
        candidates,
        [query.grades for query in queries],
        weights,
        source=source,
    )
    return Fitted(weights, calibration)


def fit_on_known_questions(
    encoded: EncodedCollection,
    geometry: Geometry | None = None,
    *,
    trained_on: frozenset[str] = frozenset(),
    seed: int = 0,
) -> Fitted:
    """Fit weights and confidence on the known questions, each searched in an index without it.

    So the weights suit the collection: known questions weigh more if they lead to the answers of
    other questions, and less if they mislead.

    Args:
        encoded: the collection.
        geometry: of its vectors; None for the means of each fold's `rest`.
        trained_on: digests of questions to leave out: the model does too well on them.
        seed: of the folds and of the draw.
    """
    asked: list[Asked] = []
    rng = np.random.default_rng(seed)
    for fold in folds_of(encoded, FOLDS, seed):
        queries = [q for q in fold.queries if question_digest(q.text) not in trained_on]
        # Drawn at random: tables are sorted by topic, so the first rows are no fair sample.
        drawn = sorted(rng.permutation(len(queries))[: _ENOUGH_TO_FIT // FOLDS].tolist())
        index = index_encoded(fold.rest, geometry=geometry)
        asked.append(ask(index, [queries[i] for i in drawn], seed=seed))
    return fit(asked, "known questions, each searched in an index without it")
