"""Generations are published while everybody searches: no error, and no two of them mixed."""

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from effort import effort
from service_process import serving
from test_backend import QUERIES, ROOT, numbered, wait_until
from tiny_model import write_tiny_model

import dotbogi.search.watch
from dotbogi.indexes.store import Workspace
from dotbogi.search import ModelConfig, Searcher, index_collection
from dotbogi.search.index import open_index

THREADS, CLIENTS = 8, 32
LAST = effort(10, 50)
PUBLISH = """
import sys
from dotbogi.indexes.store import Workspace
from dotbogi.search import ModelConfig, index_collection
from test_backend import numbered

for number in range(2, int(sys.argv[4]) + 1):
    model = ModelConfig(name=sys.argv[2 + number % 2])
    index_collection(Workspace(sys.argv[1]), numbered(number), {}, model=model)
"""
Found = list[tuple[str, str, float]]  # id, text and score of the hits


def resident(process: int) -> float:
    """Megabytes of a process in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Crowd:
    """Threads that ask without pause, and what they were answered."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], Found] = {}  # by generation and query
        self.wrong: list[object] = []
        self.replies = 0
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, count: int, ask: Callable[[str], tuple[str, Found]]) -> None:
        for number in range(count):
            thread = threading.Thread(target=self._ask, args=(ask, number))
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, ask: Callable[[str], tuple[str, Found]], turn: int) -> None:
        try:
            while not self._done.is_set():
                turn += 1
                query = QUERIES[turn % len(QUERIES)]
                generation, found = ask(query)
                before = self.seen.setdefault((generation, query), found)
                if before != found:
                    self.wrong.append((generation, query, before, found))
                self.replies += 1
        except Exception as error:
            self.wrong.append(error)


@pytest.mark.soak
@pytest.mark.slow
def test_many_generations_under_8_threads_and_32_clients_drop_and_mix_nothing(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dotbogi.search.watch, "EVERY", 0.02)  # the service looks once a second
    place, other = Workspace(tmp_path / "w"), tmp_path / "other"
    write_tiny_model(other, seed=1)
    index_collection(place, numbered(1), {}, model=ModelConfig(name=str(tiny_model)))
    library, clients = Crowd(), Crowd()
    indexes: dict[str | None, weakref.ref[object]] = {}
    early: dict[int, float] = {}
    with serving(place.folder) as service, Searcher.open(place.folder, watch=True) as searcher:

        def search_here(query: str) -> tuple[str, Found]:
            reply = searcher.reply([query], k=8)
            hits = reply.results[0]
            return reply.generation or "", [(hit.answer_id, hit.text, hit.score) for hit in hits]

        def search_there(query: str) -> tuple[str, Found]:
            asked = {"query": query or " ", "k": 8}
            reply = service.call("POST", "/v1/search", asked)
            assert reply.status == 200, reply
            assert reply.headers["x-dotbogi-generation"] == reply.json["generation"]
            hits = reply.json["results"][0]["hits"]
            found = [(hit["answer_id"], hit["text"], hit["score"]) for hit in hits]
            return reply.json["generation"], found

        library.start(THREADS, search_here)
        clients.start(CLIENTS, search_there)
        models = (str(tiny_model), str(other))
        publisher = subprocess.Popen(
            [sys.executable, "-c", PUBLISH, str(place.folder), *models, str(LAST)],
            cwd=ROOT / "tests",
        )
        processes = (os.getpid(), service.process.pid)
        while publisher.poll() is None:
            indexes.setdefault(searcher.generation, weakref.ref(searcher.index.metadata))
            if not early and (place.current_name() or "") >= "000010":
                early = {process: resident(process) for process in processes}
            time.sleep(0.02)
        assert publisher.returncode == 0
        wait_until(lambda: searcher.generation == f"{LAST:06}")
        wait_until(lambda: service.call("GET", "/healthz").json["generation"] == f"{LAST:06}")
        time.sleep(0.2)
        library.stop()
        clients.stop()
        gc.collect()
        alive = {name for name, index in indexes.items() if index() is not None}
        assert alive <= {f"{LAST:06}"}
        for process in processes:  # a generation that stayed would be 3 MB and more
            assert resident(process) < early[process] + 40
    for crowd, fewest in ((library, 10), (clients, 3)):
        assert crowd.wrong == []
        assert len({generation for generation, _ in crowd.seen}) >= fewest
        for (generation, query), found in crowd.seen.items():
            index = open_index(place.generation(generation))
            hits = Searcher(index).search(query, k=8)
            assert found == [(hit.answer_id, hit.text, hit.score) for hit in hits]
