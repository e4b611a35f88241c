"""The collection, its indexes and their storage."""

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.collection import (
    Answer,
    Collection,
    Counts,
    KnownQuestion,
    build_collection,
    open_collection,
)
from dotbogi.indexes.errors import (
    DamagedError,
    DotbogiError,
    LockedError,
    ModelMismatchError,
    NoSpaceError,
    NothingIndexedError,
    UsageError,
)
from dotbogi.indexes.hits import Candidate, Evidence, Hit
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.indexes.tables import SAMPLE_PATH, Reading, Table, read_table

__all__ = [
    "SAMPLE_PATH",
    "Analyzer",
    "Answer",
    "Candidate",
    "Collection",
    "Counts",
    "DamagedError",
    "DotbogiError",
    "Evidence",
    "Generation",
    "Hit",
    "KnownQuestion",
    "LockedError",
    "ModelMismatchError",
    "NoSpaceError",
    "NothingIndexedError",
    "Reading",
    "Table",
    "UsageError",
    "Workspace",
    "build_collection",
    "open_collection",
    "read_table",
]
