"""Read the tables that commands take."""

from pathlib import Path
from typing import TYPE_CHECKING

from dotbogi.commands.output import byte_bars, print_notes

if TYPE_CHECKING:
    from dotbogi.indexes import Collection, Reading, Workspace
    from dotbogi.indexes.source import Source


def read(
    table: Path | None, workspace: "Workspace", reading: "Reading", *, strict: bool = False
) -> "Source":
    """Read the collection of a table, and print notes about it for the user."""
    from dotbogi.indexes.source import read_source

    with byte_bars() as progress:
        source = read_source(table, workspace, reading, strict=strict, progress=progress)
    print_notes(source.notes)
    return source


def read_test(
    table: Path,
    workspace: "Workspace",
    reading: "Reading",
    *,
    strict: bool = False,
    collection: "Collection | None" = None,
) -> "Source":
    """Read a test table, which may name answers by id; print notes about it for the user."""
    from dotbogi.indexes.source import read_questions

    source = read_questions(table, workspace, reading, strict=strict, collection=collection)
    print_notes(source.notes)
    return source
