"""No request keeps a thread for long, and none waits for a thread without end."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from service_process import Service, publish, serving
from test_service_load import ask_all, wait_until

from dotbogi.search.service.settings import Settings

TEXT = "배송이 늦어서 환불하고 싶은데 예약 비밀번호를 잊었어요 " * 400
LONGEST = 8.0  # seconds of a core for the most expensive request; 3.7 on one shared with others


def many(number: int, length: int, **fields: Any) -> dict[str, Any]:
    return {"queries": [f"{n:03} {TEXT}"[:length] for n in range(number)], **fields}


def texts(number: int, length: int) -> dict[str, Any]:
    return {"input": [f"{n:03} {TEXT}"[:length] for n in range(number)]}


def seconds_of_core(service: Service) -> float:
    """Return the processor time of a service; the clock would measure its neighbours too."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text(encoding="ascii").split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


# Worked out by hand: a query costs its characters + 30 + k, three times that with `explain`; a
# text its characters, 1,500 at most, + 30.
COSTS: list[tuple[str, dict[str, Any], int]] = [
    ("/v1/search", many(256, 38, k=10), 19_968),
    ("/v1/search", many(256, 39, k=10), 20_224),
    ("/v1/search", many(17, 1000, k=100), 19_210),
    ("/v1/search", many(18, 1000, k=100), 20_340),
    ("/v1/search", many(5, 1000, k=100, explain=True), 16_950),
    ("/v1/search", many(6, 1000, k=100, explain=True), 20_340),
    ("/v1/search", many(128, 10, k=12, explain=True), 19_968),
    ("/v1/search", many(256, 500, k=100, explain=True), 483_840),
    ("/v1/embeddings", texts(13, 4_000), 19_890),
    ("/v1/embeddings", texts(14, 4_000), 21_420),
    ("/v1/embeddings", texts(256, 48), 19_968),
    ("/v1/embeddings", texts(256, 49), 20_224),
    ("/v1/rerank", {"query": "밥", "documents": texts(256, 48)["input"]}, 19_968),
    ("/v1/rerank", {"query": "밥", "documents": texts(256, 49)["input"]}, 20_224),
]


def test_what_costs_too_much_is_refused_in_one_line(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    right, most = 0, Settings().max_cost
    with serving(tmp_path / "w") as service:
        for route, body, cost in COSTS:
            reply = service.call("POST", route, body)
            if cost <= most:
                right += reply.status == 200
                continue
            error = reply.json["error"]
            right += (reply.status, error["code"]) == (422, "over_limit")
            assert f"costs {cost}, more than the limit of {most}" in error["message"]
            assert "\n" not in error["message"]
    print(f"{len(COSTS)} requests: {right} as promised")
    assert right == len(COSTS)


@pytest.mark.starter
def test_the_most_expensive_request_takes_seconds(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    with serving(tmp_path / "w") as service:
        before, started = seconds_of_core(service), time.monotonic()
        reply = service.call("POST", "/v1/search", many(17, 1000, k=100))
        took, waited = seconds_of_core(service) - before, time.monotonic() - started
    print(f"17 queries of 1,000 characters: {took:.1f} s of a core in {waited:.1f} s")
    assert reply.status == 200
    assert took < LONGEST


def test_who_waits_too_long_for_a_thread_is_told_so(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    options = ("--threads", "1", "--max-wait", "1", "--max-cost", "900000")
    with serving(tmp_path / "w", *options) as service:
        slow = many(256, 500, k=100, explain=True)
        threads, answered = ask_all(service, 4, slow)
        wait_until(service, 'dotbogi_queue_waiting{queue="search"} 3.0')
        started = time.monotonic()
        while len(answered) < 3:
            assert time.monotonic() < started + 30
            time.sleep(0.05)
        late = [reply for reply in answered if reply.status == 503]
        print(f"4 requests: {len(late)} told after {time.monotonic() - started:.1f} s")
        for thread in threads:
            thread.join()
        assert sorted(reply.status for reply in answered) == [200, 503, 503, 503]
        for reply in late:
            assert reply.json["error"]["code"] == "waited_too_long"
            assert reply.headers["retry-after"] == "5"
        assert service.call("POST", "/v1/search", {"query": "배고프다"}).status == 200
        assert "Traceback" not in service.log.read_text(encoding="utf-8")
