"""Check all that a workspace holds: generations, runs, feedback, decisions and the cache."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dotbogi.indexes.cache import check_cache
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import listed
from dotbogi.indexes.manifest import REMEDY
from dotbogi.indexes.store import Workspace
from dotbogi.search.feedback import FeedbackStore, has_feedback
from dotbogi.training.judgements.decisions import DECISIONS, read_decisions
from dotbogi.training.ledger import Ended, read_record, run_names
from dotbogi.training.run_files import check_files


@dataclass(frozen=True, slots=True)
class Verified:
    """One part of a workspace: what it holds, or what is wrong with it."""

    name: str
    said: str
    damaged: bool


def verify_workspace(workspace: Workspace) -> Iterator[Verified]:
    """Yield each part of a workspace after checking it; nothing is changed but old formats."""
    yield from (verify_generation(workspace, name) for name in workspace.names())
    yield from _current(workspace)
    runs = run_names(workspace)
    for name in runs:
        yield _verified(name, partial(_run, workspace.rounds_folder / name, name == runs[-1]))
    if has_feedback(workspace.folder):
        yield _verified("feedback.sqlite", partial(_feedback, workspace.folder))
    if (workspace.folder / DECISIONS).exists():
        yield _verified(DECISIONS, partial(_decisions, workspace.folder))
    for path in listed(workspace.cache_folder):
        if path.suffix == ".sqlite":
            yield _verified(f"cache/{path.name}", partial(_cache, path))


def verify_generation(workspace: Workspace, name: str) -> Verified:
    """Return what the files of one generation are, compared with its manifest."""

    def said() -> str:
        files = len(workspace.generation(name).manifest["files"])
        return f"{files} files, all as published"

    return _verified(name, said)


def _current(workspace: Workspace) -> Iterator[Verified]:
    """Yield CURRENT if it is damaged, or names a generation that is not there."""
    part = _verified("CURRENT", lambda: workspace.current_name() or "")
    if not part.damaged and part.said and part.said not in workspace.names():
        missing = f"{workspace.folder / 'CURRENT'}: names {part.said}, which is missing. {REMEDY}"
        part = Verified(part.name, missing, damaged=True)
    if part.damaged:
        yield part


def _verified(name: str, check: Callable[[], str]) -> Verified:
    try:
        return Verified(name, check(), damaged=False)
    except DamagedError as error:
        return Verified(name, str(error), damaged=True)


def _run(folder: Path, is_last: bool) -> str:
    record = read_record(folder)
    goes_on = is_last and not any(isinstance(event, Ended) for event in record.events)
    check_files(folder, record.files, models=goes_on)
    if record.events and not record.files:
        return f"{len(record.events)} events; an older version wrote it, without digests of files"
    return f"{len(record.events)} events, {len(record.files)} files, all as recorded"


def _feedback(folder: Path) -> str:
    with contextlib.closing(FeedbackStore.open(folder)) as store:
        return f"{store.check()} votes, all as stored"


def _decisions(folder: Path) -> str:
    return f"{len(read_decisions(folder))} decisions, all as stored"


def _cache(path: Path) -> str:
    return f"{check_cache(path)} values, all as stored"
