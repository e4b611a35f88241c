"""The in-memory index of a collection: built, saved and opened."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Answer, Collection, open_collection, save_collection
from dotbogi.indexes.dense import DenseIndex, Vectors
from dotbogi.indexes.errors import DamagedError, ModelMismatchError
from dotbogi.indexes.files import reading, write_json
from dotbogi.indexes.holds import Hold
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.korean.synonyms import Synonyms, bundled_groups
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.metadata import Allowed, MetadataIndex
from dotbogi.indexes.shapes import fits
from dotbogi.indexes.store import Generation
from dotbogi.indexes.text import same_text_key
from dotbogi.indexes.views import (
    BM25_VIEWS,
    DENSE_VIEWS,
    Best,
    View,
    make_views,
    owners_of_questions,
)
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import Encoder, open_encoder, unit_rows
from dotbogi.search.fitted import Fitted
from dotbogi.search.geometry import AdaptedEncoder, Geometry
from dotbogi.search.typed import Corrector, steps_of


class Preference(NamedTuple):
    """How many users chose an answer for a question, and how many called it wrong."""

    users: int
    opposed: int


_RECALL_QUERIES, _FETCHED = 100, 300  # rows: as many as a search fetches of each view

# (tokens, vectors, n, allowed) → the best answers by signal; see `best_answers`.
SearchShards = Callable[
    [Sequence[Sequence[str]], Vectors, int, Allowed | None], Mapping[str, list[Best]]
]


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """A collection, the indexes over its views, and the encoder and analyzer they need."""

    collection: Collection
    config: IndexConfig
    encoder: Encoder
    geometry: Geometry
    analyzer: Analyzer
    views: Mapping[str, View]
    fitted: Fitted
    metadata: MetadataIndex
    trained_on: frozenset[str] = frozenset()  # digests of the model's training questions
    answers: Mapping[str, Answer] = field(default_factory=dict)  # by id, and by former ids
    # What users chose, by normalised query and answer id.
    preferred: Mapping[str, Mapping[str, Preference]] = field(default_factory=dict)
    known: frozenset[str] = frozenset()  # the known questions, normalised
    corrector: Corrector | None = None  # of queries
    held: Hold | None = None  # the generation is not removed while its index is open
    shards: SearchShards | None = None  # what is searched instead of the views

    @property
    def vectors(self) -> AdaptedEncoder:
        """The encoder that makes the vectors for dense search."""
        return AdaptedEncoder(self.encoder, self.geometry)

    def prepare(self) -> None:
        """Do now what the first queries would be slower for; for an index that stays open."""
        for view in self.views.values():
            if view.dense is not None:
                view.dense.prepare()


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
    """Analyse and encode a collection, and index its views.

    Args:
        collection: answers and known questions.
        encoder: encodes answers with the answer prompt and questions with the query prompt.
        config: analyzer and engines; None for the defaults.
        cache: vectors and tokens of known texts; those of new texts are added. None for no cache.
        geometry: of these vectors; None for their means and no adapter.
        trained_on: digests of the questions that the model was trained on.
        fitted: fusion weights and confidence; None for the defaults.
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
    """Index a collection that is analysed and encoded already; see `build_index`."""
    collection = encoded.collection
    geometry = geometry or encoded.geometry()
    analyzer = encoded.config.open_analyzer()
    views = make_views(collection, encoded.bm25(), _build_dense(encoded, geometry))
    known = _known(collection)
    return SearchIndex(
        collection=collection,
        config=encoded.config,
        encoder=encoded.encoder,
        geometry=geometry,
        analyzer=analyzer,
        views=views,
        fitted=fitted or Fitted(),
        metadata=MetadataIndex(collection.answers),
        trained_on=trained_on,
        answers=_by_id(collection),
        preferred=_preferred(collection),
        known=known,
        corrector=_corrector(encoded.config, collection, known, analyzer, views),
    )


def _by_id(collection: Collection) -> dict[str, Answer]:
    """Return the answers by their ids, and by the ids that they had or that rows of theirs have."""
    aliases = {alias: answer for answer in collection.answers for alias in answer.aliases}
    return aliases | {answer.id: answer for answer in collection.answers}


def _known(collection: Collection) -> frozenset[str]:
    return frozenset(same_text_key(question.text) for question in collection.questions)


def _corrector(
    config: IndexConfig,
    collection: Collection,
    known: frozenset[str],
    analyzer: Analyzer,
    views: Mapping[str, View],
) -> Corrector | None:
    steps, bm25 = steps_of(config.tolerance), views["joined"].bm25
    if not steps or bm25 is None:
        return None
    return Corrector(
        known,
        [*(q.text for q in collection.questions), *(a.text for a in collection.answers)],
        analyzer,
        bm25,
        Synonyms([*config.synonyms, *bundled_groups()]),
        steps,
    )


def _build_dense(encoded: EncodedCollection, geometry: Geometry) -> dict[str, DenseIndex]:
    kind = encoded.config.dense
    answers = geometry.answers(encoded.answer_vectors)
    questions = geometry.queries(encoded.question_vectors)
    indexes = {
        "answer": DenseIndex.build(answers, kind),
        "question": DenseIndex.build(questions, kind),
    }
    if not len(questions):
        return {**indexes, "whole": indexes["answer"]}
    sums = answers.copy()
    np.add.at(sums, np.asarray(owners_of_questions(encoded.collection), np.int64), questions)
    return {**indexes, "whole": DenseIndex.build(unit_rows(sums), kind)}


def save_index(index: SearchIndex, folder: Path) -> dict[str, Any]:
    """Write all but the model into a staged generation; return its part of the manifest."""
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
        "dense_recall": _dense_recall(index),
        "analyzer_fingerprint": index.analyzer.fingerprint,
        "model_fingerprint": index.encoder.fingerprint,
        "vectors_fingerprint": index.geometry.fingerprint(index.encoder.fingerprint),
    }


def _dense_recall(index: SearchIndex) -> dict[str, float] | None:
    """Return recall@10 of each approximate view against exact search; None for exact views.

    The queries are known questions, or answers if there are none.
    """
    views = {name: index.views[name].dense for name in _saved_dense_views(index.collection)}
    asked = views["question"] if index.collection.questions else views["answer"]
    if index.config.dense == "exact" or not asked:
        return None
    drawn = np.random.default_rng(0).permutation(len(asked))[:_RECALL_QUERIES]
    queries = asked.vectors(drawn)
    return {
        name: round(view.recall(queries, 10, _FETCHED), 4) for name, view in views.items() if view
    }


def _saved_dense_views(collection: Collection) -> tuple[str, ...]:
    """Return the views to save; without known questions, the whole view is the answer view."""
    return DENSE_VIEWS if collection.questions else DENSE_VIEWS[:2]


def open_index(generation: Generation, encoder: Encoder | None = None) -> SearchIndex:
    """Open a published generation.

    Args:
        generation: one whose files have been checked.
        encoder: a loaded copy of the generation's model, to use instead of loading it.

    Raises:
        ModelMismatchError: the vectors were made by another model or the tokens by another
            analyzer.
        DamagedError: a file cannot be read, or its size does not fit the other files.
    """
    manifest, folder = generation.manifest, generation.folder
    config = IndexConfig.published(generation)
    if encoder is None:  # the generation's own, whose files are checked already
        encoder = open_encoder(folder)
    if encoder.fingerprint != manifest["model_fingerprint"]:
        raise ModelMismatchError(
            f"{folder}: its {manifest['dim']}-dimensional vectors are from model "
            f"{manifest['model_fingerprint']}; this model is {encoder.fingerprint} with "
            f"{encoder.dim} dimensions. Rebuild: dotbogi index TABLE --model MODEL"
        )
    analyzer = config.open_analyzer()
    if config.words:
        analyzer.tokenize(["가"])  # loads the words now, rather than with the first query
    if analyzer.fingerprint != manifest["analyzer_fingerprint"]:
        raise ModelMismatchError(
            f"{folder}: its tokens are from another version of the {config.analyzer} analyzer. "
            "Rebuild: dotbogi index TABLE"
        )
    collection = open_collection(folder)
    _check_counts(collection, manifest, folder)
    views = _open_views(collection, config, encoder.dim, folder)
    known = _known(collection)
    return SearchIndex(
        collection=collection,
        config=config,
        encoder=encoder,
        geometry=_open_geometry(folder, encoder.dim),
        analyzer=analyzer,
        views=views,
        fitted=Fitted.open(folder),
        metadata=MetadataIndex(collection.answers),
        trained_on=read_trained_on(folder),
        answers=_by_id(collection),
        preferred=_preferred(collection),
        known=known,
        corrector=_corrector(config, collection, known, analyzer, views),
        held=generation.held,
    )


def _check_counts(collection: Collection, manifest: Mapping[str, Any], folder: Path) -> None:
    found = {"answers": len(collection.answers), "questions": len(collection.questions)}
    if found != manifest["counts"]:
        raise DamagedError(
            f"{folder}: holds {found['answers']} answers and {found['questions']} questions; its "
            f"manifest says {manifest['counts']}. Build the index again."
        )
    with reading(folder / "questions.parquet"):
        owners_of_questions(collection)  # each question has an answer


def _open_views(
    collection: Collection, config: IndexConfig, dim: int, folder: Path
) -> dict[str, View]:
    rows = {"question": len(collection.questions)}  # the other views have one text per answer
    # Without known questions, the joined view is the answer view, as EncodedCollection builds it.
    bm25 = {
        view: BM25Index.open(
            folder / f"bm25.{view}", config.bm25, rows.get(view, len(collection.answers))
        )
        for view in (BM25_VIEWS if collection.questions else BM25_VIEWS[:2])
    }
    bm25.setdefault("joined", bm25["answer"])
    dense: dict[str, DenseIndex] = {}
    for view in _saved_dense_views(collection):
        path = folder / f"dense.{view}.faiss"
        dense[view] = DenseIndex.open(path, config.dense)
        found = len(dense[view]), dense[view].dim
        expected = rows.get(view, len(collection.answers)), dim
        if found != expected:
            raise DamagedError(f"{path}: (vectors, dimensions) are {found}; expected {expected}.")
    return make_views(collection, bm25, {"whole": dense["answer"], **dense})


def _open_geometry(folder: Path, dim: int) -> Geometry:
    geometry = Geometry.open(folder)
    means, maps = geometry.shapes()
    if set(means) != {(dim,)} or not set(maps) <= {(dim, dim)}:
        raise DamagedError(
            f"{folder / 'geometry.safetensors'}: its means and maps are not of {dim} dimensions."
        )
    return geometry


def question_digest(question: str) -> str:
    """Return the digest of a question's normalised text, as stored in `trained.json`."""
    return hashlib.sha256(same_text_key(question).encode()).hexdigest()[:16]


def read_trained_on(folder: Path) -> frozenset[str]:
    """Return the digests of the questions that a generation's model was trained on."""
    path = folder / "trained.json"
    digests = read_json(path)
    with reading(path):
        if not fits(digests, list[str]):
            raise ValueError("digests that are no texts")
        return frozenset(digests)


def _preferred(collection: Collection) -> dict[str, dict[str, Preference]]:
    preferred: dict[str, dict[str, Preference]] = {}
    for question in collection.questions:
        if question.preferred:
            answers = preferred.setdefault(same_text_key(question.text), {})
            # Variants of a question have the same counts.
            answers[question.answer_id] = Preference(question.preferred, question.opposed)
    return preferred
