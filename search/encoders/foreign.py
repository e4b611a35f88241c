"""Check a model folder of unknown origin: it is data, and nothing in it may become code.

sentence-transformers and transformers import what their settings name, read files that they name,
and take the memory that they state. So what the settings may say is listed here.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotbogi.indexes.arrays import read_header
from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.files import reading
from dotbogi.search.encoders.model_folder import prompts_of, read_modules, read_settings
from dotbogi.search.encoders.onnx_encoder import MOST_PROMPT
from dotbogi.search.encoders.tokenizer_file import check_tokenizer

_ACTIVATIONS = {
    f"torch.nn.modules.{name}"
    for name in (
        "activation.Tanh", "activation.GELU", "activation.ReLU", "activation.SiLU",
        "activation.Sigmoid", "linear.Identity",
    )
}  # fmt: skip
_ATTENTION = (None, "eager", "sdpa")  # any other may be fetched from the hub, and run
# Settings that make a library read another file, fetch another model, or call what they name.
_NEVER = {
    "config.json": ("quantization_config", "transformers_weights"),
    "sentence_bert_config.json": (
        "model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args",
        "config_kwargs",
    ),
    "tokenizer_config.json": ("tokenizer_file", "vocab_file", "merges_file", "added_tokens_file"),
}  # fmt: skip
_MOST_LAYERS, _MOST_WIDTH = 512, 1 << 16
_SPARE_PARAMETERS = 1_000_000


def check_model_folder(folder: Path) -> None:
    """Check that a model folder can be given to sentence-transformers.

    Args:
        folder: of files of safe types alone; with modules.json, or a plain transformer.

    Raises:
        DamagedError: a file cannot be read, or is not as long as it says.
        DotbogiError: the model asks for code, for other files, or for more than its weights need.
    """
    folders = [folder]
    if (folder / "modules.json").is_file():
        folders += [folder / module["path"] for module in read_modules(folder)]
    for place in dict.fromkeys(folders):
        _check_settings(place)
        for path in sorted(place.glob("*.safetensors")):
            read_header(path)
        for path in sorted(place.glob("*.bin")):
            _check_archive(path)
        if (place / "tokenizer.json").is_file():
            check_tokenizer(place / "tokenizer.json")
        if (place / "config.json").is_file():
            _check_size(place, read_settings(place / "config.json"))
    if max(map(len, prompts_of(folder))) > MOST_PROMPT:
        raise DotbogiError(f"{folder}: a prompt of more than {MOST_PROMPT:,} characters.")


def _check_settings(folder: Path) -> None:
    if (folder / "adapter_config.json").exists():
        raise DotbogiError(
            f"{folder}: an adapter for another model. Merge it with that model, and save both."
        )
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(".index.json") or path.name in ("modules.json", "tokenizer.json"):
            continue
        if path.name.startswith("sentence_") and path.name.endswith("_config.json"):
            never = _NEVER["sentence_bert_config.json"]
        else:
            never = _NEVER.get(path.name, ())
        settings = read_settings(path) if never else {}
        named = next((name for name in never if settings.get(name)), None)
        if named:
            raise DotbogiError(f"{path}: has {named!r}, which is never followed. Remove the entry.")


def _check_size(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that a transformer's settings do not ask for much more than its weights fill."""
    path = folder / "config.json"
    activation = config.get("activation_function")
    if "in_features" in config and activation not in (None, *_ACTIVATIONS):
        raise DotbogiError(f"{path}: its activation {activation!r} is never run.")
    for name, value in config.items():
        if "attn_implementation" in name and value not in _ATTENTION:
            raise DotbogiError(f"{path}: has {name!r}: {value!r}; expected eager or sdpa.")
    with reading(path):
        layers, width, words, positions = (
            int(config.get(name) or 0)
            for name in (
                "num_hidden_layers", "hidden_size", "vocab_size", "max_position_embeddings",
            )
        )  # fmt: skip
        wide, inside, outside, dimension = (
            int(config.get(name) or 0)
            for name in ("intermediate_size", "in_features", "out_features", "dimension")
        )
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    least = width * (words + positions) + layers * width * max(4 * width, 2 * wide)
    least += inside * outside + dimension
    most = 2 * sum(path.stat().st_size for path in weights) + _SPARE_PARAMETERS
    if min(layers, width, words, positions, wide, inside, outside, dimension) < 0 or (
        layers > _MOST_LAYERS or width > _MOST_WIDTH or least > most
    ):
        raise DotbogiError(
            f"{path}: describes {least:,} parameters in {layers} layers; the weights beside it "
            "have far fewer. Download the model again."
        )


def _check_archive(path: Path) -> None:
    """Check that the weights that torch saved do not grow when they are unpacked."""
    if not zipfile.is_zipfile(path):
        return  # of an old torch: one stream, which cannot grow
    with reading(path), zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"{unpacked:,} bytes when it is unpacked")
