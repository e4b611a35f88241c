"""Read a sentence-transformers folder without that library."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import DamagedError, DotbogiError

MODULE_PREFIX = "sentence_transformers."
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
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        types = [module["type"] for module in modules]
        paths = [folder / module["path"] for module in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{folder}: modules.json cannot be read.") from error
    foreign = [name for name in types if not str(name).startswith(MODULE_PREFIX)]
    if foreign:
        raise DotbogiError(
            f"{folder}: the model has a module {foreign[0]!r} with code of its own, which is never "
            f"run. Expected modules of {MODULE_PREFIX.rstrip('.')} only."
        )
    if any(not path.resolve().is_relative_to(folder.resolve()) for path in paths):
        raise DotbogiError(f"{folder}: modules.json names a folder outside the model.")
    return list(modules)


def module_kinds(modules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the class names of a model's modules: Transformer, Pooling, Normalize."""
    return [str(module["type"]).rsplit(".", 1)[-1] for module in modules]


def prompts_of(folder: Path) -> tuple[str, str]:
    """Return the query prompt and the answer prompt stored with a model; empty if there is none."""
    path = folder / "config_sentence_transformers.json"
    prompts = read_settings(path).get("prompts") or {} if path.is_file() else {}
    answer = next((prompts[name] for name in _ANSWER_PROMPTS if prompts.get(name)), "")
    return prompts.get("query") or "", answer


def first_position(config: Mapping[str, Any]) -> int:
    """Return the row of a text's first token in the position table."""
    behind = config.get("model_type") in POSITIONS_BEHIND_PADDING
    return int(config["pad_token_id"]) + 1 if behind else 0


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        DamagedError: it cannot be read.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedError(f"{path}: cannot be read.") from error


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
            rules = read_settings(subfolder / "tokenizer.json")
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
        DamagedError: there are none, or a file cannot be read.
    """
    tensors: dict[str, NDArray[np.float32]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, stored in _stored_tensors(path):
            if values := _WIDENED.get(stored.dtype):
                tensors[name] = values(stored.data).reshape(stored.shape)
    if not tensors:
        raise DamagedError(f"{folder}: the model has no weights. Expected model.safetensors.")
    return tensors


def _stored_tensors(path: Path) -> Iterator[tuple[str, _Stored]]:
    try:
        raw = np.memmap(path, np.uint8, "r")
        start = 8 + int(raw[:8].view("<u8")[0])
        for name, entry in json.loads(raw[8:start].tobytes()).items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                data = raw[start + first : start + last]
                yield name, _Stored(entry["dtype"], tuple(entry["shape"]), data)
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise DamagedError(f"{path}: cannot be read.") from error


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
