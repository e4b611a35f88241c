"""Whatever one call of the system returns: one line that tells the truth, and nothing is left."""

import errno
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import effort
from forked_commands import ForkedCommands, Ran, Watch, forked_commands
from test_store import snapshot

from dotbogi.indexes.store import Workspace

# Bits of failing_calls.c: which calls an error can come from.
READ_OPEN, WRITE_OPEN, READ, WRITE, SYNC, CLOSE, NAME, STAT, LIST, LOCK = (
    1 << n for n in range(10)
)
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
ONE = "question,answer\n배고프다,맛있는 걸 드세요\n택배 언제,이틀이면 옵니다\n"
MORE = ONE + "환불 되나요,사흘 안에 됩니다\n"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder in memory, if there is one: a flush there takes no time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        (Path(folder) / "one.csv").write_text(ONE, encoding="utf-8")
        (Path(folder) / "more.csv").write_text(MORE, encoding="utf-8")
        yield Path(folder)


@pytest.fixture(scope="module")
def commands(tiny_model: Path) -> Iterator[ForkedCommands]:
    with forked_commands(tiny_model, watching=True) as process:
        yield process


def state(folder: Path) -> dict[str, bytes]:
    """Return all files but the cache, which holds nothing that cannot be made again."""
    files = snapshot(folder)
    return {name: data for name, data in files.items() if not name.startswith("cache/")}


def faults(ran: Ran, number: int, folder: Path) -> Iterator[str]:
    """Yield what is wrong with what a command said that met a failing call."""
    if "Traceback" in ran.output:
        yield "a traceback: " + ran.last
        return
    published = f"published generation {Workspace(folder).current_name()} in" in ran.output
    if ran.exit_code == 0:
        if not published:
            yield "says nothing of a publication"
        return
    if "published generation" in ran.output:
        yield "says that it published: " + ran.last
    if not ran.last.startswith("Error: "):
        yield f"no line: {ran.last}"
    if SAID[number] not in ran.last.lower():
        yield f"does not say {SAID[number]!r}: {ran.last}"
    if str(folder) not in ran.last:
        yield f"names no file: {ran.last}"
    unusable = "cannot be used as a workspace" in ran.last  # the folder itself is denied
    if ran.exit_code != (5 if number == errno.ENOSPC else 2 if unusable else 1):
        yield f"exit code {ran.exit_code}: {ran.last}"


def left(folder: Path) -> list[str]:
    """Return what no command may leave behind."""
    generations = folder / "generations"
    found = {path.name for path in generations.iterdir()}
    names = Workspace(folder).names()
    known = {".dotbogi-lock", "CURRENT", "cache", "generations"}
    return sorted(found - {*names}) + sorted({path.name for path in folder.iterdir()} - known)


@pytest.mark.soak
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("number", KINDS, ids=errno.errorcode.get)
def test_index_at_any_failing_call(
    place: Path, commands: ForkedCommands, number: int, lasting: bool
) -> None:
    folder, whole = place / "w", place / "whole"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(whole, ignore_errors=True)
    index = ("index", place / "more.csv", "-w", folder)
    made = commands.run(
        "index", place / "one.csv", "-w", whole, "--analyzer", "bigram", "--tolerance", "none"
    )
    assert made.exit_code == 0, made.output
    shutil.copytree(whole, folder)
    before, cache = state(folder), os.listdir(folder / "cache")
    total = commands.run(*index, watch=Watch(folder=str(folder), kinds=KINDS[number])).calls
    wrong, published = [], 0
    tried = [*range(1, total + 2)]
    if effort(0, 1) == 0:
        tried = sorted(random.Random(number).sample(tried, 3))
    for call in tried:
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        watch = Watch(
            folder=str(folder), kinds=KINDS[number], number=call, error=number, lasting=lasting
        )
        ran = commands.run(*index, watch=watch)
        if os.environ.get("KILLS_SHOW"):
            print(call, len(wrong), wrong[-2:], flush=True)
        if bool(ran.hit) != (call <= total):
            wrong.append(f"call {call} of {total}: hit {ran.hit!r}")
        where = f"{errno.errorcode[number]} at call {call}, {ran.hit or 'none'}: "
        wrong += [where + each for each in faults(ran, number, folder)]
        now = state(folder)
        published += ran.exit_code == 0
        if now == before and os.listdir(folder / "cache") == cache:
            continue
        name = Workspace(folder).current_name()
        if name != ("000002" if ran.exit_code == 0 else "000001"):
            wrong.append(f"{where}{name} is published, exit code {ran.exit_code}: {ran.last}")
        Workspace(folder).current()
        again = commands.run(*index)
        if again.exit_code:
            wrong.append(f"{where}the next run fails: {again.last}")
        elif left(folder) or set(os.listdir(folder / "cache")) - {*cache}:
            wrong.append(f"{where}left: {left(folder)} {os.listdir(folder / 'cache')}")
    print("\n".join(wrong))
    print(f"{errno.errorcode[number]}: {len(tried)} of {total} calls failed, {published} published")
    assert not wrong, f"{len(wrong)} of {len(tried)}:\n" + "\n".join(wrong[:40])
