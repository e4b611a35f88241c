"""The ledger of a run: one JSON line per event, written to disk before the next step.

A line also has the digests of the files that its step made. They are on the disk before the line.
"""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import naming, remove, replace_file, sync
from dotbogi.indexes.store import Workspace
from dotbogi.search.fitted import Fitted
from dotbogi.training.gate import Verdict
from dotbogi.training.measure.reliability import ConfidenceQuality
from dotbogi.training.sealed import damaged, put_on_disk

RUN_NAME = re.compile(r"run-[0-9]{4,}")

Metrics = Mapping[str, Mapping[str, float]]  # method → metric → mean

logger = logging.getLogger(__name__)


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


class Ledger:
    """Reads and appends to the `ledger.jsonl` of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "ledger.jsonl"
        self._drop_torn_line()
        self.events = read_events(folder)

    def find(self, kind: type[E], **facts: object) -> E | None:
        """Return the first event of this kind with these field values, or None."""
        for event in self.events:
            if isinstance(event, kind) and all(getattr(event, n) == v for n, v in facts.items()):
                return event
        return None

    def go_back(self) -> None:
        """Forget the events from the first one on whose files are damaged: its step is repeated.

        Raises:
            DamagedError: a file that the run began with is damaged; no step makes it again.
        """
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.is_file() else []
        for number, line in enumerate(lines):
            files = json.loads(line).get("files", {})
            if not (spoiled := damaged(self._folder, files)):
                continue
            if isinstance(self.events[number], Started):
                raise DamagedError(
                    f"{spoiled[0]}: missing, or not as it was when the run began. Start another "
                    "run: dotbogi train"
                )
            logger.warning("%s: missing or damaged; its step is repeated", spoiled[0])
            for path in spoiled:  # a step must not continue from them
                remove(path)
            replace_file(self._path, b"".join(lines[:number]))
            sync(self._folder)
            del self.events[number:]
            return

    def add(self, event: E, *made: Path) -> E:
        """Append an event with the current time, and return it.

        Args:
            event: of a step that is done.
            made: the files and folders that the step made; they are put on the disk first.
        """
        event = replace(event, time=datetime.now(UTC).isoformat(timespec="seconds"))
        files = put_on_disk(self._folder, made)
        entry = {"event": event.name, **asdict(event), "files": files}
        is_new = not self._path.exists()
        with naming(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync(self._folder)
        self.events.append(event)
        return event

    def _drop_torn_line(self) -> None:
        """Cut off a last line that a killed process left incomplete: its event does not count."""
        if not self._path.is_file():
            return
        raw = self._path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            with self._path.open("r+b") as file:
                file.truncate(whole)


def read_events(folder: Path) -> list[Event]:
    """Return the events of a run's ledger, oldest first, without changing the file.

    Raises:
        DamagedError: a complete line is not an event of this version.
    """
    path = folder / "ledger.jsonl"
    if not path.is_file():
        return []
    raw = path.read_bytes()
    events: list[Event] = []
    for number, line in enumerate(raw[: raw.rfind(b"\n") + 1].splitlines(), 1):
        try:
            entry = json.loads(line)
            entry.pop("files", None)  # see `Ledger.go_back`
            events.append(_built(_EVENTS[entry.pop("event")], entry))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedError(
                f"{path}, line {number}: not an event of this version. Start another run: "
                "dotbogi train"
            ) from error
    return events


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
    """Delete the models and unfinished files of a run that has ended or was replaced."""
    for pattern in ("base", "guide", "round-*", ".*", "*.tmp"):
        for path in folder.glob(pattern):
            remove(path)


def run_names(workspace: Workspace) -> list[str]:
    """Return the names of a workspace's runs, oldest first; other folders are ignored."""
    names = (path.name for path in workspace.rounds_folder.glob("run-*") if path.is_dir())
    return sorted(name for name in names if RUN_NAME.fullmatch(name))
