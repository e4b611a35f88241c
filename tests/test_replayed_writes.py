"""What a crash of the machine leaves of a command's writes: any of those that were not flushed.

The writes of a command are recorded below libc and replayed: up to any moment, and of what was not
flushed before it, any part may be lost. The model is that of ALICE (Pillai et al., OSDI 2014) at
its strictest: bytes are safe after a flush of their file, names after one of their folder.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest
from effort import SOAK, effort
from forked_commands import ForkedCommands, Ran, Watch
from test_kills import left, told
from test_loop import secret_language

from dotbogi.indexes.store import Workspace

ALL_KINDS = (1 << 10) - 1


@dataclass(slots=True)
class Call:
    """One call that changed something, or flushed it."""

    name: str  # create, truncate, write, resize, sync, mkdir, rename, unlink, rmdir
    path: str  # from the watched folder
    other: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Node:
    """A file or folder on the disk."""

    is_folder: bool
    data: bytearray = field(default_factory=bytearray)  # as flushed
    names: dict[str, "Node"] = field(default_factory=dict)  # as flushed
    pending: list[tuple[str, object, object]] = field(default_factory=list)  # not flushed, in order


def recorded(log: Path, folder: Path) -> list[Call]:
    """Read the log of a command's calls; only those that matter to the disk."""
    raw, calls, place = log.read_bytes(), [], 0
    kept = ("create", "truncate", "write", "resize", "sync", "mkdir", "rename", "unlink", "rmdir")
    while place < len(raw):
        end = raw.index(b"\n", place)
        _, name, offset, size, path, other = raw[place:end].decode().split("\t")
        data = raw[end + 1 : end + 1 + int(size)]
        place = end + 1 + int(size)
        assert name != "unseen", f"{path}: written by a layer whose writes are not seen"
        if name in kept:
            inside = [str(PurePosixPath(p).relative_to(folder)) if p else "" for p in (path, other)]
            calls.append(Call(name, *inside, int(offset), data))
    return calls


class Disk:
    """What is on the disk for certain, and what may be there."""

    def __init__(self, folder: Path) -> None:
        self.root = self._read(folder)
        self._seen: dict[str, Node] = {}  # as the running system sees it
        self._enter(self.root, "")

    def _read(self, path: Path) -> Node:
        if path.is_dir():
            return Node(True, names={each.name: self._read(each) for each in path.iterdir()})
        return Node(False, bytearray(path.read_bytes()))

    def _enter(self, node: Node, path: str) -> None:
        self._seen[path or "."] = node
        for name, inside in node.names.items():
            self._enter(inside, f"{path}/{name}".lstrip("/"))

    def _folder_of(self, path: str) -> tuple[Node, str]:
        pure = PurePosixPath(path)
        return self._seen[str(pure.parent)], pure.name

    def apply(self, call: Call) -> None:
        """Do what a call does; it is pending until its file or folder is flushed."""
        if call.name in ("create", "mkdir"):
            node = Node(call.name == "mkdir")
            self._seen[call.path] = node
            folder, name = self._folder_of(call.path)
            folder.pending.append(("name", name, node))
        elif call.name == "rename":
            self._rename(call.path, call.other)
        elif call.name in ("unlink", "rmdir"):
            folder, name = self._folder_of(call.path)
            folder.pending.append(("name", name, None))
            del self._seen[call.path]
        elif (node := self._seen.get(call.path)) is None:
            pass  # a file without a name: deleted while it is open
        elif call.name == "write":
            node.pending.append(("write", call.offset, call.data))
        elif call.name == "truncate" or call.name == "resize":
            node.pending.append(("resize", call.offset, None))
        elif call.name == "sync":
            for each in node.pending:
                settle(node.data, node.names, each)
            node.pending.clear()

    def _rename(self, old: str, new: str) -> None:
        inside = [path for path in self._seen if path == old or path.startswith(f"{old}/")]
        moved = {new + path[len(old) :]: self._seen.pop(path) for path in inside}
        self._seen.update(moved)
        (before, name), (after, other) = self._folder_of(old), self._folder_of(new)
        if before is after:
            after.pending.append(("rename", (name, other), moved[new]))
            return
        after.pending.append(("name", other, moved[new]))
        before.pending.append(("name", name, None))

    def write(self, target: Path, rng: random.Random) -> None:
        """Write what a crash may leave: of each file and folder, some of what is pending."""
        shutil.rmtree(target, ignore_errors=True)
        self._write(self.root, target, rng, rng.choice(["none", "first", "any", "any", "all"]))

    def _write(self, node: Node, target: Path, rng: random.Random, luck: str) -> None:
        data, names = bytearray(node.data), dict(node.names)
        for each in chosen(node.pending, rng, luck):
            settle(data, names, each)
        if not node.is_folder:
            target.write_bytes(data)
            return
        target.mkdir()
        for name, inside in names.items():
            self._write(inside, target / name, rng, luck)


def chosen(
    pending: list[tuple[str, object, object]], rng: random.Random, luck: str
) -> list[tuple[str, object, object]]:
    """Return those pending changes that are on the disk after all, in some order."""
    if luck in ("none", "all"):
        return pending if luck == "all" else []
    if luck == "first":
        return pending[: rng.randint(0, len(pending))]
    kept = [each for each in pending if rng.random() < 0.5]
    if rng.random() < 0.5:
        rng.shuffle(kept)
    return [torn(each, rng) if rng.random() < 0.2 else each for each in kept]


def torn(change: tuple[str, object, object], rng: random.Random) -> tuple[str, object, object]:
    """Return a write of which only the first bytes reached the disk, or zeros in their place."""
    kind, offset, data = change
    if kind != "write":
        return change
    assert isinstance(data, bytes)
    return kind, offset, rng.choice([data[: rng.randint(0, len(data))], bytes(len(data))])


def settle(data: bytearray, names: dict[str, Node], change: tuple[str, object, object]) -> None:
    """Apply one change to what is on the disk."""
    kind, where, what = change
    if kind == "write":
        assert isinstance(where, int)
        assert isinstance(what, bytes)
        data.extend(bytes(max(0, where - len(data))))
        data[where : where + len(what)] = what
    elif kind == "resize":
        assert isinstance(where, int)
        data[:] = data[:where].ljust(where, b"\0")
    elif kind == "rename":  # within a folder, both names change at once
        old, new = where  # type: ignore[misc]
        names.pop(old, None)
        names[new] = what  # type: ignore[assignment]
    elif what is None:
        names.pop(where, None)  # type: ignore[call-overload]
    else:
        names[where] = what  # type: ignore[index, assignment]


def record(
    commands: ForkedCommands, folder: Path, log: Path, *arguments: object
) -> tuple[Ran, list[Call]]:
    # The folder around it too: a first command makes the workspace.
    watch = Watch(folder=str(folder), kinds=ALL_KINDS, log=str(log), with_data=True)
    ran = commands.run(*arguments, watch=watch)
    assert ran.exit_code == 0, ran.output
    return ran, recorded(log, folder)


def crashes(
    before: Path, calls: list[Call], count: int, target: Path
) -> Iterator[tuple[bool, str]]:
    """Write states of the disk after a crash, one after the other; yield what was done last.

    Every fifth is a crash after the last call.
    """
    rng = random.Random(count)
    disk, done = Disk(before), 0
    last = sorted(rng.randint(0, len(calls)) for _ in range(count - count // 5))
    for number in [*last, *[len(calls)] * (count // 5)]:
        for call in calls[done:number]:
            disk.apply(call)
        done = number
        disk.write(target, rng)
        said = f"{calls[done - 1].name} {calls[done - 1].path}" if done else "nothing"
        yield done == len(calls), f"after call {done} of {len(calls)} ({said})"


@pytest.mark.soak
@pytest.mark.parametrize("first", [True, False], ids=["first", "next"])
def test_after_a_crash_index_has_published_the_old_or_the_new_generation(
    place: Path, commands: ForkedCommands, first: bool
) -> None:
    around, before, target = place / "around", place / "before", place / "target"
    for path in (around, before):
        shutil.rmtree(path, ignore_errors=True)
    around.mkdir()
    (place / "t.csv").write_text("question,answer\n배고프다,맛있는 걸 드세요\n택배,이틀\n")
    index = ("index", place / "t.csv", "-w", around / "w", "--analyzer", "bigram")
    index = (*index, "--tolerance", "none")
    if not first:
        assert commands.run(*index).exit_code == 0
    shutil.copytree(around, before)
    names = [None, "000001"] if first else ["000001", "000002"]
    _, calls = record(commands, around, place / "log", *index)
    outcomes: Counter[str] = Counter()
    count = effort(10, 300)
    for is_last, where in crashes(before, calls, count, target):
        workspace = Workspace(target / "w")
        name = workspace.current_name()
        assert name in names, f"{where}: {name}"
        assert name == names[1] or not is_last, f"{where}: published, but lost"
        if name:
            workspace.current()  # every file is whole
        outcomes[str(name)] += 1
        if sum(outcomes.values()) % 5 == 0:  # the next command clears and goes on
            again = commands.run(
                "index", place / "t.csv", "-w", target / "w", "--analyzer", "bigram"
            )
            assert again.exit_code == 0, f"{where}: {again.output}"
            assert left(target / "w") == set(), where
    print(f"{count} crashes of {len(calls)} calls of index: {dict(outcomes)}")


@pytest.mark.skipif(not SOAK, reason="minutes: in make soak")
@pytest.mark.soak
def test_after_a_crash_train_resumes_to_the_same_result(
    place: Path, commands: ForkedCommands
) -> None:
    around, before, target = place / "around", place / "before", place / "target"
    for path in (around, before):
        shutil.rmtree(path, ignore_errors=True)
    around.mkdir()
    pairs = [",".join(pair) for pair in secret_language()[:240]]
    (place / "t.csv").write_text("\n".join(["question,answer", *pairs]) + "\n", encoding="utf-8")
    folder = around / "w"
    made = commands.run(
        "index", place / "t.csv", "-w", folder, "--analyzer", "whitespace", "--tolerance", "none"
    )
    assert made.exit_code == 0, made.output
    shutil.copytree(around, before)
    train = ("train", "--rounds", 1, "--folds", 2, "--learning-rate", 0.01, "-w")
    _, calls = record(commands, around, place / "log", *train, folder)
    expected = told(folder)
    outcomes: Counter[str] = Counter()
    count = effort(0, 200)
    for is_last, where in crashes(before, calls, count, target):
        workspace = Workspace(target / "w")
        name = workspace.current().name
        assert name in ("000001", "000002"), where
        run = target / "w" / "rounds" / "run-0001"
        ran = commands.run(*(["train", "--resume", "-w"] if run.is_dir() else train), target / "w")
        has_ended = "this run has ended" in ran.last
        outcomes[f"{name}{', ended' * has_ended}"] += 1
        assert ran.exit_code == (2 if has_ended else 0), f"{where}: {ran.output}"
        assert has_ended or not is_last, f"{where}: ended, but lost"
        assert name == "000002" or not has_ended, f"{where}: ended without a generation"
        found = told(target / "w")
        # SQLite removes the journal of a cache when it next writes to that cache.
        found["left"] = {n for n in found["left"] if not n.endswith(".sqlite-journal")}
        for part in expected:
            if not has_ended:
                assert found[part] == expected[part], f"{where}: {part} differs"
    print(f"{count} crashes of {len(calls)} calls of train: {dict(outcomes)}")
