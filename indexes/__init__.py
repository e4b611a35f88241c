"""What is searched, and how it is kept."""

from indexes.analyzer import Analyzer
from indexes.collection import (
    Answer,
    Collection,
    Counts,
    KnownQuestion,
    build_collection,
    open_collection,
)
from indexes.errors import (
    DamagedError,
    DotbogiError,
    LockedError,
    ModelMismatchError,
    NoSpaceError,
    UsageError,
)
from indexes.hits import Candidate, Evidence, Hit
from indexes.store import Generation, Workspace
from indexes.tables import SAMPLE_PATH, Columns, Table, read_table

__all__ = [
    "SAMPLE_PATH",
    "Analyzer",
    "Answer",
    "Candidate",
    "Collection",
    "Columns",
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
    "Table",
    "UsageError",
    "Workspace",
    "build_collection",
    "open_collection",
    "read_table",
]
