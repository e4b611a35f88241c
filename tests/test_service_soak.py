"""The service under load: many clients, more than fit in its queue, and for half an hour.

The short version gates on no time. `make soak` prints what it measured beside what is promised.
"""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import SOAK, effort
from many_clients import Reply, connected
from service_process import Service, serving
from test_service_flood import megabytes

from dotbogi.indexes import SAMPLE_PATH, Workspace, build_collection, read_table
from dotbogi.indexes.collection import Collection
from dotbogi.search import Searcher, index_collection
from dotbogi.search.explain import explain_hits
from dotbogi.search.index import open_index
from dotbogi.search.service import Settings

pytestmark = pytest.mark.soak

Results = list[dict[str, Any]]  # of the queries of one request
SETTINGS = Settings()
WITHOUT_KIWI = {"analyzer": "bigram", "tolerance": "none"}  # which takes a second to load


def sample(edition: str = "") -> Collection:
    """Part of the bundled sample; each answer tells the edition."""
    whole, _ = build_collection(read_table(SAMPLE_PATH))
    answers = whole.answers[:: effort(60, 10)]
    ids = {answer.id for answer in answers}
    return replace(
        whole,
        answers=[replace(answer, text=answer.text + edition) for answer in answers],
        questions=[question for question in whole.questions if question.answer_id in ids],
    )


def mixed_requests(collection: Collection, count: int) -> list[dict[str, Any]]:
    """Searches of every kind: one query or several, filtered or not, explained or not."""
    rng = random.Random(0)
    topics = sorted({a.metadata["category"] for a in collection.answers})
    texts = [question.text for question in collection.questions]

    def query() -> str:
        text = rng.choice(texts)
        return rng.choice(
            [text, text[:-1] or text, text + "요", f"{text} {rng.choice(texts)}", "ㅎㅂ"]
        )

    requests = []
    for _ in range(count):
        asked: dict[str, Any] = {"k": rng.choice([1, 3, 10, 100])}
        if rng.random() < 0.3:
            asked["queries"] = [query() for _ in range(rng.randint(2, 8))]
        else:
            asked["query"] = query()
        if rng.random() < 0.3:
            asked["where"] = {"category": rng.sample(topics, 2)}
        if rng.random() < 0.2:
            asked["min_confidence"] = rng.choice(["auto", 0.3])
        if rng.random() < 0.2:
            asked["explain"] = True
        requests.append(asked)
    return requests


def answered_here(searcher: Searcher, asked: dict[str, Any]) -> Results:
    """What one thread finds for a request, as the API writes it."""
    queries = asked.get("queries") or [asked["query"]]
    where = asked.get("where")
    found = searcher.search_many(
        queries, asked["k"], where=where, min_confidence=asked.get("min_confidence")
    )
    results: Results = []
    for query, hits in zip(queries, found, strict=True):
        reasons: list[Any] = [None] * len(hits)
        if asked.get("explain"):
            reasons = [
                {"parts": dict(reason.parts), "words": reason.words}
                for reason in explain_hits(searcher, query, hits, where=where)
            ]
        shown = [
            {
                "answer_id": hit.answer_id, "text": hit.text, "score": hit.score,
                "confidence": hit.confidence, "question": hit.question,
                "corrected": hit.corrected, "metadata": dict(hit.metadata),
                "signals": {n: {"rank": e.rank, "score": e.score} for n, e in hit.signals.items()},
                "explanation": reason,
            }
            for hit, reason in zip(hits, reasons, strict=True)
        ]  # fmt: skip
        results.append({"hits": shown})
    return results


class Oracle:
    """Knows the right reply to each request, by generation."""

    def __init__(self, workspace: Path, requests: list[dict[str, Any]]) -> None:
        self._workspace, self.requests = Workspace(workspace), requests
        self._searchers: dict[str, Searcher] = {}
        self._right: dict[tuple[str, int], Results] = {}

    def wrong(self, seen: "Seen") -> int:
        """Count the replies that differ from what one thread answers in their generation."""
        return sum(
            count
            for (number, body), count in seen.bodies.items()
            if (reply := json.loads(body))["results"] != self._answer(reply["generation"], number)
        )

    def _answer(self, generation: str, number: int) -> Results:
        if generation not in self._searchers:
            opened = open_index(self._workspace.generation(generation))
            self._searchers[generation] = Searcher(opened, generation)
        if (generation, number) not in self._right:
            searcher = self._searchers[generation]
            self._right[generation, number] = answered_here(searcher, self.requests[number])
        return self._right[generation, number]


class Seen:
    """The replies to requests of an oracle, each with its time; equal bodies are kept once."""

    def __init__(self) -> None:
        self.times: dict[int, list[float]] = {}  # seconds, by status
        self.bodies: Counter[tuple[int, bytes]] = Counter()
        self.errors: list[BaseException] = []

    def add(self, number: int, reply: Reply) -> None:
        self.times.setdefault(reply.status, []).append(reply.seconds)
        if reply.status == 200:
            self.bodies[number, reply.body] += 1

    @property
    def statuses(self) -> dict[int, int]:
        return {status: len(times) for status, times in self.times.items()}

    def shown(self, status: int) -> str:
        """The middle and the tail of the times of the replies with this status."""
        if status not in self.times:
            return "none"
        middle, tail = 1000 * np.percentile(self.times[status], [50, 99])
        return f"median {middle:.0f} ms, p99 {tail:.0f} ms"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("soak") / "w"
    index_collection(Workspace(folder), sample(), {}, changes={} if SOAK else WITHOUT_KIWI)
    return folder


@pytest.fixture(scope="module")
def oracle(workspace: Path) -> Oracle:
    return Oracle(workspace, mixed_requests(sample(), effort(24, 300)))


@pytest.fixture(scope="module")
def service(workspace: Path) -> Iterator[Service]:
    # The longest wait is that of a machine that is busy with something else.
    with serving(workspace, "--max-connections", "1024", "--max-wait", "600") as service:
        yield service


async def crowd(
    service: Service, clients: int, seconds: float, oracle: Oracle, *, single: bool = False
) -> Seen:
    """Let clients ask without pause, each once at least; who is told to come later does so."""
    numbers = [n for n, asked in enumerate(oracle.requests) if not single or "query" in asked]
    seen = Seen()
    until = time.monotonic() + seconds

    async def ask(own: random.Random) -> None:
        later = 0.0  # seconds that the service asks for; it may close the connection meanwhile
        while not later or time.monotonic() < until:
            async with connected(service.port) as client:
                later = 0.0
                while not later:
                    number = own.choice(numbers)
                    reply = await client.post("/v1/search", oracle.requests[number])
                    seen.add(number, reply)
                    if reply.status == 429:
                        later = int(reply.headers["retry-after"]) * own.uniform(1, 1.5)
                    if time.monotonic() >= until:
                        return
            await asyncio.sleep(later)

    await asyncio.gather(*(ask(random.Random(number)) for number in range(clients)))
    return seen


def test_64_clients_are_answered_as_one_thread_answers(service: Service, oracle: Oracle) -> None:
    seen = asyncio.run(crowd(service, 64, effort(0, 60), oracle))
    wrong = oracle.wrong(seen)
    print(f"64 clients: mixed searches {seen.statuses}, {wrong} wrong; {seen.shown(200)}")
    assert seen.statuses.keys() == {200}
    assert wrong == 0


def test_a_crowd_is_answered_or_told_to_come_again(service: Service, oracle: Oracle) -> None:
    """Calm is a crowd that threads and queue just hold: nobody is refused."""
    many = effort(120, 512)
    holds = SETTINGS.threads + SETTINGS.max_waiting
    calm = asyncio.run(crowd(service, holds, effort(0, 30), oracle, single=True))
    flood = asyncio.run(crowd(service, many, effort(0, 30), oracle, single=True))
    ended = time.monotonic()
    while service.call("GET", "/readyz").status != 200:
        assert time.monotonic() < ended + 60
    took = time.monotonic() - ended
    after = asyncio.run(crowd(service, holds, effort(0, 5), oracle, single=True))
    print(
        f"{holds} clients: {calm.statuses}, {calm.shown(200)}\n"
        f"{many} clients: {flood.statuses}; accepted {flood.shown(200)}; "
        f"refused {flood.shown(429)}\n"
        f"ready again after {took:.1f} s; {holds} clients again: {after.shown(200)}"
    )
    assert calm.statuses.keys() | after.statuses.keys() == {200}
    assert flood.statuses.keys() <= {200, 429}
    assert sum(map(oracle.wrong, (calm, flood, after))) == 0
    metrics = service.call("GET", "/metrics").body.decode()
    assert 'dotbogi_queue_waiting{queue="search"} 0.0' in metrics


# Half an hour at a steady rate.

CLIENTS = 20  # each asks once a second
KINDS = 24  # of searches; one thread answers them all again in every generation
MINUTES, SECONDS, SAMPLES = effort(2, 30), effort(1, 60), effort(2, 12)  # of a minute


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: sum(range(10_000))"]) as process:
        try:
            yield
        finally:
            process.kill()


async def ask_once_a_second(
    service: Service, oracle: Oracle, seen: Seen, number: int,
    all_are_connected: asyncio.Barrier, is_over: asyncio.Event,
) -> None:  # fmt: skip
    own = random.Random(number)
    try:
        async with connected(service.port) as client:
            await all_are_connected.wait()
            due = time.monotonic() + number / CLIENTS
            await asyncio.sleep(number / CLIENTS)
            while not is_over.is_set():
                asked = own.randrange(KINDS)
                seen.add(asked, await client.post("/v1/search", oracle.requests[asked]))
                due = max(due + 1, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
    except Exception as error:
        seen.errors.append(error)


async def steadily(
    service: Service, oracle: Oracle, workspace: Path
) -> tuple[Seen, list[tuple[float, float, int]]]:
    """Publish and reload once a minute; return samples of (minutes, megabytes, descriptors)."""
    seen, is_over, samples = Seen(), asyncio.Event(), []
    all_are_connected = asyncio.Barrier(CLIENTS + 1)
    asking = [
        asyncio.create_task(
            ask_once_a_second(service, oracle, seen, number, all_are_connected, is_over)
        )
        for number in range(CLIENTS)
    ]
    await all_are_connected.wait()
    started = time.monotonic()
    for minute in range(MINUTES):
        for _ in range(SAMPLES):
            await asyncio.sleep(SECONDS / SAMPLES)
            files = len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))
            samples.append(((time.monotonic() - started) / 60, megabytes(service), files))
        edition = sample(f" {minute}판")
        generation = await asyncio.to_thread(index_collection, Workspace(workspace), edition, {})
        async with connected(service.port) as client:
            reloaded = await client.post("/admin/reload", {})
        assert json.loads(reloaded.body)["generation"] == generation.name
    is_over.set()
    await asyncio.gather(*asking)
    return seen, samples


def test_half_an_hour_of_reloads_leaks_nothing(
    service: Service, workspace: Path, oracle: Oracle
) -> None:
    with busy_neighbour() if SOAK else contextlib.nullcontext():
        seen, samples = asyncio.run(steadily(service, oracle, workspace))
    wrong = oracle.wrong(seen)
    minutes, memory, files = np.asarray(samples).T
    warm = len(samples) // 6
    slope = np.polyfit(minutes[warm:], memory[warm:], 1)[0]
    print(
        f"{samples[-1][0]:.0f} minutes, {MINUTES} generations: searches {seen.statuses}, "
        f"{len(seen.errors)} errors, {wrong} wrong; {seen.shown(200)}\n"
        f"memory {memory[warm]:.0f} → {memory[-1]:.0f} MB, {slope:+.2f} MB a minute; "
        f"descriptors {min(files):.0f} to {max(files):.0f}"
    )
    assert seen.errors == []
    assert seen.statuses.keys() == {200}
    assert wrong == 0
    assert min(files) == max(files)
    if SOAK:  # in seconds there is no slope
        assert slope <= 1
