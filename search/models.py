"""Save the model that a user names as a safe sentence-transformers folder in the workspace.

Each generation, and each round of a run, contains it as `model`, beside its `encoder`.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.files import copy_file, copy_folder, write_json
from dotbogi.search.encoders import export_encoder
from dotbogi.search.encoders.conversion import convert
from dotbogi.search.encoders.foreign import check_model_folder
from dotbogi.search.encoders.model_folder import (
    prompts_of,
    read_modules,
    read_settings,
)
from dotbogi.search.encoders.onnx_encoder import MOST_PROMPT

STARTER = "starter"
DEFAULT_MODEL = STARTER
STARTER_FOLDER = Path(__file__).parent / "starter"

_CONFIGS = ("modules.json", "config.json")
_HUB_SECONDS = 10.0
_OLD_WEIGHTS = "pytorch_model*.bin"
_SAFE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which model, and how it reads texts. Saved in the manifest."""

    name: str = DEFAULT_MODEL  # starter, a folder, or a hub id
    max_seq_length: int | None = None  # tokens per text; None: the model's own
    query_prompt: str | None = None  # None: the model's own
    answer_prompt: str | None = None


def check_model(config: ModelConfig) -> None:
    """Check that `save_model` can use a model, before anything is written.

    Raises:
        UsageError: there is no such folder, or an option does not fit the model.
        DamagedError: the folder has no weights.
        DotbogiError: the hub has no such model, or cannot be reached and there is no cached copy.
    """
    if config.max_seq_length is not None and config.max_seq_length < 1:
        raise UsageError(f"--max-seq-length is {config.max_seq_length}; expected 1 or more.")
    folder = source_folder(config)
    if not folder.is_dir():
        if (
            config.name.startswith((".", "/", "~"))
            or config.name.count("/") > 1
            or folder.is_file()
        ):
            raise UsageError(
                f"{config.name}: no such model folder. Expected a folder, a hub id such as "
                f"klue/roberta-base, or {STARTER}."
            )
        _check_hub(config.name)
        return
    is_sentence_transformer = (folder / "modules.json").is_file()
    if not is_sentence_transformer and not (folder / "config.json").is_file():
        raise UsageError(
            f"{folder}: not a model folder. Expected modules.json (sentence-transformers) or "
            "config.json (BERT, RoBERTa) in it."
        )
    if not any(
        path for pattern in ("*.safetensors", _OLD_WEIGHTS) for path in folder.rglob(pattern)
    ):
        raise DamagedError(
            f"{folder}: the model has no weights. Expected model.safetensors or pytorch_model.bin "
            "beside its config; download the model again."
        )


def _check_hub(name: str) -> str:
    """Return the hub's id of a model; loading would retry for a minute before giving up."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError

    names = [name] if "/" in name else [name, f"sentence-transformers/{name}"]
    cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")  # if set, the model is loaded from there
    for repo in names:
        try:
            cached = (try_to_load_from_cache(repo, file, cache_dir=cache) for file in _CONFIGS)
            if not any(isinstance(path, str) for path in cached):  # else no network is needed
                HfApi().model_info(repo, timeout=_HUB_SECONDS)
            return repo
        except RepositoryNotFoundError:
            why = "it has no such model, or requires HF_TOKEN"
        except Exception as error:  # errors of the hub or of its client
            why = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
    raise DotbogiError(
        f"{name}: cannot be loaded from the hub ({why}). Expected a model folder, the id of a "
        f"model on the hub, or {STARTER}."
    )


def source_folder(config: ModelConfig) -> Path:
    """Return the folder that a model's name stands for; it may not exist."""
    return STARTER_FOLDER if config.name == STARTER else Path(config.name).expanduser()


def enter_model(config: ModelConfig, folder: Path, texts: Sequence[str]) -> None:
    """Write the named model into `folder`/model, and its encoder into `folder`/encoder.

    Args:
        config: the model and how it reads texts.
        folder: must contain neither yet.
        texts: texts of the collection, for checking the encoder.

    Raises:
        DotbogiError: the model cannot be loaded, from the folder or from the hub.
    """
    save_model(config, folder / "model")
    export_encoder(folder / "model", folder / "encoder", texts)


def copy_model(source: Path, target: Path) -> None:
    """Copy model and encoder from one generation's or round's folder into another."""
    for name in ("model", "encoder"):
        copy_folder(source / name, target / name)


def save_model(config: ModelConfig, folder: Path) -> None:
    """Write the named model into `folder` as a sentence-transformers folder, safetensors only.

    A folder without modules.json (plain BERT or RoBERTa) gets mean pooling over its tokens.

    Args:
        config: the model and how it reads texts.
        folder: must not exist; it is created.

    Raises:
        DotbogiError: the model cannot be loaded, from the folder or from the hub.
    """
    check_prompts(config)
    source = source_folder(config)
    if not source.is_dir():
        source = _from_hub(config.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        # Libraries see only a copy: regular files, which have been checked.
        copy = Path(place) / "model"
        _copy_safe_files(source, copy)
        check_model_folder(copy)
        if _is_ready(copy, config):
            copy.rename(folder)
        else:
            convert(copy, folder, name=config.name, max_seq_length=config.max_seq_length)
    write_prompts(config, folder)
    check_model_folder(folder)


def check_prompts(config: ModelConfig) -> None:
    """Check the length of the prompts that a user gives.

    Raises:
        UsageError: one is longer than any query.
    """
    for prompt in (config.query_prompt, config.answer_prompt):
        if prompt and len(prompt) > MOST_PROMPT:
            raise UsageError(
                f"a prompt of {len(prompt):,} characters; expected {MOST_PROMPT:,} at most."
            )


def _from_hub(name: str) -> Path:
    """Return the folder of the hub's cache that has a model's files, downloaded if need be."""
    from huggingface_hub import snapshot_download

    repo = _check_hub(name)
    cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    try:
        folder = Path(snapshot_download(repo, cache_dir=cache, allow_patterns=[*_SAFE_FILES]))
        if not any(folder.rglob("*.safetensors")):
            snapshot_download(repo, cache_dir=cache, allow_patterns=[_OLD_WEIGHTS])
    except Exception as error:  # errors of the hub or of its client
        line = (str(error).strip().splitlines() or [""])[0][:200]
        raise DotbogiError(
            f"{name}: cannot be loaded from the hub ({type(error).__name__}: {line})."
        ) from error
    return folder


def _is_ready(folder: Path, config: ModelConfig) -> bool:
    """Return whether the folder can simply be used, without importing torch."""
    if config.max_seq_length is not None or not (folder / "modules.json").is_file():
        return False
    transformer = folder / read_modules(folder)[0]["path"]
    needed = ("model.safetensors", "tokenizer.json")
    return all((transformer / name).is_file() for name in needed)


def _copy_safe_files(source: Path, folder: Path) -> None:
    """Copy only the files of safe types from the folders of a model and its modules.

    Weights in torch's old format are copied only where there are no others. They are read as
    tensors alone, and saved as safetensors.
    """
    folder.mkdir()
    _copy_matching(source, source, folder)
    if (folder / "modules.json").is_file():
        for module in read_modules(folder):
            if module["path"]:
                _copy_matching(source / module["path"], source, folder / module["path"])


def _copy_matching(origin: Path, model: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    has_weights = any(origin.glob("*.safetensors"))
    for pattern in _SAFE_FILES if has_weights else (*_SAFE_FILES, _OLD_WEIGHTS):
        for path in sorted(origin.glob(pattern)):
            copy_file(_followed(path, model), target / path.name)


def _followed(path: Path, model: Path) -> Path:
    """Return the file that a model's file is or links to, if that is part of the model.

    The hub's cache keeps a model as snapshots/REVISION, whose files link to blobs beside it.

    Raises:
        DotbogiError: the link leads elsewhere, where anything may be, or to nothing.
    """
    root = model.resolve()
    if root.parent.name == "snapshots" and root.parents[1].name.startswith("models--"):
        root = root.parents[1]
    followed = Path(os.path.realpath(path))  # resolve() raises if a link leads to itself
    if not followed.is_relative_to(root):
        raise DotbogiError(
            f"{path}: a link to {followed}, outside the model. Put the file itself there."
        )
    if not followed.exists():
        raise DotbogiError(f"{path}: a link to nothing. Download the model again.")
    return followed


def write_prompts(config: ModelConfig, folder: Path) -> None:
    """Store the prompts with the model, where sentence-transformers finds them too."""
    query, answer = prompts_of(folder)
    path = folder / "config_sentence_transformers.json"
    stored = read_settings(path) if path.is_file() else {}
    stored["prompts"] = {
        "query": query if config.query_prompt is None else config.query_prompt,
        "document": answer if config.answer_prompt is None else config.answer_prompt,
    }
    stored["default_prompt_name"] = None
    write_json(path, stored)
