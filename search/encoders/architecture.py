"""What a model's settings say about its architecture, if it is one that has a graph."""

from dataclasses import dataclass
from pathlib import Path

from dotbogi.indexes.files import reading
from dotbogi.search.encoders.model_folder import (
    POSITIONS_BEHIND_PADDING,
    first_position,
    module_kinds,
    read_modules,
    read_settings,
)

_FAMILIES = ("bert", *POSITIONS_BEHIND_PADDING)
_MOST_LAYERS = 512


class NotExportableError(Exception):
    """There is no graph for this kind of model; the message names it."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What config.json and the pooling module state."""

    hidden: int
    layers: int
    heads: int
    epsilon: float
    first_position: int
    pooling: str

    @classmethod
    def of(cls, folder: Path) -> "Architecture":
        """Return the architecture of a sentence-transformers folder.

        Raises:
            NotExportableError: the model has another architecture.
            DamagedError: a setting cannot be read.
        """
        modules = read_modules(folder)
        kinds = module_kinds(modules)
        if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
            raise NotExportableError(f"modules {', '.join(kinds)}")
        path = folder / modules[0]["path"] / "config.json"
        config = read_settings(path)
        family = config.get("model_type")
        if family not in _FAMILIES:
            raise NotExportableError(f"architecture {family}")
        if config.get("hidden_act", "gelu") != "gelu" or config.get("is_decoder"):
            raise NotExportableError(f"{family} with {config.get('hidden_act')}")
        pooling = _pooling(folder / modules[1]["path"])
        with reading(path):
            hidden, layers, heads = (
                int(config[name])
                for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")
            )
            if not (0 < layers <= _MOST_LAYERS and 0 < heads <= hidden and hidden % heads == 0):
                raise ValueError(f"{layers} layers, {hidden} numbers for {heads} heads")
            epsilon = float(config.get("layer_norm_eps", 1e-12))
            return cls(hidden, layers, heads, epsilon, first_position(config), pooling)


def _pooling(folder: Path) -> str:
    config = read_settings(folder / "config.json")
    if not config.get("include_prompt", True):
        raise NotExportableError("pooling without the prompt")
    flags = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
    mode = config.get("pooling_mode") or [name for name, flag in flags.items() if config.get(flag)]
    modes = [mode] if isinstance(mode, str) else list(mode)
    others = [flag for flag, on in config.items() if flag.startswith("pooling_mode_") and on]
    if len(modes) != 1 or modes[0] not in flags or len(others) > 1:
        raise NotExportableError(f"pooling {mode}")
    return str(modes[0])
