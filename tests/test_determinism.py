"""The same commands twice: the same bytes but for times, in whatever order Python's sets are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import run
from effort import SOAK, effort
from test_loop import secret_language

from dotbogi.indexes import SAMPLE_PATH, Workspace

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parent.parent
# Of Python's hashes, which order its sets. None: those of this process, without one more.
SEEDS = ("1", "2" if SOAK else None)
TIMES = {"created", "digest"}  # fields of a manifest; the digest covers the other one
LEDGER_TIMES = {
    "time", "seconds", "train_runtime", "train_samples_per_second", "train_steps_per_second",
}  # fmt: skip
FULL_FIT = ("--learning-rate", "0.002", "--epochs", "8")  # enough for a random base to learn


def command(seed: str | None, *arguments: object) -> None:
    """Run the command line on one thread: in a process of its own, or here."""
    if seed is None:
        assert run(*arguments).exit_code == 0
        return
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **one, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def differences(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """The names that only one of them has, or with another value."""
    missing = object()
    names = one.keys() | other.keys()
    return {name for name in names if one.get(name, missing) != other.get(name, missing)}


def assert_equal_generations(one: Workspace, other: Workspace) -> int:
    """All files of all generations are equal, but for the times; return how many there are."""
    assert one.names() == other.names()
    count = 0
    for name in one.names():
        pair = [files(each.generations_folder / name) for each in (one, other)]
        assert differences(*pair) == {"manifest.json"}
        assert differences(*(json.loads(each["manifest.json"]) for each in pair)) == TIMES
        count += len(pair[0])
    return count


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A table, and in a soak its next edition: rows gone, an answer changed."""
    folder = tmp_path_factory.mktemp("tables")
    lines = SAMPLE_PATH.read_text("utf-8").splitlines(keepends=True)[: effort(100, 3000)]
    editions = [lines, [line.replace("드세요", "들어 보세요") for line in lines[:-40]]]
    paths = [folder / f"{number}.csv" for number in range(effort(1, 2))]
    for path, edition in zip(paths, editions, strict=False):
        path.write_text("".join(edition), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def twice(
    tmp_path_factory: pytest.TempPathFactory, tables: list[Path], tiny_model: Path
) -> tuple[Workspace, Workspace]:
    """Two workspaces in which the same was indexed; in a soak with the bundled model."""
    model = () if SOAK else ("--model", tiny_model)
    places = [Workspace(tmp_path_factory.mktemp("w") / "w") for _ in SEEDS]
    for place, seed in zip(places, SEEDS, strict=True):
        for table in tables:
            command(seed, "index", table, "-w", place.folder, *model)
    return places[0], places[1]


def test_the_same_index_twice_gives_the_same_bytes(twice: tuple[Workspace, Workspace]) -> None:
    count = assert_equal_generations(*twice)
    print(f"{count} files of {len(twice[0].names())} generations: equal but for {sorted(TIMES)}")


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in LEDGER_TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


@pytest.mark.skipif(not SOAK, reason="two trainings: in `make soak`")
@pytest.mark.parametrize("kind", ["adapter", "full"])
def test_the_same_train_twice_gives_the_same_weights_and_metrics(
    tmp_path: Path, tiny_model: Path, kind: str
) -> None:
    """Weights and metrics are in the generation and in the ledger of the run."""
    table = tmp_path / "table.csv"
    pairs = [("question", "answer"), *secret_language()[:500]]
    table.write_text("\n".join(map(",".join, pairs)), encoding="utf-8")
    places = [Workspace(tmp_path / name) for name in ("one", "other")]
    options = ("--model", tiny_model, "--cpu", "--fit", kind, "--rounds", 2, "--folds", 2)
    options += FULL_FIT if kind == "full" else ("--learning-rate", "0.01")
    for place, seed in zip(places, SEEDS, strict=True):
        command(seed, "train", table, "-w", place.folder, *options)
    count = assert_equal_generations(*places)
    trained = places[0].current().manifest["training"]
    runs = [files(place.rounds_folder) for place in places]
    assert differences(*runs) <= {"run-0001/ledger.jsonl", "run-0001/report.html"}
    ledgers = [
        [without_times(json.loads(line)) for line in run["run-0001/ledger.jsonl"].splitlines()]
        for run in runs
    ]
    print(
        f"{kind}: {count} files of {len(places[0].names())} generations and "
        f"{len(ledgers[0])} events equal but for times; published: {trained}"
    )
    assert ledgers[0] == ledgers[1]
    assert trained
