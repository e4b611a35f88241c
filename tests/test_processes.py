"""Full fits by several processes: each trains its share of every batch, and the first leads."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
from effort import SOAK, effort
from tiny_model import write_tiny_model

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH
from dotbogi.training.fit.sampler import Shares
from dotbogi.training.ledger import Trained, read_events

pytestmark = pytest.mark.soak

OBJECTIVES = [
    "mnr", "cosine", "mnr-symmetric", "cached-mnr", "cached-mnr-symmetric", "gist",
    "gist-symmetric", "cached-gist", "cached-gist-symmetric",
]  # fmt: skip
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def steady_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model without dropout, which each process would draw by itself."""
    folder = tmp_path_factory.mktemp("models") / "steady"
    write_tiny_model(folder)
    path = folder / "config.json"
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    path.write_text(json.dumps({**json.loads(path.read_text()), **none}))
    return folder


class Batches:
    """Batches as a sampler draws them."""

    sampler = None

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self):  # type: ignore[no-untyped-def]
        rows = iter(range(sum(self._sizes)))
        return (list(islice(rows, size)) for size in self._sizes)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_are_the_batch_and_differ_by_one_row_at_most(count: int) -> None:
    batches = Batches(7, 16, 9)
    shares = [list(Shares(batches, rank, count)) for rank in range(count)]
    for whole, *parts in zip(batches, *shares, strict=True):
        assert [row for part in parts for row in part] == whole
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(UsageError, match=r"a batch of 3 rows, .* for 4 processes. Start fewer."):
        list(Shares(Batches(8, 3), 0, 4))


def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(
    steady_model: Path, tmp_path: Path
) -> None:
    objectives = OBJECTIVES[: effort(1, len(OBJECTIVES))]
    program = Path(__file__).with_name("two_processes.py")
    subprocess.run(
        [sys.executable, program, steady_model, tmp_path, *objectives],
        env=ENVIRONMENT, check=True, capture_output=True, timeout=500,
    )  # fmt: skip
    found = json.loads((tmp_path / "losses.json").read_text())
    assert list(found) == objectives
    for objective, (one, two) in found.items():
        assert len(one) == len(two) == 4
        assert one[0] > one[-1] + 0.1  # it has learned
        assert two == pytest.approx(one, abs=1e-4), objective


def train(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        list(map(str, arguments)), env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def finished(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    return output


def worker(torchrun: int, rank: int) -> int:
    """Return the process of a rank."""
    children = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
    (found,) = (
        int(child)
        for child in children
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
    )
    return found


def fits(workspace: Path) -> list[list[float]]:
    folder = Workspace(workspace).rounds_folder / "run-0001"
    return [
        [entry["loss"] for entry in event.log if "loss" in entry]
        for event in read_events(folder)
        if isinstance(event, Trained)
    ]


@pytest.mark.skipif(not SOAK, reason="a minute: in make soak")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_run_by_torchrun_is_one_run_and_resumes(
    steady_model: Path, tmp_path: Path, rank: int
) -> None:
    table = tmp_path / "few.csv"
    with SAMPLE_PATH.open(encoding="utf-8") as file:
        table.write_text("".join(islice(file, 300)), encoding="utf-8")
    settings = ["--fit", "full", "--model", steady_model, "--rounds", 1, "--negatives", "random:1",
                "--learning-rate", 0.003, "--epochs", effort(2, 6)]  # fmt: skip
    torchrun = [BIN / "torchrun", "--standalone", "--nproc-per-node", 2, "--no-python"]
    command = [BIN / "dotbogi", "train"]
    alone, together, killed = (tmp_path / name for name in ("alone", "together", "killed"))
    finished(train(*command, table, "-w", alone, *settings, "--batch-size", 16))
    shared = [*torchrun, *command, table, *settings, "--batch-size", 8, "-w"]
    output = finished(train(*shared, together))
    assert output.count("published generation") == 1
    assert Workspace(together).names() == ["000001"]

    process = train(*shared, killed)
    deadline = time.monotonic() + 300
    while not list(killed.rglob("checkpoint-*/digests.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(worker(process.pid, rank), signal.SIGKILL)
    process.communicate(timeout=100)  # torchrun ends the other one
    assert process.returncode != 0
    assert not fits(killed)
    output = finished(train(*torchrun, *command, "--resume", "-w", killed))
    assert "resuming from" in output

    expected = fits(alone)
    assert expected
    for workspace in (together, killed):
        for one, two in zip(expected, fits(workspace), strict=True):
            assert two == pytest.approx(one, abs=1e-4)
