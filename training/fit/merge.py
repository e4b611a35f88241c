"""A trained model, merged with what it was: tuned models forget (LM-Cocktail, Xiao et al. 2023)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dotbogi.search.encoders.model_folder import read_modules, read_tensors


def merge_models(base: Path, tuned: Path, share: float, folder: Path) -> None:
    """Write the weighted mean of two models' weights as a sentence-transformers folder.

    Args:
        base: the model that training started from.
        tuned: what became of it; all but the weights is taken from here.
        share: of the tuned weights, 0 to 1.
        folder: created.
    """
    from safetensors.numpy import save_file

    shutil.copytree(tuned, folder)
    place = folder / read_modules(folder)[0]["path"]
    before = read_tensors(base / read_modules(base)[0]["path"])
    after = read_tensors(place)
    merged = {name: _mean(before, name, tensor, share) for name, tensor in after.items()}
    for path in place.glob("*.safetensors*"):
        path.unlink()
    save_file(merged, place / "model.safetensors", metadata={"format": "pt"})


def _mean(
    before: Mapping[str, NDArray[np.float32]], name: str, tuned: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Return the mean of a tensor with what it was, whatever prefix its name had there."""
    was = next((t for other, t in before.items() if _same(other, name)), None)
    if was is None or was.shape != tuned.shape:  # a new layer
        return tuned
    mean: NDArray[np.float32] = (share * tuned + (1 - share) * was).astype(np.float32)
    return mean


def _same(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
