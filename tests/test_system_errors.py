"""A full disk, a broken one and too many open files are one line each, whoever notices."""

import errno
import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from conftest import run
from test_lost_writes import FILES, FaultyOs

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import DotbogiError, NoSpaceError
from dotbogi.indexes.files import sync_tree
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.system_errors import explained, for_user
from dotbogi.search import index_collection
from dotbogi.training.ledger import clear_models, run_names
from dotbogi.training.run_files import digests_of
from dotbogi.training.verification import verify_workspace


@pytest.mark.parametrize(
    "look",
    [
        lambda folder: sync_tree(folder),
        lambda folder: digests_of(folder),
        lambda folder: clear_models(folder),
        lambda folder: run_names(Workspace(folder.parent)),
        lambda folder: list(verify_workspace(Workspace(folder.parent))),
    ],
    ids=["sync_tree", "digests_of", "clear_models", "run_names", "verify_workspace"],
)
def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    look: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rounds", "cache"):
        (tmp_path / name).mkdir()

    def denied(_: object) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(PermissionError) as told:
        look(tmp_path / "rounds")
    assert str(tmp_path) in str(told.value.filename)


def by_numpy(path: Path) -> None:
    np.zeros(1 << 20).tofile(path)


def by_numpy_in_a_file(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(1 << 20))


def by_torch(path: Path) -> None:
    import torch

    torch.save({"weights": torch.zeros(1 << 20)}, path)


def by_torch_in_its_old_format(path: Path) -> None:
    import torch

    torch.save(torch.zeros(1 << 20), path, _use_new_zipfile_serialization=False)


def by_faiss(path: Path) -> None:
    index = faiss.IndexFlatIP(64)
    index.add(np.zeros((10_000, 64), np.float32))  # type: ignore[call-arg]
    faiss.write_index(index, str(path))


def by_sqlite(path: Path) -> None:
    database = sqlite3.connect(":memory:")
    try:
        database.execute("PRAGMA max_page_count = 3")
        database.execute("CREATE TABLE t AS SELECT zeroblob(100000)")
    finally:
        database.close()


def by_shutil(path: Path) -> None:
    (path.parent / "from").mkdir()
    (path.parent / "from" / "full").write_bytes(bytes(100_000))
    shutil.copytree(path.parent / "from", path.parent, dirs_exist_ok=True)


@pytest.mark.parametrize(
    "write",
    [by_numpy, by_numpy_in_a_file, by_torch, by_torch_in_its_old_format, by_faiss, by_sqlite,
     by_shutil],
)  # fmt: skip
def test_a_full_disk_is_recognised_whoever_writes(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    # By a link: some libraries rename a new file over the old one, which must not be the device.
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        write(tmp_path / "full")
    shown = explained(raised.value)
    assert isinstance(shown, NoSpaceError), f"{raised.value!r}"
    assert "the disk is full" in str(shown)
    led_to = DotbogiError("the model cannot be saved")
    led_to.__cause__ = raised.value
    assert isinstance(for_user(led_to), NoSpaceError)


@pytest.mark.parametrize(
    "message",
    ["Error while serializing: I/O error: No space left on device (os error 28)",
     "[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598",
     "PytorchStreamWriter failed writing file data/0: file write failed",
     "basic_ios::clear: iostream error"],
)  # fmt: skip
def test_messages_without_a_number_are_recognised(message: str) -> None:
    assert isinstance(explained(RuntimeError(message)), NoSpaceError)


@pytest.mark.parametrize(
    ("number", "line"),
    [(errno.EIO, "input/output error"), (errno.EMFILE, "ulimit -n"), (errno.ENFILE, "too many"),
     (errno.EFBIG, "ulimit -f"), (errno.EROFS, "read-only"), (errno.EACCES, "permission denied"),
     (errno.EPERM, "permission denied")],
)  # fmt: skip
def test_other_errors_of_the_system_are_not_told_as_a_full_disk(number: int, line: str) -> None:
    named = OSError(number, os.strerror(number), "/disk is full/No space left on device")
    for error in (named, OSError(number, os.strerror(number))):
        shown = explained(error, Path("/place"))
        assert shown is not None
        assert shown.exit_code == 1
        assert str(shown).startswith(f"{error.filename or '/place'}: ")
        assert line in str(shown)
        assert "\n" not in str(shown)


def test_other_errors_stay_what_they_are() -> None:
    for error in (ValueError("the disk"), KeyError("x"), OSError(errno.ENOENT, "none", "/x")):
        assert explained(error) is None


@pytest.mark.parametrize("fault", ["full", "flush"])
def test_the_command_line_tells_a_full_disk_from_a_broken_one(
    tmp_path: Path, pairs_csv: Path, fault: str
) -> None:
    run("index", pairs_csv, "-w", tmp_path / "w")
    for tried, number in enumerate((1, 5, 12, 20, 26), 1):
        faulty = FaultyOs(fault, number)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FILES, faulty)
            result = run("index", pairs_csv, "-w", tmp_path / "w")
        last = result.output.splitlines()[-1]
        assert result.exit_code == (5 if fault == "full" else 1), f"{tried} tried: {result.output}"
        said = "the disk is full" if fault == "full" else "input/output error"
        assert said in last, f"{tried} tried"
        assert faulty.hit in last


def test_too_many_open_files_is_one_line_at_any_moment(tmp_path: Path, pairs_csv: Path) -> None:
    run("index", pairs_csv, "-w", tmp_path / "w")
    run("query", "배고프다", "-w", tmp_path / "w")  # imports what a query needs
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    fillers = [os.open("/dev/null", os.O_RDONLY)]  # until no number below is free
    while fillers[-1] <= highest:
        fillers.append(os.open("/dev/null", os.O_RDONLY))
    failed = 0
    for more in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + more, hard))
        try:
            result = run("query", "배고프다", "-w", tmp_path / "w")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if result.exit_code:
            failed += 1
            assert result.exit_code == 1, f"{more}: {result.output}"
            assert "too many files are open" in result.output, f"{more}: {result.exception!r}"
            assert str(tmp_path) in result.output
            assert result.output.count("\n") == 1
    for filler in fillers:
        os.close(filler)
    assert failed >= 2, f"{failed} of 12 limits were too low"


def test_a_run_that_cannot_be_started_for_lack_of_space_leaves_nothing(
    tmp_path: Path, collection: Collection
) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {})
    with pytest.raises(NoSpaceError), place.writing(), place.staging():
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
    assert not (place.generations_folder / ".staging").exists()
