"""Everything one search needs, in memory: built from a collection, saved, opened again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from indexes.analyzer import Analyzer, AnalyzerName
from indexes.cache import Cache
from indexes.collection import Answer, Collection, open_collection, save_collection
from indexes.dense import DenseIndex, DenseKind, Vectors
from indexes.errors import ModelMismatchError
from indexes.lexical import BM25Engine, BM25Index, Tokens
from indexes.metadata import MetadataIndex
from indexes.store import Generation, write_json
from indexes.text import same_text_key
from indexes.views import (
    BM25_VIEWS,
    DENSE_VIEWS,
    View,
    dense_texts,
    make_views,
    owners_of_questions,
)
from search.confidence import Calibration
from search.encoders import Encoder, StaticEncoder, open_encoder
from search.fusion import UNTRAINED, FusionWeights
from search.maxsim import MaxSim


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexConfig:
    """How a collection is indexed. Saved in the manifest."""

    analyzer: AnalyzerName = "kiwi"
    bm25: BM25Engine = "bm25s"
    dense: DenseKind = "exact"


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
    analyzer: Analyzer
    views: Mapping[str, View]
    weights: FusionWeights
    metadata: MetadataIndex
    trained_on: frozenset[str] = frozenset()  # digests of the questions the model was trained on
    answers: Mapping[str, Answer] = field(default_factory=dict)
    maxsim: MaxSim | None = None  # static models only
    calibration: Calibration | None = None  # None until `train` has fitted one
    # What users have preferred, by normalised query and answer id.
    preferred: Mapping[str, Mapping[str, Preference]] = field(default_factory=dict)


def build_index(
    collection: Collection,
    encoder: Encoder,
    config: IndexConfig | None = None,
    *,
    cache: Cache | None = None,
    trained_on: frozenset[str] = frozenset(),
    weights: FusionWeights | None = None,
    calibration: Calibration | None = None,
) -> SearchIndex:
    """Analyse and encode a collection, and index the views of it.

    Args:
        collection: answers and known questions.
        encoder: gives the vectors; answers with the answer prompt, questions with the query's.
        config: analyzer and engines.
        cache: where vectors and tokens of known texts are found and those of new ones kept.
        trained_on: digests of the questions that the encoder was trained on.
        weights: of the hybrid; left out, those that suit most collections. Their floor is
            measured here.
        calibration: of the confidence, fitted with these weights.
    """
    config = config or IndexConfig()
    analyzer = Analyzer(config.analyzer)

    def tokens(texts: Sequence[str]) -> Tokens:
        if cache is None:
            return analyzer.tokenize(texts)
        return cache.tokens(analyzer.fingerprint, texts, analyzer.tokenize)

    def vectors(view: str, texts: Sequence[str]) -> Vectors:
        encode = encoder.encode_queries if view == "question" else encoder.encode_answers
        if cache is None:
            return encode(texts)
        return cache.vectors(f"{encoder.fingerprint}.{view}", texts, encode)

    texts = {
        "answer": [answer.text for answer in collection.answers],
        "question": [question.text for question in collection.questions],
    }
    rows = {view: tokens(texts[view]) for view in texts}
    rows["joined"] = [list(row) for row in rows["answer"]]
    for owner, row in zip(owners_of_questions(collection), rows["question"], strict=True):
        rows["joined"][owner] += row
    bm25 = {view: BM25Index.build(rows[view], config.bm25) for view in BM25_VIEWS}
    rows_of = {
        view: vectors(view, encoded) for view, (encoded, _) in dense_texts(collection).items()
    }
    dense = {view: DenseIndex.build(found, config.dense) for view, found in rows_of.items()}
    weights = weights or (FusionWeights() if encoder.trained else UNTRAINED)
    owners = np.asarray(dense_texts(collection)["answer"][1], np.int64)
    first = np.unique(owners, return_index=True)[1]  # whole answers come before their sentences
    weights = replace(weights, floor=_cosine_of_strangers(rows_of["answer"][first]))
    views = make_views(collection, bm25, dense)
    return _assemble(collection, config, encoder, views, weights, calibration, trained_on)


def _cosine_of_strangers(vectors: Vectors) -> float:
    """Return the mean cosine of two different answers: near 0 for some models, .8 for others.

    Σ cos over all ordered pairs is |Σ v|², of which n are a vector with itself.
    """
    count = len(vectors)
    if count < 2:
        return 0.0
    total = vectors.astype(np.float64).sum(axis=0)
    mean = (float(total @ total) - count) / (count * (count - 1))
    return round(min(max(mean, 0.0), 0.95), 6)


def save_index(index: SearchIndex, folder: Path) -> dict[str, Any]:
    """Write everything but the model into a staged generation; return what its manifest needs."""
    save_collection(index.collection, folder)
    write_json(folder / "fusion.json", asdict(index.weights))
    if index.calibration is not None:
        index.calibration.save(folder)
    write_json(folder / "trained.json", sorted(index.trained_on))
    for name, view in index.views.items():
        view.bm25.save(folder / f"bm25.{name}")
        if view.dense is not None:
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
    }


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
        encoder = open_encoder(folder / "model")
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
        view: DenseIndex.open(folder / f"dense.{view}.faiss", config.dense) for view in DENSE_VIEWS
    }
    weights = read_weights(folder)
    views = make_views(collection, bm25, dense)
    calibration = Calibration.open(folder)
    trained_on = read_trained_on(folder)
    return _assemble(collection, config, encoder, views, weights, calibration, trained_on)


def question_digest(question: str) -> str:
    """Return what stands for a question in `trained.json`: a digest of its normalised text."""
    return hashlib.sha256(same_text_key(question).encode()).hexdigest()[:16]


def read_weights(folder: Path) -> FusionWeights:
    """Return the weights of a generation's hybrid."""
    return FusionWeights(**json.loads((folder / "fusion.json").read_text(encoding="utf-8")))


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


def _assemble(
    collection: Collection,
    config: IndexConfig,
    encoder: Encoder,
    views: Mapping[str, View],
    weights: FusionWeights,
    calibration: Calibration | None,
    trained_on: frozenset[str],
) -> SearchIndex:
    return SearchIndex(
        collection=collection,
        config=config,
        encoder=encoder,
        analyzer=Analyzer(config.analyzer),
        views=views,
        weights=weights,
        metadata=MetadataIndex(collection.answers),
        calibration=calibration,
        trained_on=trained_on,
        answers={answer.id: answer for answer in collection.answers},
        preferred=_preferred(collection),
        maxsim=MaxSim(encoder, {answer.id: answer.text for answer in collection.answers})
        if isinstance(encoder, StaticEncoder)
        else None,
    )
