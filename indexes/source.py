"""Where a collection comes from: a table, a public set, the published generation or the sample."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection, Counts, build_collection, open_collection
from dotbogi.indexes.download import Progress
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.fetch import Fetched, fetch
from dotbogi.indexes.public_sets import is_set_name
from dotbogi.indexes.settings import kept, kept_settings, said
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH, Reading, Table, read_table
from dotbogi.indexes.tables.bots import is_rasa

COLUMNS = ("question", "further", "answer", "answer_id")


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
    reading: Reading | None = None,
    *,
    strict: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Return the collection of a table or a public set.

    What the user says about a table is kept in the workspace, and holds for the next one until
    the user says otherwise ("auto": as if nothing had been said).

    Args:
        table: a file, a folder, or the name of a public set, which is fetched if it is missing; a
            file of that name takes precedence. None: the published collection of the workspace,
            or the bundled sample if there is none.
        workspace: its settings for tables are used, and its collection if there is no table.
        reading: what the user says about the table now.
        strict: refuse a table with rows that cannot be used.
        progress: called while a file is downloaded.

    Raises:
        UsageError: settings are given without a table, or the public set has scored pairs.
        DotbogiError: the table cannot be read.
    """
    given = reading or Reading()
    if table is None and given != Reading():
        raise UsageError("Options on how to read a table need a TABLE.")
    if table is None and workspace.current_name() is not None:
        generation = workspace.current()
        return Source(open_collection(generation.folder), generation.manifest["source"])
    found = find_table(table, workspace, given, progress=progress)
    collection, counts = build_collection(found.table)
    _refuse_skips(found.table.path, counts, strict=strict)
    columns = {name: getattr(found.table.columns, name) for name in COLUMNS}
    origin = {**_origin(table, found.public), **columns, "reading": said(found.settings)}
    return Source(collection, origin, counts, found.notes)


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table as it was read."""

    table: Table
    public: Fetched | None  # the public set that its name stands for
    settings: Reading  # what the user has said about it, now or earlier
    notes: tuple[str, ...]  # for the user: what was fetched, kept or assumed


def find_table(
    table: Path | None,
    workspace: Workspace,
    given: Reading,
    *,
    progress: Progress | None = None,
) -> FoundTable:
    """Read a table, a public set, or without a name the bundled sample.

    Args:
        table: as for `read_source`.
        workspace: its settings for tables are used.
        given: what the user says about the table now.
        progress: called while a file is downloaded.

    Raises:
        UsageError: the public set has scored pairs.
        DotbogiError: the table cannot be read.
    """
    public = public_set(table, progress=progress)
    if public and public.scored and given.answer is None:
        raise UsageError(
            f"{public.name}: sentence pairs with a score, not questions with answers. Name a set "
            "of questions and answers (dotbogi fetch lists them), or --answer-column."
        )
    path = public.path if public else table or SAMPLE_PATH
    settings, notes = kept_settings(workspace, given)
    read = read_table(path, given) if public else _read(path, settings, given)
    fetched = (fetched_note(public),) if public and public.new else ()
    notes = tuple(f"{read.path}: {note}" for note in (*notes, *(read.notes if table else ())))
    return FoundTable(read, public, settings, (*fetched, *notes))


def _read(path: Path, settings: Reading, given: Reading) -> Table:
    """Read a table; what was only kept from another one gives way where it does not fit."""
    if path.is_dir() or is_rasa(path):
        return read_table(path, given)
    try:
        return read_table(path, settings)
    except DotbogiError:
        looser = replace(settings, sheet=given.sheet, encoding=given.encoding)
        if looser == settings:
            raise
        return read_table(path, looser)


def read_questions(
    table: Path,
    workspace: Workspace,
    reading: Reading | None = None,
    *,
    strict: bool = False,
    collection: Collection | None = None,
) -> Source:
    """Return the collection of a test table, which may name its answers by their ids alone.

    The names of columns that the workspace keeps are used where the table has them.

    Args:
        table: a file, a folder, or the name of a public set.
        workspace: its published answers are those that ids stand for.
        reading: what the user says about the table.
        strict: refuse a table with rows that cannot be used.
        collection: answers that are going to be published, whose ids count too.

    Raises:
        DotbogiError: the table cannot be read.
    """
    public = public_set(table)
    path = public.path if public else table
    answers = (
        {}
        if workspace.current_name() is None
        else _texts(open_collection(workspace.current().folder))
    )
    answers |= _texts(collection) if collection else {}
    read = read_table(path, reading, hints=kept(workspace), answers=answers)
    questions, counts = build_collection(read)
    _refuse_skips(path, counts, strict=strict)
    notes = tuple(f"{path}: {note}" for note in read.notes)
    return Source(questions, _origin(table, public), counts, notes)


def _texts(collection: Collection) -> dict[str, str]:
    """Return the texts of answers by each id that they have or had."""
    texts = {answer.id: answer.text for answer in collection.answers}
    return {key: texts[id_] for key, id_ in collection.ids().items()}


def _refuse_skips(path: Path, counts: Counts, *, strict: bool) -> None:
    unusable = [skip for skip in counts.skips if not skip.wanted]
    if strict and unusable:
        first, *_ = unusable
        raise DotbogiError(
            f"{path}: {len(unusable)} rows cannot be used, first row {first.number}: "
            f"{first.reason}. Mend them, or leave out --strict."
        )


def public_set(table: Path | None, *, progress: Progress | None = None) -> Fetched | None:
    """Return the public set that `table` names, fetched if it is missing; None if it names none.

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
