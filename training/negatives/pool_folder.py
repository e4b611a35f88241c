"""Mining on its own: the pool in a folder, also in the forms that other tools train on."""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.store import Generation, Workspace, digest, write_json
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import open_encoder
from dotbogi.search.models import ModelConfig, check_model, enter_model
from dotbogi.search.publish import all_texts
from dotbogi.training.judgements.decisions import (
    Decision,
    apply_decisions,
    read_decisions,
    review_counts,
)
from dotbogi.training.judgements.review import LISTED, list_suspects, save_review
from dotbogi.training.negatives import Mined, MiningConfig, mine
from dotbogi.training.negatives.exports import save_flag_embedding, save_n_tuples
from dotbogi.training.negatives.files import save_negatives
from dotbogi.training.negatives.known import KnownTexts
from dotbogi.training.places import geometry_of
from dotbogi.training.split import hold_out

_RECORD = "mining.json"  # settings, yields and the files' digests; the mark of such a folder


@dataclass(frozen=True, slots=True)
class MinedPool:
    """What `mine_to_folder` gave."""

    pairs: int
    negatives: int  # of each pair
    yields: Mapping[str, Mapping[str, int]]
    suspects: int
    review: Mapping[str, Any]  # what became of the decisions about suspects
    files: list[str]


def mine_to_folder(
    workspace: Workspace,
    collection: Collection,
    folder: Path,
    config: MiningConfig,
    *,
    seed: int | None = None,
    model: ModelConfig | None = None,
    progress: bool = False,
) -> MinedPool:
    """Mine a collection as `train` does, and write the pool into a folder.

    Nothing is written into the workspace.

    Args:
        workspace: whose published model mines and whose decisions are used.
        collection: known questions and answers.
        folder: made, or written anew if it holds an earlier pool and nothing else.
        config: quotas, window, bound and sampling.
        seed: of mining; None takes that of the published model, else 42.
        model: mines in place of the published one.
        progress: show a bar while a large model encodes.

    Raises:
        UsageError: the folder holds something else.
    """
    _check_replaceable(folder)
    if model:
        check_model(model)
    published = workspace.current() if workspace.current_name() else None
    training = published.manifest["training"] if published else None
    seed = (training["seed"] if training else 42) if seed is None else seed
    decisions = read_decisions(workspace.folder)
    applied = apply_decisions(collection, decisions)
    split = hold_out(applied.collection, 0, seed=seed)
    if not split.questions:
        raise DotbogiError("the collection has no known question to mine for.")
    config = replace(config, seed=seed)
    mined, fingerprint = _mine(published, split, config, applied.rejected, model, progress)
    counts = review_counts(applied, split)
    record = {
        "config": asdict(config),
        "model_fingerprint": fingerprint,
        "yields": mined.counts,
        "review": counts,
    }
    files, suspects = _write(folder.resolve(), split, mined, decisions, record)
    negatives = len(next(iter(mined.rows.values())))
    return MinedPool(len(mined.rows), negatives, mined.counts, suspects, counts, files)


def _write(
    folder: Path,
    split: Collection,
    mined: Mined,
    decisions: Sequence[Decision],
    record: Mapping[str, Any],
) -> tuple[list[str], int]:
    """Write the pool aside and give it its name; return its files and the length of the list."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        staged = Path(temporary) / "pool"
        staged.mkdir()
        save_negatives([*mined.all()], staged / "negatives.parquet")
        save_negatives(mined.suspects, staged / "suspects.parquet")
        suspects = list_suspects([mined.suspects], split, decisions)
        save_review(suspects[:LISTED], staged / "review.csv")
        save_n_tuples(split, mined, staged / "n-tuple.jsonl")
        save_flag_embedding(split, mined, staged / "flagembedding.jsonl")
        files = {path.name: digest(path) for path in sorted(staged.iterdir())}
        write_json(staged / _RECORD, {**record, "files": files})
        if folder.exists():
            folder.rename(Path(temporary) / "before")
        staged.rename(folder)
    return [*files], len(suspects)


def _mine(
    published: Generation | None,
    collection: Collection,
    config: MiningConfig,
    rejected: Iterable[tuple[str, str]],
    model: ModelConfig | None,
    progress: bool,
) -> tuple[Mined, str]:
    """Return what was mined, and the fingerprint of what made the vectors."""
    index = IndexConfig(**published.manifest["index"]) if published else IndexConfig()
    if model is None and published:
        return _mine_at(published.folder, index, collection, config, rejected, progress)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        enter_model(model or ModelConfig(), place, all_texts(collection))
        return _mine_at(place, index, collection, config, rejected, progress)


def _mine_at(
    place: Path,
    index: IndexConfig,
    collection: Collection,
    config: MiningConfig,
    rejected: Iterable[tuple[str, str]],
    progress: bool,
) -> tuple[Mined, str]:
    encoder = open_encoder(place, progress=progress)
    encoded = EncodedCollection.of(collection, encoder, index, None)
    geometry = geometry_of(place, encoded)
    questions = [question.text for question in collection.questions]
    tokens = Analyzer(index.analyzer).tokenize_queries(questions)
    texts = KnownTexts(encoded, geometry, dict(zip(questions, tokens, strict=True)))
    mined = mine(collection, texts, texts, config, rejected=rejected)
    return mined, geometry.fingerprint(encoder.fingerprint)


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder with anything in it but an untouched pool: it may be somebody's work."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"--out {folder}: a file; expected a folder to write into.")
    names = {path.name for path in folder.iterdir()}
    if not names:
        return
    try:
        files = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"--out {folder}: not empty, and not written by mine. Name an empty or new folder."
        ) from None
    changed = names ^ {*files, _RECORD} or {
        name for name, stated in files.items() if digest(folder / name) != stated
    }
    if changed:
        raise UsageError(
            f"--out {folder}: {min(changed)} has changed since mine wrote it. Import it if it is "
            "the review list (dotbogi review --import), and name another folder."
        )
