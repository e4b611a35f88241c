"""A collection and a model → the next published generation."""

import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexes.cache import Cache
from indexes.collection import Collection, open_collection
from indexes.errors import DamagedError
from indexes.store import Generation, Workspace
from search.confidence import Calibration
from search.encoders import open_encoder
from search.fusion import FusionWeights
from search.index import IndexConfig, build_index, read_trained_on, read_weights, save_index
from search.models import SCRATCH, ModelConfig, check_model, copy_model, save_model

_LIBRARIES = (
    "bm25s", "faiss-cpu", "faiss-gpu", "kiwipiepy", "numpy", "rank-bm25", "sentence-transformers",
    "tokenizers", "torch", "transformers",
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
        if kept and kept.manifest["training"] is None and kept.manifest["model"]["name"] == SCRATCH:
            model, kept = ModelConfig(**kept.manifest["model"]), None  # its pieces follow the texts
        model = model or ModelConfig()
        training, named = (
            (kept.manifest["training"], kept.manifest["model"]) if kept else (None, asdict(model))
        )
        fits = kept is not None and _still_fits(kept, collection, config)

        def write_model(folder: Path) -> None:
            if kept:
                copy_model(kept.folder / "model", folder)
            else:
                save_model(model, all_texts(collection), folder)

        facts = {
            "model": named,
            "source": dict(source),
            "training": training,  # the run and round that the model is from
            # The run, round and collection that weights and confidence are from.
            "fitted": kept.manifest["fitted"] if kept and fits else None,
            "run": None,  # the run that published it
        }
        return publish_index(
            workspace,
            collection,
            write_model,
            config,
            facts,
            trained_on=read_trained_on(kept.folder) if kept else frozenset(),
            weights=read_weights(kept.folder) if kept and fits else None,
            calibration=Calibration.open(kept.folder) if kept and fits else None,
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
    trained_on: frozenset[str] = frozenset(),
    weights: FusionWeights | None = None,
    calibration: Calibration | None = None,
    progress: bool = False,
) -> Generation:
    """Build, save and publish one generation; the caller holds the writer's lock."""
    cache = Cache(workspace.cache_folder)
    with workspace.staging() as staged:
        write_model(staged / "model")
        encoder = open_encoder(staged / "model", progress=progress)
        index = build_index(
            collection,
            encoder,
            config,
            cache=cache,
            trained_on=trained_on,
            weights=weights,
            calibration=calibration,
        )
        manifest = {**facts, **save_index(index, staged), "libraries": library_versions()}
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
