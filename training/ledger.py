"""The ledger of a run: what happened, one JSON line an event, on the disk before the next step."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexes.errors import DamagedError
from indexes.store import Workspace

RUN_NAME = re.compile(r"run-[0-9]{4,}")


class Ledger:
    """`ledger.jsonl` of one run; an event that is in it has happened and is not done again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.jsonl"
        self._drop_torn_line()
        self._events = read_events(folder)

    def get(self, event: str, round_number: int | None = None) -> Mapping[str, Any] | None:
        """Return the event of this name (and round), or None if it has not happened."""
        for entry in self._events:
            if entry["event"] == event and entry.get("round") == round_number:
                return entry
        return None

    def add(self, event: str, round_number: int | None = None, /, **facts: Any) -> dict[str, Any]:
        """Append an event with its time and facts; return it."""
        entry: dict[str, Any] = {
            "event": event,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if round_number is not None:
            entry["round"] = round_number
        entry.update(facts)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._events.append(entry)
        return entry

    def _drop_torn_line(self) -> None:
        """Cut off what a kill left in the middle of a line: it has not happened."""
        if not self._path.is_file():
            return
        raw = self._path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            with self._path.open("r+b") as file:
                file.truncate(whole)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a run's ledger, oldest first, and leave the file as it is.

    Raises:
        DamagedError: a whole line is not JSON.
    """
    path = folder / "ledger.jsonl"
    if not path.is_file():
        return []
    raw = path.read_bytes()
    events: list[dict[str, Any]] = []
    for number, line in enumerate(raw[: raw.rfind(b"\n") + 1].splitlines(), 1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise DamagedError(f"{path}, line {number}: not JSON.") from error
    return events


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


def read_trained(folder: Path) -> frozenset[str]:
    """Return the digests of the texts that a run's starting model has trained on."""
    return frozenset(json.loads((folder / "trained.json").read_text(encoding="utf-8")))


def run_names(workspace: Workspace) -> list[str]:
    """Return the names of a workspace's runs, oldest first; other folders are not ours."""
    found = (path.name for path in workspace.rounds_folder.glob("run-*") if path.is_dir())
    return sorted(name for name in found if RUN_NAME.fullmatch(name))
