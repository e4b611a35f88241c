"""What a change of the workspace's words would do, and which words are missing in them."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import open_collection
from dotbogi.indexes.korean.lexicon import read_lexicon
from dotbogi.indexes.korean.spelling import unknown_words
from dotbogi.indexes.korean.synonyms import Synonyms, bundled_groups
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import Encoder, open_encoder, unit_rows
from dotbogi.search.fitted import Fitted
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import index_encoded
from dotbogi.search.known_questions import fit_on_known_questions, folds_of
from dotbogi.search.ranking import find

ASKED = 2000  # known questions at most
ALIKE = 0.15  # cosine; on the bundled sample, most pairs above it mean nearly the same
_FOLDS = 10


@dataclass(frozen=True, slots=True)
class Change:
    """A question whose first answer would change."""

    question: str
    before: str  # the id of its first answer; "" for none
    after: str
    verdict: Literal["better", "worse", "other"]  # right only after, right only before, neither


@dataclass(frozen=True, slots=True)
class Foretold:
    """What indexing with the workspace's words of today would change."""

    asked: int
    changes: list[Change]
    settings: Mapping[str, int]  # groups of synonyms and words, now and then
    is_new: bool  # the files say something else than what is published


def foretell(workspace: Workspace) -> Foretold:
    """Search for the known questions with the published words and with those in the files.

    Each question is searched in an index without it; of more than ASKED, a random draw is asked.

    Raises:
        NothingIndexedError: nothing is published yet.
        UsageError: a line of synonyms.csv or dictionary.csv cannot be used.
    """
    generation = workspace.current()
    now = IndexConfig.published(generation)
    then = replace(now, **read_lexicon(workspace.folder))
    before = first_answers(workspace, generation, now)
    after = before if now == then else first_answers(workspace, generation, then)
    changes = [
        Change(query, first, after[query][0], _verdict(first, after[query][0], right))
        for query, (first, right) in before.items()
        if after[query][0] != first
    ]
    settings = {
        "synonyms_now": len(now.synonyms), "synonyms_then": len(then.synonyms),
        "words_now": len(now.words), "words_then": len(then.words),
    }  # fmt: skip
    ordered = sorted(changes, key=lambda change: change.verdict)
    return Foretold(len(before), ordered, settings, now != then)


def _verdict(
    before: str, after: str, right: Mapping[str, int]
) -> Literal["better", "worse", "other"]:
    was, will = right.get(before, 0) > 0, right.get(after, 0) > 0
    return "other" if was == will else "better" if will else "worse"


def first_answers(
    workspace: Workspace, generation: Generation, config: IndexConfig
) -> dict[str, tuple[str, Mapping[str, int]]]:
    """Return the first answer to each known question, and the grades of its answers.

    Args:
        workspace: its cache is used.
        generation: what is searched, with its model, weights and confidence.
        config: the settings to search it with.
    """
    encoded = EncodedCollection.of(
        open_collection(generation.folder),
        open_encoder(generation.folder),
        config,
        Cache(workspace.cache_folder),
    )
    geometry, fitted = Geometry.open(generation.folder), Fitted.open(generation.folder)
    if (
        generation.manifest["training"] is None
        and config.words != IndexConfig.published(generation).words
    ):
        fitted = fit_on_known_questions(encoded, geometry)  # as `index` will
    firsts: dict[str, tuple[str, Mapping[str, int]]] = {}
    for fold in folds_of(encoded, _FOLDS, 0):
        index = index_encoded(fold.rest, geometry=geometry, fitted=fitted)
        most = min(ASKED // _FOLDS, len(fold.queries))
        # S311: a draw of questions to ask, the same each time.
        queries = random.Random(0).sample(fold.queries, most)  # noqa: S311
        for query, found in zip(queries, find(index, [q.text for q in queries]), strict=True):
            first = found.ranked[0].answer_id if found.ranked else ""
            firsts[query.text] = first, query.grades
    return firsts


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What the lists could have, the likeliest first."""

    synonyms: list[tuple[str, str, float]]  # with the cosine of their centred vectors
    words: list[tuple[str, int]]  # that Kiwi seems not to know, and in how many questions


def suggest(workspace: Workspace) -> Suggestions:
    """Mine the known questions, those of users included, for synonyms and for unknown words.

    Two words may mean the same if the nouns of two questions of one answer differ by them alone,
    and the model finds them alike.

    Raises:
        NothingIndexedError: nothing is published yet.
    """
    generation = workspace.current()
    config = IndexConfig.published(generation)
    collection = open_collection(generation.folder)
    texts = [question.text for question in collection.questions]
    nouns = [
        frozenset(token[:-2] for token in tokens if token.endswith(("/N", "/S")))
        for tokens in config.open_analyzer().tokenize(texts)
    ]
    by_answer: dict[str, list[frozenset[str]]] = defaultdict(list)
    for question, of_question in zip(collection.questions, nouns, strict=True):
        by_answer[question.answer_id].append(of_question)
    pairs = {pair for of_answer in by_answer.values() for pair in _differing(of_answer)}
    known = Synonyms([*config.synonyms, *bundled_groups()])
    new = sorted(pair for pair in pairs if not (pair[0] in known and pair[1] in known))
    words = unknown_words(texts, config.words)
    return Suggestions(_alike(new, open_encoder(generation.folder)), words)


def _differing(questions: Sequence[frozenset[str]]) -> Iterator[tuple[str, str]]:
    """Yield the two nouns that alone tell two questions with a noun in common apart."""
    for one, other in combinations(dict.fromkeys(questions), 2):
        if len(one) == len(other) > 1 and len(one - other) == 1:
            (left,), (right,) = one - other, other - one
            if min(len(left), len(right)) > 1 and not (left.isdigit() or right.isdigit()):
                yield min(left, right), max(left, right)


def _alike(pairs: Sequence[tuple[str, str]], encoder: Encoder) -> list[tuple[str, str, float]]:
    """Return the pairs whose words' vectors, centred on those of all, are near each other."""
    words = sorted({word for pair in pairs for word in pair})
    if not words:
        return []
    vectors = encoder.encode_queries(words)
    centred = dict(zip(words, unit_rows(vectors - vectors.mean(axis=0)), strict=True))
    alike = [(one, other, round(float(centred[one] @ centred[other]), 3)) for one, other in pairs]
    return sorted((pair for pair in alike if pair[2] >= ALIKE), key=lambda pair: -pair[2])
