"""Finds the right answer to a question, and gets better at it from your own pairs.

`from dotbogi import Searcher` is what a backend needs; `dotbogi.indexes`, `dotbogi.search` and
`dotbogi.training` are the rooms behind it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotbogi.indexes import DotbogiError, Evidence, Hit, Workspace
    from dotbogi.search import ModelConfig, Reply, Searcher, index_collection

__all__ = [
    "DotbogiError",
    "Evidence",
    "Hit",
    "ModelConfig",
    "Reply",
    "Searcher",
    "Workspace",
    "index_collection",
]

_IN_INDEXES = {"DotbogiError", "Evidence", "Hit", "Workspace"}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: `dotbogi --help` needs none of them (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'dotbogi' has no attribute {name!r}")
    room = "dotbogi.indexes" if name in _IN_INDEXES else "dotbogi.search"
    return getattr(import_module(room), name)
