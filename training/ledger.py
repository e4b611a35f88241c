"""The ledger of a run: one JSON line per event, written to disk before the next step.

An event also has the digests of the files that its step wrote. `ledger.head` has the length and the
digest of the lines, and is replaced after each of them: a line that it does not count is one that a
killed process could not finish.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from dotbogi.indexes.errors import DamagedError, OldFormatError, UsageError
from dotbogi.indexes.files import (
    digest_of_json,
    listed,
    naming,
    reading,
    remove,
    replace_file,
    sync,
)
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.store import Workspace
from dotbogi.search.fitted import Fitted
from dotbogi.training.gate import Verdict
from dotbogi.training.measure.reliability import ConfidenceQuality
from dotbogi.training.run_files import HEAD, LEDGER, REMEDY, RunFiles, changed_files, check_files

logger = logging.getLogger(__name__)

FORMAT = 2  # of the folder of a run; 1 had no head and no digests
RUN_NAME = re.compile(r"run-[0-9]{4,}")

Metrics = Mapping[str, Mapping[str, float]]  # method → metric → mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a ledger. A step whose event is in the ledger is not repeated."""

    name: ClassVar[str]
    time: str = ""  # UTC; the ledger fills it in


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The run began."""

    name: ClassVar[str] = "started"
    config: Mapping[str, Any]
    counts: Mapping[str, int]  # questions (or scored pairs) by split
    review: Mapping[str, Any] | None = None  # counts of the decisions that were used
    feedback: Mapping[str, Any] | None = None  # counts of users' votes; None if not used
    fingerprints: Mapping[str, str]
    libraries: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined(Event):
    """Negatives were mined in a round for the questions outside a fold; for all if it is None."""

    name: ClassVar[str] = "mined"
    round: int
    fold: int | None
    yields: Mapping[str, Mapping[str, int]]  # source → asked, kept, over_bound, …
    suspects: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(Event):
    """A fit was trained on the questions outside a fold; on all if it is None."""

    name: ClassVar[str] = "trained"
    round: int
    fold: int | None
    kind: str  # adapter or full
    settings: Mapping[str, Any]
    rows: int
    negatives: int  # per row
    log: Sequence[Mapping[str, float]]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged(Event):
    """The tuned weights of a full fit were merged with the base's."""

    name: ClassVar[str] = "merged"
    round: int
    share: float  # of the tuned weights
    figures: Mapping[str, float]  # share → out-of-fold MRR@10 of the hybrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Event):
    """A round was measured, each question with a model trained without it."""

    name: ClassVar[str] = "measured"
    round: int
    kept: bool
    against: int | None = None  # the round that it was compared with
    verdict: Verdict | None = None
    queries: int
    metrics: Metrics
    scores: Sequence[float]  # per query, for the gate
    dense_scores: Sequence[float] = ()  # the same for dense search; empty for scored pairs
    slices: Mapping[str, Mapping[str, Any]]  # name → queries, metrics
    fitted: Fitted | None = None  # weights and confidence, on all queries
    confidence: ConfidenceQuality | None = None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested(Event):
    """The held-out questions were searched, once: with round 0 and with the kept round."""

    name: ClassVar[str] = "tested"
    __test__: ClassVar[bool] = False  # pytest: this is not a test class
    kept_round: int
    queries: int
    before: Metrics
    after: Metrics
    verdict: Verdict
    confidence: ConfidenceQuality | None = None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Event):
    """The run published a generation."""

    name: ClassVar[str] = "published"
    generation: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The run has ended."""

    name: ClassVar[str] = "ended"
    early: str | None = None  # why the last rounds were not run


_EVENTS: Mapping[str, type[Event]] = {
    event.name: event
    for event in (Started, Mined, Trained, Merged, Measured, Tested, Published, Ended)
}
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Record:
    """What a ledger says."""

    events: list[Event]  # oldest first
    files: dict[str, str]  # digests by path; none in format 1
    size: int  # bytes of the lines that count


class Ledger:
    """Reads and appends to the `ledger.jsonl` of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / LEDGER
        record = read_record(folder)
        self.events, self.files = record.events, record.files
        self._written = RunFiles(folder, self.files)
        if self._path.exists() and self._path.stat().st_size > record.size:
            os.truncate(self._path, record.size)  # a killed process left a line incomplete

    def find(self, kind: type[E], **facts: object) -> E | None:
        """Return the first event of this kind with these field values, or None."""
        for event in self.events:
            if isinstance(event, kind) and all(getattr(event, n) == v for n, v in facts.items()):
                return event
        return None

    def has(self, path: Path) -> bool:
        """Return whether a file of the run is recorded, and so complete and unchanged."""
        return path.relative_to(self._folder).as_posix() in self.files

    def add(self, event: E) -> E:
        """Append an event, with the current time and what its step wrote, and return it."""
        event = replace(event, time=datetime.now(UTC).isoformat(timespec="seconds"))
        new = self._written.new()
        entry = {"event": event.name, **asdict(event), "files": new}
        if not (self._folder / HEAD).exists():
            write_head(self._folder)  # from now on, one that is missing was lost
        with naming(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        write_head(self._folder)
        self.events.append(event)
        self.files.update(new)
        return event

    def go_back(self) -> None:
        """Forget the events from the first one with damaged files on: their steps are repeated.

        Raises:
            DamagedError: a file that the run began with is damaged; no step makes it again.
        """
        while spoiled := dict(changed_files(self._folder, self.files)):
            lines = self._path.read_bytes().splitlines(keepends=True)
            names = {path.relative_to(self._folder).as_posix() for path in spoiled}
            last = {n: i for i, line in enumerate(lines) for n in json.loads(line)["files"]}
            first = min(last[name] for name in names)
            path, what = next(iter(spoiled.items()))
            if not first:
                raise DamagedError(f"{path}: {what}. {REMEDY}")
            logger.warning("%s: %s; its step is repeated", path, what)
            for each in spoiled:  # a step must not continue from them
                remove(each)
            replace_file(self._path, b"".join(lines[:first]))
            write_head(self._folder)
            record = read_record(self._folder)
            self.events, self.files = record.events, record.files
            self._written = RunFiles(self._folder, self.files)


def write_head(folder: Path) -> None:
    """Make all lines of a run's ledger count."""
    path = folder / LEDGER
    raw = path.read_bytes() if path.exists() else b""
    head = {"format": FORMAT, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    head = {**head, "digest": digest_of_json(head)}
    replace_file(folder / HEAD, json.dumps(head).encode())
    sync(folder)


def read_record(folder: Path) -> Record:
    """Return what a run's ledger says, without changing it.

    Raises:
        DamagedError: the ledger or its head is missing or has changed, or a line is not an event of
            this version.
        OldFormatError: a newer version wrote it.
    """
    head = _read_head(folder / HEAD)  # first: a line that is added now counts with the next one
    path = folder / LEDGER
    raw = path.read_bytes() if path.exists() else b""
    if head is None:
        raw = raw[: raw.rfind(b"\n") + 1]
    elif hashlib.sha256(raw := raw[: head["size"]]).hexdigest() != head["sha256"]:
        raise DamagedError(f"{path}: its lines are not those that {HEAD} counts. {REMEDY}")
    events: list[Event] = []
    files: dict[str, str] = {}
    for number, line in enumerate(raw.splitlines(), 1):
        with reading(f"{path}, line {number}", f"Not an event of this version. {REMEDY}"):
            entry = json.loads(line)
            files |= entry.pop("files", {})
            events.append(_built(_EVENTS[entry.pop("event")], entry))
    if files and head is None:
        if (folder / HEAD).exists():
            return read_record(folder)  # the run has begun just now
        raise DamagedError(f"{folder / HEAD}: missing. {REMEDY}")
    return Record(events, files, len(raw))


def _read_head(path: Path) -> Any:
    """Return the head of a ledger; None if there is none, as in format 1."""
    if not path.exists():
        return None
    head = read_json(path, REMEDY)
    with reading(path, REMEDY):
        stated, format_ = head.pop("digest"), head["format"]
    if format_ != FORMAT:
        raise OldFormatError(
            f"{path}: written in format {format_!r:.20}; this version reads up to {FORMAT}. "
            "Update dotbogi, or start another run: dotbogi train"
        )
    if stated != digest_of_json(head):
        raise DamagedError(f"{path}: does not match its own digest. {REMEDY}")
    return head


def read_events(folder: Path) -> list[Event]:
    """Return the events of a run's ledger, oldest first; see `read_record`."""
    return read_record(folder).events


@contextlib.contextmanager
def open_run(folder: Path) -> Iterator[list[Event]]:
    """Yield the events of a run after checking its files, but not its working models.

    Files in format 1 have no digests, so whatever goes wrong with them later may be damage.

    Raises:
        DamagedError: the ledger is damaged, or a file that it records is missing or has changed.
    """
    record = read_record(folder)
    check_files(folder, record.files, models=False)
    with contextlib.nullcontext() if record.files else reading(folder, REMEDY):
        yield record.events


def make_resumable(folder: Path) -> None:
    """Prepare an interrupted run to be continued from the last event whose files are intact.

    Raises:
        UsageError: it has ended.
        DamagedError: the ledger or a file that the run began with is damaged.
        OldFormatError: an older version began it, without digests.
    """
    record = read_record(folder)
    if any(isinstance(event, Ended) for event in record.events):
        raise UsageError(f"{folder}: this run has ended. Start another: dotbogi train")
    if record.events and not record.files:
        raise OldFormatError(f"{folder}: an older version of dotbogi began this run. {REMEDY}")
    Ledger(folder).go_back()


def _built(kind: type[Any], facts: Mapping[str, Any]) -> Any:
    """Return a dataclass from its `asdict` form."""
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    if facts.keys() - names:
        raise TypeError(f"{kind.__name__} has no {sorted(facts.keys() - names)}")
    return kind(**{name: _value(hints[name], value) for name, value in facts.items()})


def _value(hint: Any, value: Any) -> Any:
    for option in (hint, *get_args(hint)):
        if isinstance(option, type) and option is not NoneType and is_dataclass(option):
            return None if value is None else _built(option, value)
    return value


def published_by(workspace: Workspace, run: str, started_from: str | None) -> str | None:
    """Return the name of the published generation if this run has published it.

    A run that was interrupted after publishing did not record it. Only a generation newer than
    `started_from` counts: run names are reused once their folders are deleted, and an older
    generation may have been published again.
    """
    if workspace.current_name() is None:
        return None
    generation = workspace.current()
    ours = generation.manifest["run"] == run and generation.name > (started_from or "")
    return generation.name if ours else None


def clear_models(folder: Path) -> None:
    """Delete the working models and checkpoints of a run that has ended or was replaced."""
    for path in listed(folder):
        if path.name in ("base", "guide") or path.name.startswith("round-"):
            with naming(path):
                shutil.rmtree(path)


def run_names(workspace: Workspace) -> list[str]:
    """Return the names of a workspace's runs, oldest first; other folders are ignored."""
    paths = listed(workspace.rounds_folder)
    return [path.name for path in paths if RUN_NAME.fullmatch(path.name) and path.is_dir()]
