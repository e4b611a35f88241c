"""Where a collection comes from: a table, a public set, the published generation or the sample."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection, Counts, build_collection, open_collection
from dotbogi.indexes.download import Progress
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.fetch import Fetched, fetch
from dotbogi.indexes.public_sets import is_set_name
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH, Columns, read_table


@dataclass(frozen=True, slots=True)
class Source:
    """A collection, where it comes from, and what was read."""

    collection: Collection
    origin: Mapping[str, Any]  # saved in the manifest: table, columns, licence and address
    counts: Counts | None = None  # None: no table was read
    notes: tuple[str, ...] = ()  # for the user: what was fetched or assumed

    def lines(self) -> list[str]:
        """Return the table and the counts of its rows as lines of text; none without a table."""
        return [f"table: {self.origin['table']}", *self.counts.lines()] if self.counts else []


def read_source(
    table: Path | None,
    workspace: Workspace,
    columns: Columns | None = None,
    *,
    progress: Progress | None = None,
) -> Source:
    """Return the collection of a table or a public set.

    Args:
        table: a file, a BEIR folder, or the name of a public set, which is fetched if it is
            missing; a file of that name takes precedence. None: the published collection of the
            workspace, or the bundled sample if there is none.
        workspace: read only if there is no table.
        columns: the table's columns, if they do not have their usual names.
        progress: called while a file is downloaded.

    Raises:
        UsageError: columns are given without a table, or the public set has scored pairs.
        DotbogiError: the table cannot be read.
    """
    columns = columns or Columns()
    if table is None and columns != Columns():
        raise UsageError("--question-column, --answer-column and --id-column need a TABLE.")
    if table is None and workspace.current_name() is not None:
        generation = workspace.current()
        return Source(open_collection(generation.folder), generation.manifest["source"])
    public = public_set(table, progress=progress)
    if public and public.scored and columns.answer is None:
        raise UsageError(
            f"{public.name}: sentence pairs with a score, not questions with answers. Name a set "
            "of questions and answers (dotbogi fetch lists them), or --answer-column."
        )
    read = read_table(public.path if public else table or SAMPLE_PATH, columns)
    collection, counts = build_collection(read)
    notes = [fetched_note(public)] if public and public.new else []
    notes += [f"{read.path}: {note}" for note in read.notes]
    origin = _origin(table, public)
    return Source(collection, {**origin, **asdict(read.columns)}, counts, tuple(notes))


def public_set(table: Path | None, *, progress: Progress | None = None) -> Fetched | None:
    """Return the public set that a table's name stands for, fetched if it is missing.

    Raises:
        DotbogiError: it cannot be fetched.
    """
    if table is None or not is_set_name(str(table)) or table.exists():
        return None
    return fetch(str(table), progress=progress)[0]


def fetched_note(public: Fetched) -> str:
    """Return the note for the user about a set that was fetched."""
    return f"fetched {public.name} ({public.licence}; {public.source})"


def _origin(table: Path | None, public: Fetched | None) -> dict[str, Any]:
    if public is None:
        return {"table": str(table.resolve()) if table else "bundled sample"}
    facts = {name: getattr(public, name) for name in ("url", "revision", "licence", "sha256")}
    return {"table": public.name, **{name: value for name, value in facts.items() if value}}
