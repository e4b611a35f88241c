"""Old generations are removed on request, never the published one nor one that is open."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run
from effort import effort

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.store import Workspace
from dotbogi.search import Searcher, index_collection

READER = """
import sys
from dotbogi import Searcher
searcher = Searcher.open(sys.argv[1])
print(searcher.generation, flush=True)
sys.stdin.read()
print(len(searcher.search("배고프다")), flush=True)
"""
KILLED = """
import os, sys
from pathlib import Path
from dotbogi.indexes import files, store
from dotbogi.indexes.collection import Answer, Collection
from dotbogi.search import index_collection

folder, at = sys.argv[1:]
real = files.replace_file
def replace_file(path, data):
    if path.name == at:
        os._exit(9)
    real(path, data)
    if "after " + path.name == at:
        os._exit(9)
store.replace_file = replace_file
if at == "rename":
    Path.rename = lambda *_: os._exit(9)
index_collection(store.Workspace(folder), Collection([Answer("k", "버려질 답변")], []), {})
"""


def published(tmp_path: Path, collection: Collection, count: int) -> Workspace:
    place = Workspace(tmp_path / "w")
    for _ in range(count):
        index_collection(place, collection, {})
    return place


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 9])
def test_the_newest_stay(tmp_path: Path, collection: Collection, keep: int) -> None:
    place = published(tmp_path, collection, 4)
    names = place.names()
    shown = json.loads(run("history", "prune", "--keep", keep, "-w", place.folder, "--json").stdout)
    assert place.names() == shown["kept"] == names[-keep:]
    assert shown["removed"] == names[:-keep]
    assert sorted(path.name for path in place.generations_folder.iterdir()) == place.names()
    assert Searcher.open(place.folder).search("배고프다")
    assert index_collection(place, collection, {}).name == "000005"


def test_the_published_one_stays_however_old(tmp_path: Path, collection: Collection) -> None:
    place = published(tmp_path, collection, 4)
    place.roll_back("000002")
    assert run("history", "prune", "--keep", 1, "-w", place.folder).output == (
        "removed: 000001, 000003; kept: 000002, 000004\n"
    )
    assert Searcher.open(place.folder).generation == "000002"


def test_one_that_another_process_has_open_stays_until_it_ends(
    tmp_path: Path, collection: Collection
) -> None:
    place = published(tmp_path, collection, 1)
    arguments = [sys.executable, "-c", READER, str(place.folder)]
    reader = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "000001\n"
    published(tmp_path, collection, 2)
    with place.writing():
        assert place.prune(1) == (["000002"], ["000001"])
    assert (
        "000001 stays, because it is open"
        in run("history", "prune", "--keep", 1, "-w", place.folder).output
    )
    assert int(reader.communicate("")[0]) > 0
    with place.writing():
        assert place.prune(1) == (["000001"], [])


def test_a_killed_reader_leaves_no_hold(tmp_path: Path, collection: Collection) -> None:
    place = published(tmp_path, collection, 1)
    arguments = [sys.executable, "-c", READER, str(place.folder)]
    reader = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdout is not None
    reader.stdout.readline()
    published(tmp_path, collection, 1)
    reader.kill()
    reader.communicate()
    with place.writing():
        assert place.prune(1) == (["000001"], [])


def test_a_searcher_lets_go_when_it_moves_on_and_a_pinned_one_does_not(
    tmp_path: Path, collection: Collection
) -> None:
    place = published(tmp_path, collection, 1)
    searcher = Searcher.open(place.folder)
    pinned: Searcher | None = searcher.pinned()
    published(tmp_path, collection, 1)
    searcher.reload()
    with place.writing():
        assert place.prune(1) == ([], ["000001"])
        assert pinned is not None
        assert pinned.search("배고프다")
        pinned = None
        gc.collect()
        assert place.prune(1) == (["000001"], [])
        before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        searcher = Searcher.open(place.folder)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.soak
def test_30_publishes_with_prune_stay_small(tmp_path: Path, collection: Collection) -> None:
    place = Workspace(tmp_path / "w")
    sizes = []
    for _ in range(effort(8, 30)):
        index_collection(place, collection, {})
        with place.writing():
            place.prune(2)
        sizes.append(sum(path.stat().st_size for path in place.folder.rglob("*")))
    assert len(place.names()) == 2
    assert max(sizes[2:]) < 1.05 * sizes[1], f"{len(sizes)} publishes: {sizes}"


def test_a_generation_that_is_removed_while_it_is_opened_is_not_used(
    tmp_path: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = published(tmp_path, collection, 1)
    other, names = Workspace(place.folder), Workspace.names
    done: list[bool] = []

    def named_late(self: Workspace) -> list[str]:
        if self is place and not done:  # CURRENT is read; then another process publishes, prunes
            done.append(True)
            index_collection(other, collection, {})
            with other.writing():
                assert other.prune(1) == (["000001"], [])
        return names(self)

    monkeypatch.setattr(Workspace, "names", named_late)
    assert place.current().name == "000002"


def test_prune_refuses_a_damaged_workspace(tmp_path: Path, collection: Collection) -> None:
    place = published(tmp_path, collection, 2)
    (place.current().folder / "answers.parquet").write_bytes(b"")
    assert run("history", "prune", "--keep", 1, "-w", place.folder).exit_code == 3
    (place.folder / "CURRENT").write_text("")
    with pytest.raises(DamagedError), place.writing():
        place.prune(1)
    assert place.names() == ["000001", "000002"]


@pytest.mark.parametrize(
    "at", ["rename", ".publishing", "after .publishing", "CURRENT", "after CURRENT"]
)
def test_a_killed_publish_leaves_nothing_for_the_next_writer(
    tmp_path: Path, collection: Collection, at: str
) -> None:
    place = published(tmp_path, collection, 1)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(place.folder), at])
    assert killed.returncode == 9
    named = at == "after CURRENT"
    assert place.current().name == ("000002" if named else "000001")
    assert Searcher.open(place.folder).search("답변")
    with place.writing():
        pass
    assert place.names() == ["000001", "000002"][: 1 + named], f"killed at {at}"
    assert sorted(path.name for path in place.generations_folder.iterdir()) == place.names()
    assert index_collection(place, collection, {}).name == ("000003" if named else "000002")


def test_an_orphan_that_is_published_by_hand_stays(tmp_path: Path, collection: Collection) -> None:
    place = published(tmp_path, collection, 1)
    subprocess.run([sys.executable, "-c", KILLED, str(place.folder), "CURRENT"])
    assert place.names() == ["000001", "000002"]
    place.roll_back("000002")
    place.roll_back("000001")
    with place.writing():
        pass
    assert place.names() == ["000001", "000002"]


def test_the_rest_of_a_killed_removal_is_removed(tmp_path: Path, collection: Collection) -> None:
    place = published(tmp_path, collection, 2)
    folder = place.generations_folder
    (folder / "000001").rename(folder / ".removing-000001")
    with place.writing():
        pass
    assert sorted(path.name for path in folder.iterdir()) == ["000002"]
