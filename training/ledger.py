"""The ledger of a run: what happened, one JSON line an event, on the disk before the next step."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.store import Workspace
from dotbogi.search.fitted import Fitted
from dotbogi.training.gate import Verdict
from dotbogi.training.measure.reliability import ConfidenceQuality

RUN_NAME = re.compile(r"run-[0-9]{4,}")

Metrics = Mapping[str, Mapping[str, float]]  # method → metric → mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line. A step whose event is there has been taken, and is not taken again."""

    name: ClassVar[str]
    time: str = ""  # UTC; the ledger fills it in


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The run has begun."""

    name: ClassVar[str] = "started"
    config: Mapping[str, Any]
    counts: Mapping[str, int]  # questions (or scored pairs) by split
    review: Mapping[str, Any] | None = None  # decisions that were there, and what became of them
    feedback: Mapping[str, Any] | None = None  # what came of users' votes; None: not used
    fingerprints: Mapping[str, str]
    libraries: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined(Event):
    """Negatives of a round, for the questions outside a fold; for all where it is None."""

    name: ClassVar[str] = "mined"
    round: int
    fold: int | None
    yields: Mapping[str, Mapping[str, int]]  # source → asked, kept, over_bound, …
    suspects: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(Event):
    """A fit on the questions outside a fold; on all where it is None."""

    name: ClassVar[str] = "trained"
    round: int
    fold: int | None
    kind: str  # adapter or full
    settings: Mapping[str, Any]
    rows: int
    negatives: int  # of each row
    log: Sequence[Mapping[str, float]]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged(Event):
    """How much of a full fit's weights is taken, the rest being the base's."""

    name: ClassVar[str] = "merged"
    round: int
    share: float
    figures: Mapping[str, float]  # share → the hybrid's MRR@10 out of fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Event):
    """A round as measured: each question by what was learned without it."""

    name: ClassVar[str] = "measured"
    round: int
    kept: bool
    against: int | None = None  # the round that it was compared with
    verdict: Verdict | None = None
    queries: int
    metrics: Metrics
    scores: Sequence[float]  # of each query, for the gate
    dense_scores: Sequence[float] = ()  # the same of dense search; of scored pairs there are none
    slices: Mapping[str, Mapping[str, Any]]  # name → queries, metrics
    fitted: Fitted | None = None  # weights and confidence, on all of them
    confidence: ConfidenceQuality | None = None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested(Event):
    """The one look at the questions that were held out: round 0 and what was kept."""

    name: ClassVar[str] = "tested"
    __test__: ClassVar[bool] = False  # no class of tests, whatever pytest thinks of the name
    kept_round: int
    queries: int
    before: Metrics
    after: Metrics
    verdict: Verdict
    confidence: ConfidenceQuality | None = None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Event):
    """The run's generation is there."""

    name: ClassVar[str] = "published"
    generation: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """All is done."""

    name: ClassVar[str] = "ended"
    early: str | None = None  # why not all rounds were taken


_EVENTS: Mapping[str, type[Event]] = {
    event.name: event
    for event in (Started, Mined, Trained, Merged, Measured, Tested, Published, Ended)
}
E = TypeVar("E", bound=Event)


class Ledger:
    """`ledger.jsonl` of one run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.jsonl"
        self._drop_torn_line()
        self.events = read_events(folder)

    def find(self, kind: type[E], **facts: object) -> E | None:
        """Return the event of this kind that has these facts, or None if it has not happened."""
        for event in self.events:
            if isinstance(event, kind) and all(getattr(event, n) == v for n, v in facts.items()):
                return event
        return None

    def add(self, event: E) -> E:
        """Append an event with its time, and return it."""
        event = replace(event, time=datetime.now(UTC).isoformat(timespec="seconds"))
        entry = {"event": event.name, **asdict(event)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.events.append(event)
        return event

    def _drop_torn_line(self) -> None:
        """Cut off what a kill left in the middle of a line: it has not happened."""
        if not self._path.is_file():
            return
        raw = self._path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            with self._path.open("r+b") as file:
                file.truncate(whole)


def read_events(folder: Path) -> list[Event]:
    """Return the events of a run's ledger, oldest first, and leave the file as it is.

    Raises:
        DamagedError: a whole line is not an event as this version writes it.
    """
    path = folder / "ledger.jsonl"
    if not path.is_file():
        return []
    raw = path.read_bytes()
    events: list[Event] = []
    for number, line in enumerate(raw[: raw.rfind(b"\n") + 1].splitlines(), 1):
        try:
            entry = json.loads(line)
            events.append(_built(_EVENTS[entry.pop("event")], entry))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedError(
                f"{path}, line {number}: no event of a run of this version. Start another run: "
                "dotbogi train"
            ) from error
    return events


def _built(kind: type[Any], facts: Mapping[str, Any]) -> Any:
    """Return a dataclass from what `asdict` made of it."""
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
    """Return the published generation if it is this run's: it may have been cut off after that.

    What was there when the run began is not, whatever its name, nor what is older: folders of
    runs may be deleted, and generations published again.
    """
    if workspace.current_name() is None:
        return None
    generation = workspace.current()
    ours = generation.manifest["run"] == run and generation.name > (started_from or "")
    return generation.name if ours else None


def clear_models(folder: Path) -> None:
    """Delete the working models and checkpoints of a run; nothing goes on with them any more."""
    for pattern in ("base", "guide", "round-*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path)


def run_names(workspace: Workspace) -> list[str]:
    """Return the names of a workspace's runs, oldest first; other folders are not ours."""
    found = (path.name for path in workspace.rounds_folder.glob("run-*") if path.is_dir())
    return sorted(name for name in found if RUN_NAME.fullmatch(name))
