"""One writer at a time, and nothing is written through a link."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import LockedError, UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.search import Searcher, index_collection

ROUNDS = 1000
# Every writer fails its first command, so it removes the lock file that others may have opened.
WRITER = """
import os, sys
from dotbogi.indexes.errors import LockedError, UsageError
from dotbogi.indexes.store import Workspace
folder, inside = sys.argv[1:]
held = overlaps = 0
while held < int(os.environ["ROUNDS"]):
    try:
        with Workspace(folder).writing():
            try:
                descriptor = os.open(inside, os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                overlaps += 1
                continue
            os.close(descriptor)
            held += 1
            os.unlink(inside)
    except LockedError:
        pass
print(overlaps)
"""


def test_three_failing_first_commands_are_never_inside_at_once(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", WRITER, str(tmp_path / "w"), str(tmp_path / "inside")]
    environment = {**os.environ, "ROUNDS": str(ROUNDS)}
    writers = [
        subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [writer.communicate(timeout=120)[0] for writer in writers]
    assert outputs == ["0\n"] * 3, f"overlaps in {3 * ROUNDS} turns: {outputs}"
    # The folder stays if the one who created it was not the last one inside.
    assert [path.name for path in tmp_path.rglob("*")] in ([], ["w"])


def test_a_lock_that_is_deleted_while_it_is_waited_for_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, real = Workspace(tmp_path / "w"), fcntl.flock
    deleted: list[Path] = []

    def flock(descriptor: int, operation: int) -> None:
        if not deleted:  # the first command fails between our open and our flock
            deleted.append(place.folder / ".dotbogi-lock")
            deleted[0].unlink()
            place.folder.rmdir()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with place.writing():
        assert deleted[0].read_text() == str(os.getpid())
        with pytest.raises(LockedError), Workspace(place.folder).writing():
            pass
    assert not place.folder.exists()


@pytest.fixture
def workspace(tmp_path: Path, collection: Collection) -> Workspace:
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {})
    return place


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("name", [".CURRENT", ".dotbogi-lock", "CURRENT", "generations/.staging"])
def test_a_link_is_never_written_through(
    workspace: Workspace,
    collection: Collection,
    tmp_path: Path,
    make: Callable[[Path, Path], Any],
    name: str,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("a user's file")
    (workspace.folder / name).unlink(missing_ok=True)
    make(workspace.folder / name, elsewhere)
    if name == ".dotbogi-lock":
        with pytest.raises(UsageError, match="not the lock of dotbogi"):
            index_collection(workspace, collection, {})
        assert Searcher.open(workspace.folder).generation == "000001"
    elif name == "CURRENT":  # names no generation: it is written again by a rollback
        workspace.roll_back("000001")
    else:
        index_collection(workspace, collection, {})
        assert workspace.current_name() == "000002"
    assert elsewhere.read_text() == "a user's file"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["fifo", "folder", "dangling link", "a user's file"])
def test_a_lock_that_is_no_lock_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "w").mkdir()
    path = tmp_path / "w" / ".dotbogi-lock"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "new")
    else:
        path.write_text("12 eggs")
    with (
        pytest.raises(UsageError, match="not the lock of dotbogi"),
        Workspace(tmp_path / "w").writing(),
    ):
        pass
    assert not (tmp_path / "new").exists()


def test_a_lock_in_a_backup_of_hard_links_is_no_obstacle(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    (tmp_path / "backup").hardlink_to(workspace.folder / ".dotbogi-lock")
    assert index_collection(workspace, collection, {}).name == "000002"
