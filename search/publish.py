"""Index a collection with a model, and publish the result as the next generation."""

import contextlib
import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Collection, open_collection
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import remove
from dotbogi.indexes.korean.lexicon import read_lexicon
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.search.continued import continued
from dotbogi.search.encoded import EncodedCollection, IndexConfig, Spread, here
from dotbogi.search.encoders import EncoderFacts, open_encoder
from dotbogi.search.fitted import Fitted
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import index_encoded, read_trained_on, save_index
from dotbogi.search.known_questions import fit_on_known_questions
from dotbogi.search.models import ModelConfig, check_model, copy_model, enter_model
from dotbogi.search.staged import check_staged

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
    spread: Spread = here,
) -> Generation:
    """Index a collection and publish it as the continuation of what is published.

    Answers keep their ids through edits, and what users taught stays; see `indexes.update`.

    Args:
        workspace: created if it does not exist.
        collection: the answers and known questions to search from now on.
        source: where the collection came from, for the manifest.
        model: None keeps the published generation's model, trained or not, or takes the default
            model if nothing is published yet.
        changes: settings of `IndexConfig` that differ from the published generation's, or from
            the defaults if nothing is published yet.
        progress: show a bar while a large model encodes.
        spread: where tokens and vectors are made: here, or on a Ray cluster.

    Raises:
        UsageError: the model or the workspace cannot be used.
        DamagedError: `model` is None and the published generation is damaged.
        LockedError: another process is writing to the workspace.
        NoSpaceError: the disk is full; nothing was published.
    """
    if model:
        check_model(model)
    with workspace.writing():
        current = _current(workspace, required=model is None)
        before = IndexConfig.published(current) if current else IndexConfig()
        config = replace(before, **{**read_lexicon(workspace.folder), **(changes or {})})
        collection, changed = continued(workspace, collection, current)
        kept = None if model else current
        model = model or ModelConfig()

        def write_model(folder: Path) -> None:
            if kept:
                copy_model(kept.folder, folder)
            else:
                enter_model(model, folder, all_texts(collection))

        return publish_index(
            workspace,
            collection,
            write_model,
            config,
            {**_facts(kept, model, source), "changes": changed},
            **_learned(kept, collection, config),
            progress=progress,
            spread=spread,
        )


def _learned(
    kept: Generation | None, collection: Collection, config: IndexConfig
) -> dict[str, Any]:
    """Return what stays of a generation's training."""
    if kept is None:
        return {}
    learned: dict[str, Any] = {"trained_on": read_trained_on(kept.folder)}
    if kept.manifest["training"] is not None:
        learned["geometry"] = Geometry.open(kept.folder)
        # Keep what a run fitted out of fold while the table grows. The model was trained on the
        # run's questions, so a new fit on them would overrate the model.
        if _still_fits(kept, collection, config):
            learned["fitted"] = Fitted.open(kept.folder)
    return learned


def _facts(
    kept: Generation | None, model: ModelConfig, source: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "model": kept.manifest["model"] if kept else asdict(model),
        "source": dict(source),
        "training": kept.manifest["training"] if kept else None,  # the model's run and round
        "run": None,  # the run that published it
    }


def _still_fits(kept: Generation, collection: Collection, config: IndexConfig) -> bool:
    """Return whether a generation's fitted weights still suit an update of its collection.

    They do if analyzer, engines and at least half of the answers are the same; otherwise the
    scores differ too much. Synonyms and tolerance concern queries alone, and a few words for Kiwi
    change few scores.
    """
    published = IndexConfig.published(kept)
    if any(getattr(config, n) != getattr(published, n) for n in ("analyzer", "bm25", "dense")):
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
        return None  # a model is named: everything is rebuilt


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
    spread: Spread = here,
) -> Generation:
    """Build, save and publish one generation; the caller holds the writer lock.

    Args:
        workspace: its staging folder and cache are used.
        collection: the answers and known questions to search.
        write_model: writes `model` and `encoder` into the folder that it is given.
        config: analyzer and engines.
        facts: entries of the manifest.
        geometry: from training; None for the collection's means and no adapter.
        trained_on: digests of the questions that the model was trained on.
        fitted: fusion weights and confidence; None fits them on the known questions.
        progress: show a bar while many texts are encoded.
        spread: where tokens and vectors are made.

    Raises:
        NoSpaceError: the disk is full; nothing was published.
    """
    cache = Cache(workspace.cache_folder)
    with workspace.staging() as staged:
        write_model(staged)
        encoder = open_encoder(staged, progress=progress)
        with spread(staged, encoder, config) as (source, analyzer):
            encoded = EncodedCollection.of(collection, source, config, cache, analyzer)
        encoded = replace(encoded, encoder=encoder)
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
        generation = workspace.publish(
            staged, manifest, lambda written: check_staged(written, index)
        )
    cache.keep_only([encoder.fingerprint, index.analyzer.fingerprint])
    with contextlib.suppress(OSError):  # it is published; the next command tries again
        remove(workspace.blocks_folder)
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
            continue  # only one of the two builds of FAISS is installed
    return versions
