"""Merge a tuned model with its base: tuned models forget (LM-Cocktail, Xiao et al. 2023)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dotbogi.search.encoders.model_folder import read_modules, read_tensors


def merge_models(base: Path, tuned: Path, share: float, folder: Path) -> None:
    """Write the weighted mean of two models' weights as a sentence-transformers folder.

    Args:
        base: folder of the model that training started from.
        tuned: folder of the trained model; all files but the weights are copied from here.
        share: weight of the tuned weights, 0 to 1.
        folder: created.
    """
    from safetensors.numpy import save_file

    shutil.copytree(tuned, folder)
    transformer = folder / read_modules(folder)[0]["path"]
    base_tensors = read_tensors(base / read_modules(base)[0]["path"])
    tuned_tensors = read_tensors(transformer)
    merged = {
        name: _mean(base_tensors, name, tensor, share) for name, tensor in tuned_tensors.items()
    }
    for path in transformer.glob("*.safetensors*"):
        path.unlink()
    save_file(merged, transformer / "model.safetensors", metadata={"format": "pt"})


def _mean(
    base: Mapping[str, NDArray[np.float32]], name: str, tuned: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Return the mean of a tensor and the base's, whose name may have another prefix."""
    before = next((tensor for other, tensor in base.items() if _same_name(other, name)), None)
    if before is None or before.shape != tuned.shape:  # a new layer
        return tuned
    mean: NDArray[np.float32] = (share * tuned + (1 - share) * before).astype(np.float32)
    return mean


def _same_name(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
