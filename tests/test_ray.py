"""Work on a Ray cluster of two raylets: the bytes of one process, whatever is killed."""

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import ANSWERS
from test_determinism import assert_equal_generations, differences, files

from dotbogi.indexes import Hit, Workspace
from dotbogi.search import Searcher

pytest.importorskip("ray", reason="Ray is not installed: run make test-ray", exc_type=ImportError)

from ray_cluster import RayCluster, descendants

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parent.parent
ANSWER_COUNT, QUESTION_COUNT = 2_049, 8_195  # 3 and 9 blocks of texts; the last ones are small


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
    out, err = process.communicate(timeout=1500)
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
    damaged = max(whole, key=whole.__getitem__)  # the newest: the cache has no texts of it yet
    (place.blocks_folder / damaged).write_bytes(b"PAR1 and nothing else PAR1")
    os.utime(place.blocks_folder / damaged, ns=(whole[damaged],) * 2)
    again = index_on_ray(both, table, tiny_model, place)
    while (place.blocks_folder / damaged).stat().st_mtime_ns == whole[damaged]:
        assert again.poll() is None, again.communicate()
        time.sleep(0.01)
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


def test_work_that_goes_wrong_ends_in_one_line(both: RayCluster) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "ray_crews.py")], env=both.environment, text=True,
        capture_output=True, check=False, timeout=1500,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "another machine → DotbogiError a machine of the Ray cluster computes other values than "
        "this one. Expected the same processors, and the same versions of dotbogi's packages.",
        "ends the worker → DotbogiError a block has ended 3 workers. Is there enough memory?",
        "fails → DamagedError the model cannot be read.",
        "nothing → [['value of a'], ['value of b']]",
    ], done.stderr


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
    print(f"raylet and command killed, after {len(kept)} of 66 blocks; the pool is the same")


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


@pytest.fixture(scope="module")
def wide() -> Iterator[RayCluster]:
    """A cluster whose two raylets count as four CPUs each, for eight replicas."""
    started = RayCluster(cpus=4)
    yield started
    started.close()


class Front:
    """A `dotbogi serve --engine ray` in a process of its own."""

    def __init__(self, cluster: RayCluster, workspace: Path, log: Path) -> None:
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "cli.py"), "serve", "-w", str(workspace), "--json",
                 "--port", "0", "--engine", "ray", "--shards", "4", "--replicas", "2"],
                cwd=ROOT, env=cluster.environment, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, log.read_text("utf-8")
        self.port = urlsplit(json.loads(line)["url"]).port

    def search(self, query: str) -> tuple[int, str, Any]:
        """Return the status, the generation and the hits."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            body = json.dumps({"query": query, "k": 10}).encode()
            connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            content = json.loads(reply.read())
            generation = reply.getheader("X-Dotbogi-Generation") or ""
        return (
            reply.status,
            generation,
            content["results"][0]["hits"] if reply.status == 200 else (),
        )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0
        assert self.process.stdout
        self.process.stdout.close()


class Expected:
    """What one process finds in a generation."""

    def __init__(self, workspace: Path, queries: list[str]) -> None:
        searcher = Searcher.open(workspace)
        self.generation = searcher.generation or ""
        self.hits = {query: self._shown(searcher.search(query)) for query in queries}

    @staticmethod
    def _shown(hits: list[Hit]) -> list[Any]:
        return [
            [h.answer_id, h.text, h.score, h.confidence, h.question,
             {name: [e.rank, e.score] for name, e in h.signals.items()}]
            for h in hits
        ]  # fmt: skip

    def is_right(self, query: str, hits: Any) -> bool:
        found = [
            [h["answer_id"], h["text"], h["score"], h["confidence"], h["question"],
             {name: [e["rank"], e["score"]] for name, e in h["signals"].items()}]
            for h in hits
        ]  # fmt: skip
        return found == self.hits[query]


class Load:
    """Threads that ask until told to stop, and count what comes back."""

    def __init__(self, front: Front, queries: list[str], expected: list[Expected]) -> None:
        self.front, self.queries = front, queries
        self.expected = {each.generation: each for each in expected}
        self.counts: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(4)]

    def _ask(self, first: int) -> None:
        for number in itertools.count(first, 7):
            if self._stopped.is_set():
                return
            query = self.queries[number % len(self.queries)]
            status, generation, hits = self.front.search(query)
            if status == 200:
                is_right = self.expected[generation].is_right(query, hits)
                self.counts[f"right, from {generation}" if is_right else "wrong"] += 1
            else:
                self.counts[f"refused with {status}"] += 1

    def wait_for(self, key: str, more: int) -> None:
        wanted = self.counts[key] + more
        for _ in range(6000):
            if self.counts[key] >= wanted:
                return
            time.sleep(0.1)
        raise AssertionError(f"{key}: {self.counts}")

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def replicas_of(node: subprocess.Popen[bytes]) -> list[int]:
    def title(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return ""  # it has ended

    return [pid for pid in descendants(node.pid) if "ServeReplica" in title(pid)]


def test_four_shards_with_two_replicas_serve_what_one_process_finds(
    wide: RayCluster, table: Path, tiny_model: Path, alone: Workspace, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    shutil.copytree(alone.folder, place.folder)
    lines = table.read_text("utf-8").splitlines()
    queries = [line.split(",")[1].strip('"')[1:] for line in lines[1::8]][:1000]
    first = Expected(place.folder, queries)
    front = Front(wide, place.folder, tmp_path / "log")

    right = sum(first.is_right(query, front.search(query)[2]) for query in queries)
    print(f"{right} of {len(queries)} queries: equal answers, scores and order")
    assert right == len(queries) == 1000

    with Load(front, queries, [first]) as load:
        load.wait_for(f"right, from {first.generation}", 50)
        lost = replicas_of(wide.other)[0]
        os.kill(lost, signal.SIGSTOP)  # so that it dies with requests
        time.sleep(2)
        os.kill(lost, signal.SIGKILL)
        load.wait_for(f"right, from {first.generation}", 300)
    print(f"a replica killed under load: {dict(load.counts)}")
    assert not load.counts["wrong"]

    edited = tmp_path / "edited.csv"
    edited.write_text("\n".join(lines[:-500]).replace("배송", "택배"), "utf-8")
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(place.folder, copy.folder)
    ended(command("index", edited, "-w", copy.folder))
    second = Expected(copy.folder, queries)
    assert second.hits != first.hits
    with Load(front, queries, [first, second]) as load:
        load.wait_for(f"right, from {first.generation}", 50)
        ended(command("index", edited, "-w", place.folder))
        load.wait_for(f"right, from {second.generation}", 300)
    print(f"a generation published under load: {dict(load.counts)}")
    assert not load.counts["wrong"]

    with Load(front, queries, [second]) as load:
        load.wait_for(f"right, from {second.generation}", 50)
        wide.kill_other()
        load.wait_for(f"right, from {second.generation}", 300)
    print(f"a raylet killed under load: {dict(load.counts)}")
    assert not load.counts["wrong"]

    front.stop()
    log = (tmp_path / "log").read_text("utf-8").splitlines()
    print("\n".join(line for line in log if "POST" not in line))
    for _ in range(600):
        if not replicas_of(wide.head):
            break
        time.sleep(0.1)
    assert not replicas_of(wide.head)
