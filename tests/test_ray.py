"""Work on a Ray cluster of two raylets: the bytes of one process, whatever is killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWERS
from test_determinism import assert_equal_generations, differences, files

from dotbogi.indexes import Workspace

pytest.importorskip("ray", reason="Ray is not installed: run make test-ray", exc_type=ImportError)

from ray_cluster import RayCluster

ROOT = Path(__file__).parent.parent
ANSWER_COUNT, QUESTION_COUNT = 3_000, 9_000  # 12 blocks of texts, each done twice


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    started = RayCluster()
    yield started
    started.close()


@pytest.fixture
def both(cluster: RayCluster) -> RayCluster:
    """The cluster with both raylets, after tests that killed one of them too."""
    if cluster.other.poll() is not None:
        cluster.start_other()
    return cluster


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of many lengths, no two alike."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    texts = [*ANSWERS.values()]
    lines = ["id,question,answer"]
    for i in range(QUESTION_COUNT):
        answer = i % ANSWER_COUNT
        text = " ".join(texts[(answer + j) % 8] for j in range(1 + answer % 3))
        lines.append(f'a{answer},"{texts[i % 8][: 4 + i % 9]} {i}번","{text} {answer}호"')
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, table: Path, tiny_model: Path) -> Workspace:
    """What one process makes of the table."""
    workspace = Workspace(tmp_path_factory.mktemp("alone") / "w")
    ended(command("index", table, "-w", workspace.folder, "--model", tiny_model))
    return workspace


def command(*arguments: object, cluster: RayCluster | None = None) -> subprocess.Popen[str]:
    environment = cluster.environment if cluster else {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], exit_code: int = 0) -> str:
    out, err = process.communicate(timeout=400)
    assert process.returncode == exit_code, out + err
    return out + err


def finished_blocks(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("[!.]*.parquet")}


def wait_for_blocks(folder: Path, count: int, process: subprocess.Popen[str]) -> set[str]:
    while len(found := finished_blocks(folder)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return found


def index_on_ray(cluster: RayCluster, table: Path, model: Path, place: Workspace) -> Any:
    return command(
        "index", table, "-w", place.folder, "--model", model, "--engine", "ray", cluster=cluster
    )


def test_index_on_two_raylets_gives_the_bytes_of_one_process(
    both: RayCluster, table: Path, tiny_model: Path, alone: Workspace, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    ended(index_on_ray(both, table, tiny_model, place))
    count = assert_equal_generations(alone, place)
    assert not place.blocks_folder.exists()
    print(f"index: {count} files of {ANSWER_COUNT + QUESTION_COUNT} texts equal one process's")


def test_a_raylet_killed_in_the_middle_of_index_changes_nothing(
    both: RayCluster, table: Path, tiny_model: Path, alone: Workspace, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    indexing = index_on_ray(both, table, tiny_model, place)
    before = wait_for_blocks(place.blocks_folder, 4, indexing)
    both.kill_other()
    said = ended(indexing)
    assert_equal_generations(alone, place)
    print(f"killed after {len(before)} of 24 blocks; the generation is the same\n{said}")


def test_an_index_killed_in_the_middle_goes_on_from_its_blocks(
    both: RayCluster, table: Path, tiny_model: Path, alone: Workspace, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    indexing = index_on_ray(both, table, tiny_model, place)
    wait_for_blocks(place.blocks_folder, 5, indexing)
    indexing.kill()
    indexing.communicate()
    kept = finished_blocks(place.blocks_folder)
    whole = {name: (place.blocks_folder / name).stat().st_mtime_ns for name in kept}
    damaged = min(whole)
    (place.blocks_folder / damaged).write_bytes(b"PAR1 and nothing else PAR1")
    again = index_on_ray(both, table, tiny_model, place)
    wait_for_blocks(place.blocks_folder, len(kept) + 1, again)
    times = {name: (place.blocks_folder / name).stat().st_mtime_ns for name in kept}
    ended(again)
    assert {name for name in kept if times[name] != whole[name]} == {damaged}
    assert_equal_generations(alone, place)
    print(f"killed after {len(kept)} of 24 blocks: those were kept, but for the damaged one")


def test_a_wrong_token_is_one_clear_line(
    both: RayCluster, table: Path, tiny_model: Path, tmp_path: Path
) -> None:
    asking = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "index", str(table), "-w", str(tmp_path / "w"),
         "--model", str(tiny_model), "--engine", "ray"],
        env={**both.environment, "RAY_AUTH_TOKEN": "another" * 8}, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert asking.returncode == 1
    assert "RAY_AUTH_TOKEN" in asking.stderr.splitlines()[-1]
    assert not (tmp_path / "w").exists()


MINING = ("--negatives", "bm25:2,model:2,random:1", "--sampling", "near")


def mining(
    place: Workspace, table: Path, out: Path, cluster: RayCluster | None = None
) -> subprocess.Popen[str]:
    engine = ("--engine", "ray") if cluster else ()
    return command(
        "mine", table, "-w", place.folder, "--out", out, *MINING, *engine, cluster=cluster
    )


@pytest.fixture(scope="module")
def mined_alone(
    tmp_path_factory: pytest.TempPathFactory, table: Path, alone: Workspace
) -> dict[str, bytes]:
    """The files that one process mines."""
    out = tmp_path_factory.mktemp("mined") / "pool"
    ended(mining(alone, table, out))
    return files(out)


def test_mine_on_two_raylets_gives_the_bytes_of_one_process(
    both: RayCluster, table: Path, alone: Workspace, mined_alone: dict[str, bytes], tmp_path: Path
) -> None:
    ended(mining(alone, table, tmp_path / "pool", both))
    assert differences(mined_alone, files(tmp_path / "pool")) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]
    print(f"mine: {len(mined_alone)} files of {QUESTION_COUNT} questions equal one process's")


def test_a_raylet_and_then_the_command_killed_in_the_middle_of_mine_change_nothing(
    both: RayCluster, table: Path, alone: Workspace, mined_alone: dict[str, bytes], tmp_path: Path
) -> None:
    out, blocks = tmp_path / "pool", tmp_path / ".pool-blocks"
    texts = 33  # blocks of 1,024 texts: 3 and 9 with tokens, as many with vectors, 9 as queries
    started = mining(alone, table, out, both)
    wait_for_blocks(blocks, texts + 3, started)
    both.kill_other()
    kept = wait_for_blocks(blocks, texts + 8, started)
    started.kill()
    started.communicate()
    ended(mining(alone, table, out, both))
    assert differences(mined_alone, files(out)) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]
    print(f"raylet and command killed, after {len(kept)} of 69 blocks; the pool is the same")


def test_batch_search_on_two_raylets_gives_the_bytes_of_one_process(
    both: RayCluster, table: Path, alone: Workspace, tmp_path: Path
) -> None:
    asked = [line.split(",")[1].strip('"') for line in table.read_text("utf-8").splitlines()[1:]]
    (tmp_path / "asked.txt").write_text("\n".join([*asked[:1500], "", "없는 말"]), "utf-8")
    search = ("query", "-w", alone.folder, "--from", tmp_path / "asked.txt", "-k", 3)
    ended(command(*search, "--out", tmp_path / "one.jsonl"))
    ended(command(*search, "--out", tmp_path / "two.jsonl", "--engine", "ray", cluster=both))
    one, two = (tmp_path / f"{name}.jsonl" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    lines = [json.loads(line) for line in one.read_text("utf-8").splitlines()]
    assert [line["query"] for line in lines] == [*asked[:1500], "", "없는 말"]
    assert [len(line["hits"]) for line in lines[:1500]] == [3] * 1500
    assert {path.name for path in tmp_path.iterdir()} == {"asked.txt", "one.jsonl", "two.jsonl"}
    print(f"batch search: {len(lines)} lines equal one process's")
