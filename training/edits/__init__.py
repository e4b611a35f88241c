"""Edits: Korean texts that say something else in nearly the same words (docs/edits.md)."""

from training.edits.editor import EDIT_KINDS, Edit, EditKind, Editor

__all__ = ["EDIT_KINDS", "Edit", "EditKind", "Editor"]
