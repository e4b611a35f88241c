"""Feedback sent to a service that is killed again and again: what it acknowledged, and lost.

    python tests/server_kills.py 200

The test suite does the same a few times.
"""

import contextlib
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from service_process import Service, publish, serving

from dotbogi.search.feedback import FeedbackStore

VOTERS = 4


def killed(folder: Path, times: int) -> dict[str, int]:
    """Kill a service at random moments while four clients vote without pause."""
    rng = random.Random(0)
    publish(folder)
    acknowledged: set[tuple[str, str]] = set()
    refused: list[int] = []

    def vote(service: Service, client: str) -> None:
        vote = {
            "client": client, "query": "배고프다", "shown": ["a1"], "answer_id": "a1",
            "verdict": "right", "generation": "000001",
        }  # fmt: skip
        with contextlib.suppress(OSError, http.client.HTTPException):  # it is killed meanwhile
            for number in range(100_000):
                reply = service.call("POST", "/v1/feedback", {**vote, "id": str(number)})
                if reply.status == 201:
                    acknowledged.add((client, str(number)))
                else:
                    refused.append(reply.status)

    for kill in range(times):
        with serving(folder) as service:
            voters = [
                threading.Thread(target=vote, args=(service, f"{kill}-{n}")) for n in range(VOTERS)
            ]
            for voter in voters:
                voter.start()
            time.sleep(rng.uniform(0, 0.6))
            service.process.kill()
            for voter in voters:
                voter.join()
    with contextlib.closing(FeedbackStore.open(folder)) as store:
        stored = {(each.client, each.id) for each in store.export()}
    return {
        "kills": times,
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged - stored),
        "refused": len(refused),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(killed(Path(place) / "w", int(sys.argv[1]))))
