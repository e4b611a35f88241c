"""Writes, flushes and closes that fail, or that lose bytes and say nothing, publish nothing."""

import errno
import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from effort import effort
from test_store import snapshot

from dotbogi.indexes.collection import Answer, Collection
from dotbogi.indexes.errors import DotbogiError, NoSpaceError
from dotbogi.indexes.store import Workspace
from dotbogi.search import Searcher, index_collection

STEP = effort(4, 1)
FILES = "dotbogi.indexes.files.os"


class FaultyOs:
    """`os` for the file layer; one call on the n-th file opened for writing goes wrong."""

    def __init__(self, fault: str, number: int) -> None:
        self.fault, self.number, self.opened, self.hit = fault, number, 0, ""
        self._bad: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str | Path, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        written = bool(flags & os.O_WRONLY)
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if folder if self.fault == "folder" else written:
            self.opened += 1
            if self.opened == self.number:
                self._bad[descriptor] = str(path)
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        if descriptor in self._bad:
            if self.fault == "full":
                os.write(descriptor, data[: len(data) // 2])
                self._fail(descriptor, errno.ENOSPC)
            if self.fault == "lost":
                self.hit = self._bad[descriptor]
                os.write(descriptor, data[: len(data) // 2])
                return len(data)
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        if descriptor in self._bad and self.fault in ("flush", "folder"):
            self._fail(descriptor, errno.EIO)
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        bad = self._bad.get(descriptor)
        if bad and self.fault == "lost at close":
            self.hit = bad
            os.ftruncate(descriptor, max(os.fstat(descriptor).st_size - 1, 0))
        os.close(descriptor)
        if bad and self.fault == "close":
            self._fail(descriptor, errno.EDQUOT)
        self._bad.pop(descriptor, None)

    def _fail(self, descriptor: int, number: int) -> None:
        self.hit = self._bad[descriptor]
        raise OSError(number, os.strerror(number))


@pytest.fixture
def workspace(tmp_path: Path, collection: Collection) -> Workspace:
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {})
    return place


def state(workspace: Workspace) -> dict[str, bytes]:
    files = snapshot(workspace.folder)
    return {name: data for name, data in files.items() if not name.startswith("cache/")}


def attempts(fault: str, publish: Callable[[], object]) -> Iterator[tuple[FaultyOs, Exception]]:
    """Publish with the fault on the first file written, the second … until none is left.

    `make test` takes every fourth file.
    """
    number = 1
    while True:
        faulty, raised = FaultyOs(fault, number), None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FILES, faulty)
            try:
                publish()
            except Exception as error:
                raised = error
        if not faulty.hit and faulty.opened < number:
            assert raised is None
            return
        assert faulty.hit, f"{fault} {number}: the fault was never met"
        assert raised is not None, f"{fault} of {faulty.hit} was not noticed"
        yield faulty, raised
        number += STEP


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["full", "lost", "lost at close", "flush", "close", "folder"])
def test_a_fault_in_any_file_of_a_publish_publishes_nothing(
    workspace: Workspace, collection: Collection, fault: str
) -> None:
    more = Collection([*collection.answers, Answer("b1", "새 답변입니다.")], collection.questions)
    before, tried, kept = state(workspace), 0, []
    for faulty, error in attempts(fault, lambda: index_collection(workspace, more, {})):
        tried += 1
        assert state(workspace) == before, f"{fault} of {faulty.hit} left something"
        assert isinstance(error, DotbogiError)
        message = str(error)
        assert "\n" not in message
        assert Path(faulty.hit).name in message, f"{fault}: {message!r} names no file"
        kept.append(isinstance(error, NoSpaceError))
    least = (4 if fault == "folder" else 25) // STEP
    assert tried >= least, f"{fault}: {tried} tried"
    expected = fault in ("full", "close")
    assert kept == [expected] * tried, f"{fault}: {kept.count(True)} of {tried} with exit 5"
    # The last attempt met no fault: what it published is whole.
    assert workspace.current_name() == "000002"
    assert Searcher.open(workspace.folder).search("새 답변")[0].answer_id == "b1"


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["full", "folder"])
def test_a_fault_in_a_first_publish_leaves_no_workspace(
    tmp_path: Path, collection: Collection, fault: str
) -> None:
    tried = 0
    for _ in attempts(fault, lambda: index_collection(Workspace(tmp_path / "w"), collection, {})):
        tried += 1
        assert list(tmp_path.iterdir()) == [], f"{tried} tried"
    assert tried >= 4 // STEP, f"{fault}: {tried} tried"


def test_a_limit_on_the_size_of_files_publishes_nothing(
    workspace: Workspace, collection: Collection
) -> None:
    """Real failing writes (EFBIG): bytes up to the limit are written, the next are refused."""
    before, tried = state(workspace), 0
    largest = max(path.stat().st_size for path in workspace.current().folder.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (1, 10, 100, 300, 1000, 3000, 10_000, 100_000, largest // 2, largest - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(DotbogiError):
                index_collection(workspace, collection, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        tried += 1
        assert state(workspace) == before, f"limit {limit}, {tried} tried"
    assert tried == 10
