"""The folders of a run's models: the base, and what each round learned for each fold."""

from pathlib import Path

from dotbogi.search.encoded import EncodedCollection
from dotbogi.search.geometry import Geometry


def round_folder(run: Path, number: int, fold: int | None) -> Path:
    """Return the folder of what a round learned.

    Args:
        run: folder of the run.
        number: number of the round; 0 is the base.
        fold: the fold that was left out of training; None for a fit on all questions.
    """
    if not number:
        return run / "base"
    return run / f"round-{number}" / ("all" if fold is None else f"fold-{fold}")


def encoder_folder(run: Path, number: int, fold: int | None) -> Path:
    """Return the folder of a round's model and encoder; an adapter uses those of the base."""
    folder = round_folder(run, number, fold)
    return folder if (folder / "encoder").is_dir() else run / "base"


def open_geometry(folder: Path, encoded: EncodedCollection) -> Geometry:
    """Read the geometry stored in a folder; if there is none, return the collection's means."""
    if (folder / "geometry.safetensors").is_file():
        return Geometry.open(folder)
    return encoded.geometry()
