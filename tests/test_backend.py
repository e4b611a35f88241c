"""What a backend relies on: threads, moving generations, forks, asyncio, types."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ANSWERS, QUESTIONS, LetterEncoder
from tiny_model import write_tiny_model

import dotbogi.search.watch
from dotbogi.indexes import SAMPLE_PATH, build_collection, read_table
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import DamagedError, ModelMismatchError, UsageError
from dotbogi.indexes.hits import Hit
from dotbogi.indexes.store import Workspace
from dotbogi.search import IndexConfig, ModelConfig, Searcher, index_collection
from dotbogi.search.confidence import FEATURES, Calibration
from dotbogi.search.explain import explain
from dotbogi.search.fitted import Fitted
from dotbogi.search.index import build_index
from dotbogi.search.models import enter_model
from dotbogi.search.publish import publish_index

ROOT = Path(__file__).parent.parent
QUERIES = ["배가 고파요", "환불 언제", "wifi setting", "비밀번호를 바꾸고 싶어요", "xyz", ""]


def numbered(number: int) -> Collection:
    """A collection whose every answer tells its generation."""
    return Collection(
        [Answer(key, f"{text} {number}판", {"판": str(number)}) for key, text in ANSWERS.items()],
        [KnownQuestion(text, answer_id) for text, answer_id in QUESTIONS],
    )


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path) -> Workspace:
    place = Workspace(tmp_path / "w")
    index_collection(place, numbered(1), {}, model=ModelConfig(name=str(tiny_model)))
    return place


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dotbogi.search.watch, "EVERY", 0.02)


def wait_until(happened: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


# --- moving to another generation ---


def test_reload_moves_to_what_is_published(workspace: Workspace) -> None:
    searcher = Searcher.open(workspace.folder)
    assert not searcher.reload()
    index_collection(workspace, numbered(2), {})
    assert searcher.generation == "000001"
    assert searcher.search("배고프다")[0].text.endswith(" 1판")
    assert searcher.reload()
    assert searcher.generation == "000002"
    assert searcher.search("배고프다")[0].text.endswith(" 2판")
    workspace.roll_back()
    assert searcher.reload()
    assert searcher.generation == "000001"


def test_reload_loads_the_same_model_once_and_another_one_anew(
    workspace: Workspace, tmp_path: Path
) -> None:
    searcher = Searcher.open(workspace.folder)
    encoder = searcher.index.encoder
    index_collection(workspace, numbered(2), {})
    searcher.reload()
    assert searcher.index.encoder is encoder
    write_tiny_model(tmp_path / "other", seed=1)
    index_collection(workspace, numbered(3), {}, model=ModelConfig(name=str(tmp_path / "other")))
    searcher.reload()
    assert searcher.index.encoder is not encoder
    assert searcher.search_many(QUERIES) == Searcher.open(workspace.folder).search_many(QUERIES)


def test_reload_keeps_to_an_encoder_that_was_given(workspace: Workspace, tmp_path: Path) -> None:
    given = Searcher.open(workspace.folder).index.encoder
    searcher = Searcher.open(workspace.folder, encoder=given)
    index_collection(workspace, numbered(2), {})
    assert searcher.reload()
    assert searcher.index.encoder is given
    write_tiny_model(tmp_path / "other", seed=1)
    index_collection(workspace, numbered(3), {}, model=ModelConfig(name=str(tmp_path / "other")))
    with pytest.raises(ModelMismatchError):
        searcher.reload()
    assert searcher.generation == "000002"


def test_reload_of_a_damaged_generation_keeps_the_old_one(workspace: Workspace) -> None:
    searcher = Searcher.open(workspace.folder)
    generation = index_collection(workspace, numbered(2), {})
    (generation.folder / "answers.parquet").write_bytes(b"")
    with pytest.raises(DamagedError, match=r"answers\.parquet"):
        searcher.reload()
    assert searcher.reply(["배고프다"]).generation == "000001"


def test_a_searcher_of_a_mere_index_cannot_reload(collection: Collection) -> None:
    searcher = Searcher(build_index(collection, LetterEncoder()))
    with pytest.raises(UsageError, match=r"Searcher\.open"):
        searcher.reload()
    assert searcher.reply(["배고프다"]).generation is None


def test_a_pinned_searcher_explains_what_it_found(workspace: Workspace) -> None:
    searcher = Searcher.open(workspace.folder)
    pinned = searcher.pinned()
    where = {"판": "1"}
    hit = pinned.search("배가 고파요", where=where)[0]
    index_collection(workspace, numbered(2), {})
    searcher.reload()
    assert pinned.reply(["배가 고파요"]).generation == "000001"
    parts = explain(pinned, "배가 고파요", hit, where=where).parts
    assert sum(parts.values()) == pytest.approx(hit.score, abs=1e-3)


@pytest.mark.usefixtures("quick")
def test_a_watching_searcher_moves_by_itself_until_it_is_closed(workspace: Workspace) -> None:
    with Searcher.open(workspace.folder, watch=True) as searcher:
        index_collection(workspace, numbered(2), {})
        wait_until(lambda: searcher.generation == "000002")
    index_collection(workspace, numbered(3), {})
    time.sleep(0.2)
    assert searcher.reply(["배고프다"]).generation == "000002"
    assert not [t for t in threading.enumerate() if t.name == "dotbogi-watch"]


@pytest.mark.usefixtures("quick")
def test_a_dropped_searcher_ends_its_thread(workspace: Workspace) -> None:
    searcher = Searcher.open(workspace.folder, watch=True)
    index = weakref.ref(searcher.index.metadata)
    del searcher
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "dotbogi-watch"])
    gc.collect()
    assert index() is None


@pytest.mark.usefixtures("quick")
def test_a_damaged_generation_is_logged_once_and_tried_again(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dotbogi.search.watch, "RETRY", 0.1)
    path = index_collection(workspace, numbered(2), {}).folder / "answers.parquet"
    whole = path.read_bytes()
    workspace.roll_back()
    path.write_bytes(whole[:-1])

    def warnings() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]

    with Searcher.open(workspace.folder, watch=True) as searcher:
        (workspace.folder / "CURRENT").write_text("000002\n")
        wait_until(lambda: bool(warnings()))
        time.sleep(0.5)  # several more tries
        assert len(warnings()) == 1
        assert "answers.parquet" in warnings()[0]
        assert "\n" not in warnings()[0]
        assert searcher.reply(["배고프다"]).generation == "000001"
        path.write_bytes(whole)
        wait_until(lambda: searcher.generation == "000002")
        for text in ("", "\0", "999999\n"):
            logged = len(warnings())
            (workspace.folder / "CURRENT").write_text(text)
            wait_until(lambda logged=logged: len(warnings()) > logged)
        assert searcher.reply(["배고프다"]).generation == "000002"
        (workspace.folder / "CURRENT").write_text("000002\n")
        monkeypatch.setattr(dotbogi.search.watch, "RETRY", 1000)  # a new CURRENT is not waited for
        index_collection(workspace, numbered(3), {})
        wait_until(lambda: searcher.generation == "000003")


# --- fork ---

FORK = """
import os, sys, threading, time
from pathlib import Path
import dotbogi.search.watch
from dotbogi.indexes.store import Workspace
from dotbogi.search import Searcher, index_collection
from test_backend import QUERIES, numbered

dotbogi.search.watch.EVERY = 0.05
place = Workspace(sys.argv[1])
searcher = Searcher.open(place.folder, watch=True)
texts = QUERIES * 10  # enough for the libraries to use their threads
before = searcher.search_many(texts)
done = threading.Event()

def ask():
    while not done.is_set():
        searcher.search_many(texts)

threads = [threading.Thread(target=ask) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for number in range(4):
    time.sleep(0.2)
    if not (child := os.fork()):
        assert searcher.search_many(texts) == before
        until = time.monotonic() + 300
        while searcher.reply(["배고프다"]).generation != "000002":
            assert time.monotonic() < until
            time.sleep(0.1)
        assert searcher.search("배고프다")[0].text.endswith("2판")
        searcher.close()
        print("child", number, flush=True)
        sys.exit(0)
    children.append(child)
done.set()
for thread in threads:
    thread.join()
index_collection(place, numbered(2), {})
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_forked_processes_search_and_watch(workspace: Workspace) -> None:
    # Kiwi's and OpenMP's threads do not survive a fork: who waits for them waits for ever.
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-c", FORK, str(workspace.folder)],
        cwd=ROOT / "tests", env=environment, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert sorted(found.stdout.splitlines()) == [f"child {number}" for number in range(4)]


# --- asyncio, vectors, types ---


class WaitingEncoder(LetterEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.wait = False

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        assert not self.wait or self.go_on.wait(20), "the event loop stood still"
        return super().encode_queries(texts)


def test_asearch_leaves_the_event_loop_free(collection: Collection) -> None:
    encoder = WaitingEncoder()
    searcher = Searcher(build_index(collection, encoder))
    expected = searcher.search("배고프다", 3)
    encoder.wait = True

    async def main() -> list[list[Hit]]:
        searches = [asyncio.create_task(searcher.asearch("배고프다", 3)) for _ in range(3)]
        await asyncio.sleep(0.05)
        encoder.go_on.set()  # reached only while the searches wait elsewhere
        return list(await asyncio.gather(*searches))

    assert asyncio.run(main()) == [expected] * 3


def test_encode_gives_the_vectors_of_the_index(workspace: Workspace) -> None:
    searcher = Searcher.open(workspace.folder)
    encoder = searcher.index.vectors
    rows = searcher.encode([" 배고프다 ", "", "환불"])
    assert rows.shape == (3, encoder.dim)
    np.testing.assert_array_equal(rows[[0, 2]], encoder.encode_queries(["배고프다", "환불"]))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 1], atol=1e-6)
    answers = searcher.encode(["환불"], kind="answer")
    np.testing.assert_array_equal(answers, encoder.encode_answers(["환불"]))
    assert searcher.encode([]).shape == (0, encoder.dim)


def test_what_is_no_list_of_texts_is_refused(collection: Collection) -> None:
    searcher = Searcher(build_index(collection, LetterEncoder()))
    for wrong in ("배고프다", [1], ["\ud800"]):
        with pytest.raises(UsageError):
            searcher.search_many(wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            searcher.encode(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="kind is 'passage'"):
        searcher.encode(["배고프다"], kind="passage")  # type: ignore[arg-type]
    assert searcher.search_many([]) == []


USER = """
from dotbogi.search import DotbogiError, Evidence, Hit, Reply, Searcher

def answer(workspace: str, question: str) -> str | None:
    try:
        with Searcher.open(workspace, watch=True) as searcher:
            reply: Reply = searcher.reply([question], where={"category": ["배송"]})
            hits: list[Hit] = searcher.search(question, k=1, min_confidence=0.5)
            rows = searcher.encode([question], kind="query")
            evidence: dict[str, Evidence] = dict(hits[0].signals)
            print(reply.generation, rows.shape, evidence, hits[0].confidence)
            return hits[0].text if hits else None
    except DotbogiError:
        return None

async def aanswer(searcher: Searcher, question: str) -> list[Hit]:
    return await searcher.asearch(question, where={"category": "배송"})
"""


@pytest.mark.slow
def test_a_users_program_is_typed_by_the_installed_package(tmp_path: Path) -> None:
    # An environment in which this project is installed, as mypy sees it: py.typed counts there.
    place = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    site = next(place.glob("lib/python*/site-packages"))
    here = str(Path(np.__file__).parent.parent)
    (site / "installed.pth").write_text(f"{here}\n")
    (site / "dotbogi").symlink_to(ROOT)
    (tmp_path / "user.py").write_text(textwrap.dedent(USER), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    command += ["--python-executable", str(place / "bin" / "python"), "user.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    wrong = USER.replace("k=1", 'k="1"').replace("float", "str")
    (tmp_path / "user.py").write_text(wrong, encoding="utf-8")
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert 'Argument "k" to "search" of "Searcher" has incompatible type "str"' in found.stdout


def test_the_package_carries_its_marker_of_types() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["dotbogi"]
    assert (ROOT / "py.typed").is_file()


def test_the_example_runs_as_written(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "w")
    collection, _ = build_collection(read_table(SAMPLE_PATH))
    collection = replace(collection, questions=collection.questions[::4])
    calibration = Calibration(
        coefficients=dict.fromkeys(FEATURES, 0.0) | {"score": 40.0},
        intercept=-30.0,
        threshold=0.5,
        source="a test",
    )
    with place.writing():
        publish_index(
            place,
            collection,
            lambda place: enter_model(ModelConfig(), place, []),
            IndexConfig(),
            {"model": asdict(ModelConfig()), "source": {}, "training": None},
            fitted=Fitted(calibration=calibration),
        )
    found = subprocess.run(
        [sys.executable, "examples/in_process.py", str(place.folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0] == "generation 000001"
    assert "known question" in lines[3]
    start = lines.index("only answers on delivery or refunds") + 1
    assert {line.split()[0] for line in lines[start : start + 3]} <= {"배송", "환불"}
    asked = {line.split(" → ")[0].strip(): line.split(" → ")[1] for line in lines if "→" in line}
    assert asked["배송비 얼마예요"] != "no good answer"
    assert asked["호주 수도가 어디야"] == "no good answer"


def test_the_example_says_what_to_run_where_nothing_is_indexed(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "examples/in_process.py", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 1
    assert "Run: dotbogi index TABLE" in found.stderr
    assert "Traceback" not in found.stderr
