"""How a query is answered: `Searcher` is what a backend imports."""

from indexes.errors import (
    DamagedError,
    DotbogiError,
    LockedError,
    ModelMismatchError,
    NoSpaceError,
    UsageError,
)
from indexes.hits import Evidence, Hit
from search.encoded import IndexConfig
from search.models import ModelConfig
from search.publish import index_collection
from search.searcher import Reply, Searcher

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
    "Reply",
    "Searcher",
    "UsageError",
    "index_collection",
]
