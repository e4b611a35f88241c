"""Read a sentence-transformers folder without that library."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.arrays import read_header
from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.files import reading
from dotbogi.indexes.json_files import read_json, read_object
from dotbogi.indexes.shapes import fits
from dotbogi.search.encoders.tokenizer_file import read_tokenizer

# The modules that only compute. Others import classes that their settings name, or what is named in
# the middle of a path: sentence_transformers.base.modules.module.torch is all of torch.
_FILES = {
    "Transformer": "transformer", "Pooling": "pooling", "Normalize": "normalize", "Dense": "dense",
    "LayerNorm": "layer_norm", "Dropout": "dropout", "StaticEmbedding": "static_embedding",
    "WeightedLayerPooling": "weighted_layer_pooling",
}  # fmt: skip
_MODULES = {
    f"sentence_transformers.{place}.{name}"
    for place in ("models", "base.modules", "sentence_transformer.modules")
    for kind, file in _FILES.items()
    for name in (kind, f"{file}.{kind}")
}
_MOST_MODULES = 20
_SETTINGS = ("config.json", "sentence_bert_config.json", "tokenizer_config.json")
# RoBERTa's position tables start with rows that no token uses.
POSITIONS_BEHIND_PADDING = ("roberta", "xlm-roberta", "camembert")
# The names that sentence-transformers' encode_document looks for.
_ANSWER_PROMPTS = ("document", "passage", "corpus")


def read_modules(folder: Path) -> list[Mapping[str, Any]]:
    """Return modules.json of a model after checking that its modules are the library's own.

    Raises:
        DamagedError: there is no readable modules.json.
        DotbogiError: the model needs code of its own, or files outside its folder.
    """
    modules = read_json(folder / "modules.json")
    with reading(folder / "modules.json"):
        if not modules or len(modules) > _MOST_MODULES:
            raise ValueError("no modules, or too many")
        types = [module["type"] for module in modules]
        inside = [_is_inside(module["path"]) for module in modules]
    foreign = [name for name in types if name not in _MODULES]
    if foreign:
        raise DotbogiError(
            f"{folder}: the model has a module {foreign[0]!r:.200} with code of its own, which is "
            f"never run. Expected modules of sentence-transformers: {', '.join(_FILES)}."
        )
    if not all(inside):
        raise DotbogiError(f"{folder}: modules.json names a folder outside the model.")
    return list(modules)


def _is_inside(path: str) -> bool:
    """Return whether a path names the model's folder ("") or one in it."""
    parts = PurePosixPath(path).parts
    return "/".join(parts) == path.rstrip("/") and not {"..", "/"} & {*parts}


def module_kinds(modules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the class names of a model's modules: Transformer, Pooling, Normalize."""
    return [str(module["type"]).rsplit(".", 1)[-1] for module in modules]


def prompts_of(folder: Path) -> tuple[str, str]:
    """Return the query prompt and the answer prompt stored with a model; empty if there is none."""
    path = folder / "config_sentence_transformers.json"
    prompts = read_settings(path).get("prompts") or {} if path.is_file() else {}
    if not fits(prompts, dict[str, str | None]):
        raise DamagedError(f"{path}: has prompts that are not texts.")
    answer = next((prompts[name] for name in _ANSWER_PROMPTS if prompts.get(name)), "")
    return prompts.get("query") or "", answer or ""


def first_position(config: Mapping[str, Any]) -> int:
    """Return the row of a text's first token in the position table."""
    behind = config.get("model_type") in POSITIONS_BEHIND_PADDING
    return int(config["pad_token_id"]) + 1 if behind else 0


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        DamagedError: it cannot be read.
    """
    return read_object(path)


def fingerprint_of_folder(folder: Path, precision: str) -> str:
    """Return a digest of all that determines a model's vectors; its name does not count.

    Args:
        folder: a sentence-transformers folder.
        precision: of the computation, such as int8.
    """
    hasher = hashlib.sha256(precision.encode())
    for module in read_modules(folder):
        subfolder = folder / module["path"]
        hasher.update(str(module["type"]).encode())
        for path in sorted(subfolder.glob("*.safetensors")):
            hasher.update(path.read_bytes())
        for path in (subfolder / name for name in _SETTINGS if (subfolder / name).is_file()):
            settings = read_settings(path)
            settings.pop("transformers_version", None)
            hasher.update(json.dumps(settings, sort_keys=True).encode())
        if (subfolder / "tokenizer.json").is_file():
            rules = read_tokenizer(subfolder / "tokenizer.json")
            rules.pop("padding", None)  # run-time state
            rules.pop("truncation", None)
            hasher.update(json.dumps(rules, sort_keys=True).encode())
    hasher.update(json.dumps(prompts_of(folder)).encode())
    return hasher.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Stored:
    dtype: str
    shape: tuple[int, ...]
    data: NDArray[np.uint8]


def read_tensors(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the floating-point tensors of a folder's safetensors files as float32.

    numpy has neither bfloat16 nor float8: both are converted here. Other types (position ids)
    are left out.

    Raises:
        DamagedError: there are none, a file cannot be read, or a weight is not a number.
    """
    tensors: dict[str, NDArray[np.float32]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, stored in _stored_tensors(path):
            if values := _WIDENED.get(stored.dtype):
                tensors[name] = values(stored.data).reshape(stored.shape)
                if not np.isfinite(tensors[name]).all():
                    raise DamagedError(f"{path}: {name} has weights that are not numbers.")
    if not tensors:
        raise DamagedError(f"{folder}: the model has no weights. Expected model.safetensors.")
    return tensors


def _stored_tensors(path: Path) -> Iterator[tuple[str, _Stored]]:
    header = read_header(path)
    with reading(path):
        raw = np.memmap(path, np.uint8, "r")
        start = 8 + int(raw[:8].view("<u8")[0])
        stored = [
            (name, entry, slice(*(start + end for end in entry["data_offsets"])))
            for name, entry in header.items()
        ]
    for name, entry, place in stored:
        yield name, _Stored(entry["dtype"], tuple(entry["shape"]), raw[place])


def _from_bfloat16(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (data.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _from_float8(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert E4M3 without infinities: sign, 4 bits of exponent (bias 7), 3 bits of mantissa."""
    code = np.arange(256)
    sign, exponent, mantissa = np.where(code & 128, -1.0, 1.0), (code >> 3) & 15, code & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7.0)
    values = sign * np.where(exponent == 0, mantissa * 2.0**-9, normal)
    values[[127, 255]] = np.nan
    return values.astype(np.float32)[data]


_WIDENED = {
    "F32": lambda data: data.view("<f4").astype(np.float32),
    "F16": lambda data: data.view("<f2").astype(np.float32),
    "BF16": _from_bfloat16,
    "F8_E4M3": _from_float8,
}
