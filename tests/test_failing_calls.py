"""Whatever one call of the system returns: one line that tells the truth, and nothing is left."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import SOAK, effort
from forked_commands import ForkedCommands, Ran, Watch
from test_kills import KILLED, Trained, assert_same, left, told, trained
from test_lost_writes import state

from dotbogi.indexes.store import Workspace

__all__ = ["trained"]  # a fixture

# Bits of failing_calls.c: which calls an error can come from.
READ_OPEN, WRITE_OPEN, READ, WRITE, SYNC, CLOSE, NAME, STAT, LIST, _ = (1 << n for n in range(10))
KINDS = {
    errno.ENOSPC: WRITE_OPEN | WRITE | SYNC | CLOSE | NAME,
    errno.EIO: (1 << 10) - 1,
    errno.EMFILE: READ_OPEN | WRITE_OPEN | LIST,
    errno.EACCES: READ_OPEN | WRITE_OPEN | NAME | STAT | LIST,
}
SAID = {
    errno.ENOSPC: "the disk is full",
    errno.EIO: "input/output error",
    errno.EMFILE: "too many files are open",
    errno.EACCES: "permission denied",
}
TABLE = "question,answer\n배고프다,맛있는 걸 드세요\n택배 언제,이틀이면 옵니다\n"
_ALL = 10_000  # more than a command has calls
_once_and_lasting = pytest.mark.parametrize(
    "lasting", [False, True] if SOAK else [False], ids={False: "once", True: "from then on"}.get
)
_each_error = pytest.mark.parametrize("number", KINDS, ids=errno.errorcode.get)


def faults(ran: Ran, number: int, folder: Path) -> Iterator[str]:
    """Yield what is wrong with what a command said that met a failing call."""
    if "Traceback" in ran.output:
        yield "a traceback: " + ran.last
        return
    if ran.exit_code == 0:
        if f"published generation {Workspace(folder).current_name()} in" not in ran.output:
            yield "says nothing of a publication"
        return
    if "published generation" in ran.output:
        yield "says that it published: " + ran.last
    if not ran.last.startswith("Error: "):
        yield f"no line: {ran.last}"
    # onnxruntime does not tell a read that failed, once, from a damaged file.
    if SAID[number] not in ran.last.lower() and "onnxruntime cannot read it" not in ran.last:
        yield f"does not say {SAID[number]!r}: {ran.last}"
    if str(folder) not in ran.last:
        yield f"names no file: {ran.last}"
    unusable = "cannot be used as a workspace" in ran.last  # the folder itself is denied
    expected = 5 if number == errno.ENOSPC else 2 if unusable else 1
    if ran.exit_code != expected and "onnxruntime cannot read it" not in ran.last:
        yield f"exit code {ran.exit_code}: {ran.last}"


def spread(total: int, count: int) -> list[int]:
    """Return `count` numbers from 1 to `total`, evenly spread; or all of them and the next."""
    if count > total:
        return [*range(1, total + 2)]
    return [int(total * (n + 0.5) / count) + 1 for n in range(count)]


def restore(source: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)


@pytest.mark.soak
@_once_and_lasting
@_each_error
def test_index_at_any_failing_call(
    place: Path, commands: ForkedCommands, number: int, lasting: bool
) -> None:
    folder, whole, table = place / "w", place / "whole", place / "t.csv"
    if not whole.exists():
        table.write_text(TABLE, encoding="utf-8")
        options = ("--analyzer", "bigram", "--tolerance", "none")
        assert commands.run("index", table, "-w", whole, *options).exit_code == 0
        table.write_text(TABLE + "환불 되나요,사흘 안에 됩니다\n", encoding="utf-8")
    restore(whole, folder)
    index = ("index", table, "-w", folder)
    before, cache = state(Workspace(folder)), {*os.listdir(folder / "cache")}
    watch = Watch(folder=str(folder), kinds=KINDS[number])
    total = commands.run(*index, watch=watch).calls
    wrong, published = [], 0
    tried = spread(total, effort(1, 100 if lasting else _ALL))
    for call in tried:
        restore(whole, folder)
        watch = Watch(
            folder=str(folder), kinds=KINDS[number], number=call, error=number, lasting=lasting
        )
        ran = commands.run(*index, watch=watch)
        where = f"call {call} of {total}, {ran.hit or 'none'}: "
        assert bool(ran.hit) == (call <= total), where
        wrong += [where + each for each in faults(ran, number, folder)]
        published += ran.exit_code == 0
        if state(Workspace(folder)) == before and {*os.listdir(folder / "cache")} == cache:
            continue
        name = Workspace(folder).current().name
        if name != ("000002" if ran.exit_code == 0 else "000001"):
            wrong.append(f"{where}{name} is published, exit code {ran.exit_code}: {ran.last}")
        again = commands.run(*index)
        if again.exit_code:
            wrong.append(f"{where}the next run fails: {again.last}")
        elif left(folder) or {*os.listdir(folder / "cache")} - cache:
            wrong.append(f"{where}left: {left(folder)} {os.listdir(folder / 'cache')}")
    print(f"{len(tried)} of {total} calls of index: {published} succeed, {len(wrong)} wrong")
    assert not wrong, f"{len(wrong)} of {len(tried)}:\n" + "\n".join(wrong[:40])


@pytest.mark.soak
@_once_and_lasting
@pytest.mark.skipif(not SOAK, reason="half an hour: in make soak")
@_each_error
def test_publishing_by_train_at_any_failing_call(
    place: Path, commands: ForkedCommands, trained: Trained, number: int, lasting: bool
) -> None:
    """From the publication to the end of the run; a resumed run ends like any other."""
    folder, cut = place / "w", place / "cut"
    publish = "dotbogi.training.publication:Publication.publish"
    if not cut.exists():
        restore(trained.before, cut)
        ran = commands.run(*trained.command, "-w", cut, kill_at=f"before {publish}")
        assert ran.exit_code == KILLED
    restore(cut, folder)
    resume = ("train", "--resume", "-w", folder)
    watch = Watch(folder=str(folder), kinds=KINDS[number], begin=publish)
    total = commands.run(*resume, watch=watch).calls
    wrong, finished = [], 0
    tried = spread(total, effort(1, 50 if lasting else _ALL))
    for call in tried:
        restore(cut, folder)
        watch = Watch(
            folder=str(folder), kinds=KINDS[number], number=call, error=number, lasting=lasting,
            begin=publish,
        )  # fmt: skip
        ran = commands.run(*resume, watch=watch)
        where = f"call {call} of {total}, {ran.hit or 'none'}: "
        assert bool(ran.hit) == (call <= total), where
        wrong += [where + each for each in faults(ran, number, folder)]
        finished += ran.exit_code == 0
        Workspace(folder).current()
        again = commands.run(*resume)
        if again.exit_code != (2 if "this run has ended" in again.last else 0):
            wrong.append(f"{where}the next run fails: {again.last}")
            continue
        if again.exit_code == 0:
            assert_same(told(folder), trained.expected, where)
        assert told(folder)["generation"] == trained.expected["generation"], where
    print(f"{len(tried)} of {total} calls of train: {finished} succeed, {len(wrong)} wrong")
    assert not wrong, f"{len(wrong)} of {len(tried)}:\n" + "\n".join(wrong[:40])
