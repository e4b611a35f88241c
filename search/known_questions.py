"""Known questions asked of an index that lacks them: labels that every table brings along."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from indexes.collection import KnownQuestion
from indexes.hits import Ranking
from indexes.text import same_text_key
from search.encoded import EncodedCollection
from search.fusion import FusionWeights
from search.geometry import Geometry
from search.index import index_encoded, question_digest
from search.ranking import CANDIDATES, find_rankings
from search.weights import fit_weights

FOLDS = 10
FEWEST_TO_FIT = 40  # known questions; below, the default weights are as good (benchmarks/LOG.md)
_ENOUGH_TO_FIT = 1000  # more move the weights no further


@dataclass(frozen=True, slots=True)
class Query:
    """One question to measure with: its text, and the answers that are right."""

    id: str
    text: str
    grades: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Fold:
    """Some of the known questions, and the collection without them."""

    queries: list[Query]
    rest: EncodedCollection


def queries_of(questions: Sequence[KnownQuestion]) -> list[Query]:
    """Return one query for each normalised question; all its answers are right."""
    grades: dict[str, dict[str, int]] = {}
    texts: dict[str, str] = {}
    for question in questions:
        key = same_text_key(question.text)
        texts.setdefault(key, question.text)
        grades.setdefault(key, {})[question.answer_id] = 1
    return [Query(f"q{i}", texts[key], grades[key]) for i, key in enumerate(texts)]


def fold_of(question: str, count: int, seed: int) -> int:
    """Return the fold of a text: all typings of one question share it, in every later table too."""
    digest = hashlib.sha256(f"{seed}\n{same_text_key(question)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * count >> 64


def folds_of(encoded: EncodedCollection, count: int, seed: int) -> Iterator[Fold]:
    """Yield every fold that has questions; none of them finds its own typing in `rest`."""
    questions = encoded.collection.questions
    numbers = [fold_of(question.text, count, seed) for question in questions]
    for fold in range(count):
        asked = [q for q, number in zip(questions, numbers, strict=True) if number == fold]
        if asked:
            rest = encoded.with_questions([number != fold for number in numbers])
            yield Fold(queries_of(asked), rest)


def fit_on_known_questions(
    encoded: EncodedCollection,
    geometry: Geometry | None = None,
    *,
    trained_on: frozenset[str] = frozenset(),
    seed: int = 0,
) -> FusionWeights:
    """Return the weights of the hybrid that put known questions' answers first.

    Each is asked of an index without it. So weights follow the collection: known questions weigh
    much where they point to the answers of other questions, and little where they mislead.

    Args:
        encoded: the collection.
        geometry: of its vectors; left out, the means of what each fold leaves.
        trained_on: digests of questions that are not asked: a model finds what it has learned.
        seed: of the folds.
    """
    signals: list[Mapping[str, Ranking]] = []
    grades: list[Mapping[str, int]] = []
    for fold in folds_of(encoded, FOLDS, seed):
        queries = [q for q in fold.queries if question_digest(q.text) not in trained_on]
        queries = queries[: _ENOUGH_TO_FIT - len(grades)]
        index = index_encoded(fold.rest, geometry=geometry)
        signals += find_rankings(index, [query.text for query in queries], CANDIDATES)
        grades += [query.grades for query in queries]
        if len(grades) >= _ENOUGH_TO_FIT:
            break
    if len(grades) < FEWEST_TO_FIT:
        return FusionWeights()
    source = f"{len(grades)} known questions, each asked with itself left out"
    return fit_weights(signals, grades, prior=FusionWeights(), source=source)
