"""A collection and a model → the next published generation."""

import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Collection, open_collection
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import EncoderFacts, open_encoder
from dotbogi.search.fitted import Fitted
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import index_encoded, read_trained_on, save_index
from dotbogi.search.known_questions import fit_on_known_questions
from dotbogi.search.models import ModelConfig, check_model, copy_model, enter_model

_LIBRARIES = (
    "bm25s", "faiss-cpu", "faiss-gpu", "kiwipiepy", "numpy", "onnxruntime", "rank-bm25",
    "sentence-transformers", "tokenizers", "torch", "transformers",
)  # fmt: skip


def index_collection(
    workspace: Workspace,
    collection: Collection,
    source: Mapping[str, Any],
    *,
    model: ModelConfig | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> Generation:
    """Index a collection and publish it.

    Args:
        workspace: made if need be.
        collection: what is searched from now on.
        source: where it came from, for the manifest.
        model: None keeps the model of the published generation, trained or not; the default
            model where nothing is published yet.
        changes: settings of `IndexConfig` that are to differ from those of the published
            generation, or from the defaults where nothing is published yet.
        progress: show a bar while a large model encodes.
    """
    if model:
        check_model(model)
    with workspace.writing():
        current = _current(workspace, required=model is None)
        config = IndexConfig(
            **{**(current.manifest["index"] if current else {}), **(changes or {})}
        )
        kept = None if model else current
        model = model or ModelConfig()
        trained = kept is not None and kept.manifest["training"] is not None
        # What a run has fitted out of fold stays while the table grows: its own questions know
        # the model too well. Else it is fitted here.
        fits = kept is not None and trained and _still_fits(kept, collection, config)

        def write_model(place: Path) -> None:
            if kept:
                copy_model(kept.folder, place)
            else:
                enter_model(model, place, all_texts(collection))

        facts = {
            "model": kept.manifest["model"] if kept else asdict(model),
            "source": dict(source),
            "training": kept.manifest["training"] if kept else None,  # the model's run and round
            "run": None,  # the run that published it
        }
        return publish_index(
            workspace,
            collection,
            write_model,
            config,
            facts,
            geometry=Geometry.open(kept.folder) if kept and trained else None,
            trained_on=read_trained_on(kept.folder) if kept else frozenset(),
            fitted=Fitted.open(kept.folder) if kept and fits else None,
            progress=progress,
        )


def _still_fits(kept: Generation, collection: Collection, config: IndexConfig) -> bool:
    """Tell whether what was fitted for a generation goes on with an update of its collection.

    A table grows row by row; a table of other answers, or another engine, has other scores.
    """
    if asdict(config) != kept.manifest["index"]:
        return False
    before = {answer.id for answer in open_collection(kept.folder).answers}
    now = {answer.id for answer in collection.answers}
    return 2 * len(before & now) >= max(len(before), len(now))


def _current(workspace: Workspace, *, required: bool) -> Generation | None:
    try:
        return workspace.current() if workspace.current_name() else None
    except DamagedError:
        if required:
            raise
        return None  # a model is named: everything is built anew


def publish_index(
    workspace: Workspace,
    collection: Collection,
    write_model: Callable[[Path], None],
    config: IndexConfig,
    facts: Mapping[str, Any],
    *,
    geometry: Geometry | None = None,
    trained_on: frozenset[str] = frozenset(),
    fitted: Fitted | None = None,
    progress: bool = False,
) -> Generation:
    """Build, save and publish one generation; the caller holds the writer's lock.

    Args:
        workspace: its staging folder and cache are used.
        collection: what is searched.
        write_model: fills `model` and `encoder` of the folder that it gets.
        config: analyzer and engines.
        facts: for the manifest.
        geometry: what training learned; left out, the collection's means.
        trained_on: digests of the questions that the model was trained on.
        fitted: weights of the hybrid and confidence; left out, fitted on the known questions.
        progress: show a bar while many texts are encoded.
    """
    cache = Cache(workspace.cache_folder)
    with workspace.staging() as staged:
        write_model(staged)
        encoder = open_encoder(staged, progress=progress)
        encoded = EncodedCollection.of(collection, encoder, config, cache)
        index = index_encoded(
            encoded,
            geometry=geometry,
            trained_on=trained_on,
            fitted=fitted or fit_on_known_questions(encoded, geometry, trained_on=trained_on),
        )
        manifest = {
            **facts,
            **save_index(index, staged),
            "encoder": asdict(EncoderFacts.open(staged / "encoder")),
            "weights": index.fitted.weights.source,
            "confidence": index.fitted.calibration.source,
            "libraries": library_versions(),
        }
        generation = workspace.publish(staged, manifest)
    cache.keep_only([encoder.fingerprint, index.analyzer.fingerprint])
    return generation


def all_texts(collection: Collection) -> list[str]:
    """Return the texts of all answers and known questions."""
    return [a.text for a in collection.answers] + [q.text for q in collection.questions]


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # one of the two builds of FAISS
    return versions
