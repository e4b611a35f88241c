"""Search in a published collection; a backend imports `Searcher`."""

from dotbogi.indexes.errors import (
    DamagedError,
    DotbogiError,
    LockedError,
    ModelMismatchError,
    NoSpaceError,
    NothingIndexedError,
    UsageError,
)
from dotbogi.indexes.hits import Evidence, Hit
from dotbogi.search.encoded import IndexConfig
from dotbogi.search.models import ModelConfig
from dotbogi.search.publish import index_collection
from dotbogi.search.searcher import Reply, Searcher

__all__ = [
    "DamagedError",
    "DotbogiError",
    "Evidence",
    "Hit",
    "IndexConfig",
    "LockedError",
    "ModelConfig",
    "ModelMismatchError",
    "NoSpaceError",
    "NothingIndexedError",
    "Reply",
    "Searcher",
    "UsageError",
    "index_collection",
]
