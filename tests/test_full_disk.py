"""A disk that is really full, at many moments of `index` and `train`: exit code 5, and no more."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import SOAK, effort
from forked_commands import ForkedCommands
from test_failing_calls import TABLE
from test_kills import KILLED, Trained, assert_same, told, trained
from test_lost_writes import state

from dotbogi.indexes.store import Workspace

__all__ = ["trained"]  # a fixture

_PAGE = 4096
_AMPLE = 256 << 20
# What is on the disk by then is nearly the most that a command needs at one time.
_AT_THE_END = "before dotbogi.indexes.store:Workspace._set_current"


class Disk:
    """A file system in memory, whose size can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        options = f"size={_AMPLE}"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
        )
        if mounted.returncode:
            pytest.skip("only root may mount a disk in memory")

    def resize(self, size: int) -> None:
        """Make the disk at least this large."""
        size = -(-size // _PAGE) * _PAGE
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    def used(self) -> int:
        return shutil.disk_usage(self.folder).used


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.folder)], check=True)


@pytest.mark.soak
def test_index_on_a_really_full_disk_publishes_nothing(
    disk: Disk, commands: ForkedCommands, place: Path
) -> None:
    before, table = place / "indexed", place / "t.csv"
    table.write_text(TABLE, encoding="utf-8")
    index = ("index", table, "--analyzer", "bigram", "--tolerance", "none")
    assert commands.run(*index, "-w", before).exit_code == 0
    answering = state(Workspace(before))
    for where in full_moments(disk, commands, before, index):
        assert state(Workspace(disk.folder / "w")) == answering, f"{where}: something is left"
        disk.resize(_AMPLE)
        assert commands.run(*index, "-w", disk.folder / "w").exit_code == 0, where


@pytest.mark.skipif(not SOAK, reason="minutes: in make soak")
@pytest.mark.soak
def test_train_on_a_really_full_disk_goes_on_once_there_is_space(
    disk: Disk, commands: ForkedCommands, trained: Trained
) -> None:
    folder = disk.folder / "w"
    for where in full_moments(disk, commands, trained.before, trained.command):
        # The new one, if the disk is full when the run writes down that it has published it.
        assert Workspace(folder).current().name in ("000001", "000002")
        disk.resize(_AMPLE)
        has_begun = (folder / "rounds" / "run-0001").is_dir()
        again = ("train", "--resume") if has_begun else trained.command
        ran = commands.run(*again, "-w", folder)
        assert ran.exit_code == 0, f"{where}: {ran.output}"
        assert_same(told(folder), trained.expected, where)


def full_moments(
    disk: Disk, commands: ForkedCommands, before: Path, command: tuple[object, ...]
) -> Iterator[str]:
    """Run a command on a disk of 30 sizes, all too small; yield how large it was each time."""
    folder = disk.folder / "w"
    shutil.copytree(before, folder)
    empty = disk.used()
    assert commands.run(*command, "-w", folder, kill_at=_AT_THE_END).exit_code == KILLED
    needed, sizes = disk.used() - empty, effort(1, 30)
    for number in range(sizes):
        disk.resize(_AMPLE)
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        share = (number + 0.5) / sizes
        disk.resize(disk.used() + int(share * (needed - 16 * _PAGE)))
        ran = commands.run(*command, "-w", folder)
        where = f"{share:.0%} of {needed} bytes"
        assert ran.exit_code == 5, f"{where}: {ran.output}"
        assert re.search(
            rf"^Error: {folder}/\S+: the disk is full \([\d,]+ bytes are free\)", ran.last
        ), f"{where}: {ran.last}"
        yield where
    print(f"{command[0]}: {sizes} sizes of a disk up to {needed} bytes")
