"""`dotbogi mine`: mining without a run, into a folder, also in the formats of other tools."""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.files import digest, write_json
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.search.encoded import EncodedCollection, IndexConfig, Spread, here
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
from dotbogi.training.negatives.mining import MineBlocks, Miner
from dotbogi.training.run_folders import open_geometry
from dotbogi.training.split import hold_out

_RECORD = "mining.json"  # settings, yields and file digests; marks a result folder


@dataclass(frozen=True, slots=True)
class MinedPool:
    """The result of `mine_to_folder`."""

    pairs: int
    negatives: int  # per pair
    yields: Mapping[str, Mapping[str, int]]
    suspects: int
    review: Mapping[str, Any]  # counts of the decisions about suspects
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
    spread: Spread = here,
    mine_blocks: MineBlocks = Miner.mine_all,
) -> MinedPool:
    """Mine a collection as `train` does, and write the negatives into a folder.

    Nothing is written into the workspace.

    Args:
        workspace: its published model mines, and its decisions are used.
        collection: known questions and answers.
        folder: created, or replaced if it has nothing but an earlier result.
        config: quotas, window, bound and sampling.
        seed: for mining; None takes that of the published model, or else 42.
        model: used instead of the published model.
        progress: show a progress bar while a large model encodes.
        spread: where tokens and vectors are made.
        mine_blocks: where the negatives are mined.

    Raises:
        UsageError: the folder has other files, or the model cannot be used.
        DotbogiError: the collection has no known question.
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
        raise DotbogiError("the collection has no known questions; expected a table with some.")
    config = replace(config, seed=seed)
    mining = _Mining(split, config, applied.rejected, progress, spread, mine_blocks)
    mined, fingerprint = _mine(published, model, mining)
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
    """Write the folder whole or not at all; return its files and the number of suspects."""
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


@dataclass(frozen=True, slots=True)
class _Mining:
    """What is mined, and where."""

    collection: Collection
    config: MiningConfig
    rejected: Iterable[tuple[str, str]]
    progress: bool
    spread: Spread
    mine_blocks: MineBlocks

    def by(self, folder: Path, index: IndexConfig) -> tuple[Mined, str]:
        """Mine with the model in a folder; return the result and the model's fingerprint."""
        encoder = open_encoder(folder, progress=self.progress)
        questions = [question.text for question in self.collection.questions]
        with self.spread(folder, encoder, index) as (source, analyzer):
            encoded = EncodedCollection.of(self.collection, source, index, None, analyzer)
            tokens = analyzer.tokenize_queries(questions)
        geometry = open_geometry(folder, encoded)
        texts = KnownTexts(encoded, geometry, dict(zip(questions, tokens, strict=True)))
        mined = mine(
            self.collection, texts, texts, self.config, rejected=self.rejected,
            mine_blocks=self.mine_blocks,
        )  # fmt: skip
        return mined, geometry.fingerprint(encoder.fingerprint)


def _mine(
    published: Generation | None, model: ModelConfig | None, mining: _Mining
) -> tuple[Mined, str]:
    """Mine with the named or the published model; return the result and the model's fingerprint."""
    index = IndexConfig.published(published) if published else IndexConfig()
    if model is None and published:
        return mining.by(published.folder, index)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        enter_model(model or ModelConfig(), folder, all_texts(mining.collection))
        return mining.by(folder, index)


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder with other files, or with files that were changed since mine wrote them."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; expected a folder.")
    names = {path.name for path in folder.iterdir()}
    if not names:
        return
    try:
        files = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"--out {folder}: not empty, and not from dotbogi mine. Name an empty or new folder."
        ) from None
    changed = names ^ {*files, _RECORD} or {
        name for name, recorded in files.items() if digest(folder / name) != recorded
    }
    if changed:
        raise UsageError(
            f"--out {folder}: {min(changed)} was changed, added or removed since dotbogi mine ran. "
            "Name another folder; if it is the review list, import it: dotbogi review --import"
        )
