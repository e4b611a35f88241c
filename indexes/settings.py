"""How a workspace's tables are read: what the user said once holds until something else is said."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.manifest import read_manifest
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables.table import Reading

AUTO = "auto"  # as a setting: found by looking at the table again

_OPTIONS = {
    "question": "--question-column",
    "further": "--further-columns",
    "answer": "--answer-column",
    "answer_id": "--id-column",
    "markup": "--keep-markup",
}


def said(reading: Reading) -> dict[str, Any]:
    """Return the settings that are not left to be found, for the manifest."""
    return {name: value for name, value in asdict(reading).items() if value not in (None, ())}


def kept(workspace: Workspace) -> Reading:
    """Return the settings that the workspace keeps."""
    if workspace.current_name() is None:
        return Reading()
    name = workspace.current_name()
    assert name
    try:  # the manifest alone: other files may be damaged, and the table is indexed anew
        manifest = read_manifest(workspace.generations_folder / name)
    except DamagedError:
        return Reading()
    stored: Mapping[str, Any] = manifest["source"].get("reading", {})
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()
    }
    return Reading(**values)


def kept_settings(workspace: Workspace, given: Reading) -> tuple[Reading, tuple[str, ...]]:
    """Return the kept settings with what is said now, and notes on both for the user."""
    before = said(kept(workspace))
    now = said(given)
    reset = {name for name, value in now.items() if value in (AUTO, (AUTO,))}
    settings = {name: value for name, value in {**before, **now}.items() if name not in reset}
    notes = [
        f"{_option(name)} {_words(value)}, as before"
        for name, value in before.items()
        if name not in now
    ]
    notes += [
        f"{_option(name)} is now {_words(value)} (before: {_words(before[name])})"
        for name, value in now.items()
        if name in before and before[name] != value
    ]
    return replace(Reading(), **settings), tuple(notes)


def _option(name: str) -> str:
    return _OPTIONS.get(name, f"--{name}")


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
