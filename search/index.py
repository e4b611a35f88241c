"""Everything one search needs, in memory: built from a collection, saved, opened again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Answer, Collection, open_collection, save_collection
from dotbogi.indexes.dense import DenseIndex
from dotbogi.indexes.errors import ModelMismatchError
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.metadata import MetadataIndex
from dotbogi.indexes.store import Generation, write_json
from dotbogi.indexes.text import same_text_key
from dotbogi.indexes.views import BM25_VIEWS, DENSE_VIEWS, View, make_views, owners_of_questions
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import Encoder, open_encoder, unit_rows
from dotbogi.search.fitted import Fitted
from dotbogi.search.geometry import AdaptedEncoder, Geometry


class Preference(NamedTuple):
    """How many users prefer an answer to a question, and how many call it wrong."""

    users: int
    opposed: int


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """A collection with the indexes over its views, and the encoder and analyzer that fit."""

    collection: Collection
    config: IndexConfig
    encoder: Encoder
    geometry: Geometry
    analyzer: Analyzer
    views: Mapping[str, View]
    fitted: Fitted
    metadata: MetadataIndex
    trained_on: frozenset[str] = frozenset()  # digests of the questions the model was trained on
    answers: Mapping[str, Answer] = field(default_factory=dict)
    # What users have preferred, by normalised query and answer id.
    preferred: Mapping[str, Mapping[str, Preference]] = field(default_factory=dict)

    @property
    def vectors(self) -> AdaptedEncoder:
        """Return what makes the vectors that dense search compares."""
        return AdaptedEncoder(self.encoder, self.geometry)


def build_index(
    collection: Collection,
    encoder: Encoder,
    config: IndexConfig | None = None,
    *,
    cache: Cache | None = None,
    geometry: Geometry | None = None,
    trained_on: frozenset[str] = frozenset(),
    fitted: Fitted | None = None,
) -> SearchIndex:
    """Analyse and encode a collection, and index the views of it.

    Args:
        collection: answers and known questions.
        encoder: gives the vectors; answers with the answer prompt, questions with the query's.
        config: analyzer and engines.
        cache: where vectors and tokens of known texts are found and those of new ones kept.
        geometry: of these vectors; left out, their means.
        trained_on: digests of the questions that the model was trained on.
        fitted: weights of the hybrid and confidence; left out, the defaults.
    """
    encoded = EncodedCollection.of(collection, encoder, config or IndexConfig(), cache)
    return index_encoded(
        encoded,
        geometry=geometry,
        trained_on=trained_on,
        fitted=fitted,
    )


def index_encoded(
    encoded: EncodedCollection,
    *,
    geometry: Geometry | None = None,
    trained_on: frozenset[str] = frozenset(),
    fitted: Fitted | None = None,
) -> SearchIndex:
    """Index a collection whose texts are analysed and encoded; see `build_index`."""
    collection = encoded.collection
    geometry = geometry or encoded.geometry()
    return SearchIndex(
        collection=collection,
        config=encoded.config,
        encoder=encoded.encoder,
        geometry=geometry,
        analyzer=Analyzer(encoded.config.analyzer),
        views=make_views(collection, encoded.bm25(), _build_dense(encoded, geometry)),
        fitted=fitted or Fitted(),
        metadata=MetadataIndex(collection.answers),
        trained_on=trained_on,
        answers={answer.id: answer for answer in collection.answers},
        preferred=_preferred(collection),
    )


def _build_dense(encoded: EncodedCollection, geometry: Geometry) -> dict[str, DenseIndex]:
    kind = encoded.config.dense
    answers = geometry.answers(encoded.answer_vectors)
    questions = geometry.queries(encoded.question_vectors)
    found = {
        "answer": DenseIndex.build(answers, kind),
        "question": DenseIndex.build(questions, kind),
    }
    if not len(questions):
        return {**found, "whole": found["answer"]}
    sums = answers.copy()
    np.add.at(sums, np.asarray(owners_of_questions(encoded.collection), np.int64), questions)
    return {**found, "whole": DenseIndex.build(unit_rows(sums), kind)}


def save_index(index: SearchIndex, folder: Path) -> dict[str, Any]:
    """Write everything but the model into a staged generation; return what its manifest needs."""
    save_collection(index.collection, folder)
    index.fitted.save(folder)
    index.geometry.save(folder)
    write_json(folder / "trained.json", sorted(index.trained_on))
    for name, view in index.views.items():
        if view.bm25 is not None:
            view.bm25.save(folder / f"bm25.{name}")
        if view.dense is not None and name in _saved_dense_views(index.collection):
            view.dense.save(folder / f"dense.{name}.faiss")
    return {
        "counts": {
            "answers": len(index.collection.answers),
            "questions": len(index.collection.questions),
        },
        "index": asdict(index.config),
        "dim": index.encoder.dim,
        "metric": "inner product of unit vectors",
        "analyzer_fingerprint": index.analyzer.fingerprint,
        "model_fingerprint": index.encoder.fingerprint,
        "vectors_fingerprint": index.geometry.fingerprint(index.encoder.fingerprint),
    }


def _saved_dense_views(collection: Collection) -> tuple[str, ...]:
    """Return the views with vectors of their own: an answer without questions is all there is."""
    return DENSE_VIEWS if collection.questions else DENSE_VIEWS[:2]


def open_index(generation: Generation, encoder: Encoder | None = None) -> SearchIndex:
    """Open a published generation.

    Args:
        generation: its files have been checked.
        encoder: used in place of the generation's own copy; must be the same model.

    Raises:
        ModelMismatchError: the vectors were made by another model or the tokens by another
            analyzer.
    """
    manifest, folder = generation.manifest, generation.folder
    config = IndexConfig(**manifest["index"])
    if encoder is None:  # the generation's own, checked file by file already
        encoder = open_encoder(folder)
    elif encoder.fingerprint != manifest["model_fingerprint"]:
        raise ModelMismatchError(
            f"{folder}: its {manifest['dim']}-dimensional vectors are from model "
            f"{manifest['model_fingerprint']}; this model is {encoder.fingerprint} with "
            f"{encoder.dim} dimensions. Rebuild: dotbogi index TABLE --model MODEL"
        )
    analyzer = Analyzer(config.analyzer)
    if analyzer.fingerprint != manifest["analyzer_fingerprint"]:
        raise ModelMismatchError(
            f"{folder}: its tokens are from another version of the {config.analyzer} analyzer. "
            "Rebuild: dotbogi index TABLE"
        )
    collection = open_collection(folder)
    sizes = {"question": len(collection.questions)}  # the other views have a text an answer
    bm25 = {
        view: BM25Index.open(
            folder / f"bm25.{view}", config.bm25, sizes.get(view, len(collection.answers))
        )
        for view in BM25_VIEWS
    }
    dense = {
        view: DenseIndex.open(folder / f"dense.{view}.faiss", config.dense)
        for view in _saved_dense_views(collection)
    }
    return SearchIndex(
        collection=collection,
        config=config,
        encoder=encoder,
        geometry=Geometry.open(folder),
        analyzer=analyzer,
        views=make_views(collection, bm25, {"whole": dense["answer"], **dense}),
        fitted=Fitted.open(folder),
        metadata=MetadataIndex(collection.answers),
        trained_on=read_trained_on(folder),
        answers={answer.id: answer for answer in collection.answers},
        preferred=_preferred(collection),
    )


def question_digest(question: str) -> str:
    """Return what stands for a question in `trained.json`: a digest of its normalised text."""
    return hashlib.sha256(same_text_key(question).encode()).hexdigest()[:16]


def read_trained_on(folder: Path) -> frozenset[str]:
    """Return the digests of the questions that a generation's model was trained on."""
    return frozenset(json.loads((folder / "trained.json").read_text(encoding="utf-8")))


def _preferred(collection: Collection) -> dict[str, dict[str, Preference]]:
    found: dict[str, dict[str, Preference]] = {}
    for question in collection.questions:
        if question.preferred:
            answers = found.setdefault(same_text_key(question.text), {})
            # The same for every typing.
            answers[question.answer_id] = Preference(question.preferred, question.opposed)
    return found
