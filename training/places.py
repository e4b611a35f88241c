"""The models of a run on disk: the base, and what each round made of it for each fold."""

from pathlib import Path

from dotbogi.search.encoded import EncodedCollection
from dotbogi.search.geometry import Geometry


def place_of(run: Path, number: int, fold: int | None) -> Path:
    """Return the folder of what a round learned without a fold; None is without any."""
    if not number:
        return run / "base"
    return run / f"round-{number}" / ("all" if fold is None else f"fold-{fold}")


def encoder_place(run: Path, number: int, fold: int | None) -> Path:
    """Return the folder with model and encoder of a round; an adapter's are those of the base."""
    place = place_of(run, number, fold)
    return place if (place / "encoder").is_dir() else run / "base"


def geometry_of(place: Path, encoded: EncodedCollection) -> Geometry:
    """Return what was learned there; where nothing was, the means of the collection."""
    if (place / "geometry.safetensors").is_file():
        return Geometry.open(place)
    return encoded.geometry()
