"""Processes that write feedback at the same time, or are killed while they do.

    python tests/feedback_writers.py crowd|killed FOLDER

They are forked from one process that has imported everything, so that 200 of them take seconds.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dotbogi.search.feedback import Feedback, FeedbackStore


def feedback(id_: str, **changes: object) -> Feedback:
    """Return a vote; what a test does not name is the same for all."""
    facts: dict[str, object] = {
        "id": id_, "client": "c", "query": "배고프다", "shown": ("a1", "a2"), "answer_id": "a1",
        "verdict": "right", "generation": "000001", "time": "2026-11-21T00:00:00+00:00",
    }  # fmt: skip
    return Feedback(**{**facts, **changes})  # type: ignore[arg-type]


def _fork(work: Callable[[int], None]) -> tuple[int, int]:
    """Start a child that works and writes into a pipe; return its id and the end to read."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(writing)
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


def _read(reading: int) -> list[str]:
    with os.fdopen(reading) as pipe:
        return pipe.read().split()


def killed(folder: Path, times: int = 200) -> dict[str, int]:
    """Kill a writer at a random moment, again and again; count what it acknowledged, and lost."""
    rng = random.Random(0)
    acknowledged: set[str] = set()

    def write(pipe: int, name: str) -> None:
        store = FeedbackStore.open(folder)
        for number in range(1_000_000):
            store.add(feedback(f"{name}-{number}", query="배고프다 " * rng.randint(1, 200)))
            os.write(pipe, f"{name}-{number}\n".encode())

    lost = 0
    for cycle in range(times):
        child, reading = _fork(lambda pipe, name=str(cycle): write(pipe, name))  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        acknowledged.update(_read(reading))
        os.waitpid(child, 0)
        if cycle % 10 == 9:  # in between, the next writer finds what the killed one left
            store = FeedbackStore.open(folder)
            lost += len(acknowledged - {each.id for each in store.export()})
            store.close()
    return {"kills": times, "acknowledged": len(acknowledged), "lost": lost}


def crowd(folder: Path, processes: int = 4, threads: int = 4, each: int = 15) -> dict[str, int]:
    """Let processes with threads add the same rows; count what they were told was new."""
    store = FeedbackStore.open(folder)  # not connected yet: all of them make the file at once

    def work(pipe: int) -> None:
        def add() -> None:
            new = sum(store.add(feedback(f"{number}")) for number in range(each))
            os.write(pipe, f"{new}\n".encode())

        workers = [threading.Thread(target=add) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    children = [_fork(work) for _ in range(processes)]
    told = [int(new) for _, reading in children for new in _read(reading)]
    for child, _ in children:
        os.waitpid(child, 0)
    store.add(feedback("of the parent"))
    child, reading = _fork(
        lambda pipe: (os.write(pipe, f"{store.add(feedback('of the child'))}".encode()), None)[1]
    )
    after_fork = _read(reading)
    os.waitpid(child, 0)
    stored = [each.id for each in store.export()]
    return {
        "workers": len(told), "new": sum(told), "stored": len(stored),
        "distinct": len(set(stored)), "after fork": len(after_fork),
    }  # fmt: skip


if __name__ == "__main__":
    found = {"crowd": crowd, "killed": killed}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps(found))
