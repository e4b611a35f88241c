"""The models of a run on disk: the base it starts from, and what each round made of it."""

from pathlib import Path

from indexes.cache import Cache
from indexes.collection import Collection
from search.encoded import EncodedCollection, IndexConfig
from search.encoders import CachedEncoder, open_encoder
from search.geometry import AdaptedEncoder, Geometry


def round_place(run: Path, number: int) -> Path:
    """Return the folder with a round's model and encoder; an adapter's are those of the base."""
    place = run / f"round-{number}"
    return place if number and (place / "encoder").is_dir() else run / "base"


def round_geometry(run: Path, number: int, encoded: EncodedCollection) -> Geometry:
    """Return what a round learned; where it learned a whole model, the means of its vectors."""
    place = run / f"round-{number}" if number else run / "base"
    if (place / "geometry.safetensors").is_file():
        return Geometry.open(place)
    return encoded.geometry()


def encode_with(
    place: Path, collection: Collection, config: IndexConfig, cache: Cache, *, progress: bool
) -> EncodedCollection:
    """Analyse and encode a collection with a place's encoder, as far as the cache has it not."""
    encoder = CachedEncoder(open_encoder(place, progress=progress), cache)
    return EncodedCollection.of(collection, encoder, config, cache)


def adapted_encoder(run: Path, number: int, encoded: EncodedCollection) -> AdaptedEncoder:
    """Return what makes the vectors that a round's dense search compares."""
    return AdaptedEncoder(encoded.encoder, round_geometry(run, number, encoded))
