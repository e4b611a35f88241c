"""No request keeps a thread for long, and none waits for a thread without end."""

import time
from pathlib import Path
from typing import Any

import pytest
from service_process import publish, serving
from test_service_load import ask_all, wait_until

from dotbogi.search.service.settings import Settings

TEXT = "배송이 늦어서 환불하고 싶은데 예약 비밀번호를 잊었어요 " * 400
LONGEST = 20.0  # seconds of the most expensive request, on a machine with other work; 3 without


def many(number: int, length: int, **fields: Any) -> dict[str, Any]:
    return {"queries": [f"{n:03} {TEXT}"[:length] for n in range(number)], **fields}


def texts(number: int, length: int) -> dict[str, Any]:
    return {"input": [f"{n:03} {TEXT}"[:length] for n in range(number)]}


# Worked out by hand: a query costs its characters + 30 + k, three times that with `explain`; a
# text its characters, 1,500 at most, + 30.
COSTS: list[tuple[str, dict[str, Any], int]] = [
    ("/v1/search", many(256, 116, k=10), 39_936),
    ("/v1/search", many(256, 117, k=10), 40_192),
    ("/v1/search", many(35, 1000, k=100), 39_550),
    ("/v1/search", many(36, 1000, k=100), 40_680),
    ("/v1/search", many(11, 1000, k=100, explain=True), 37_290),
    ("/v1/search", many(12, 1000, k=100, explain=True), 40_680),
    ("/v1/search", many(256, 10, k=12, explain=True), 39_936),
    ("/v1/search", many(256, 500, k=100, explain=True), 483_840),
    ("/v1/embeddings", texts(26, 4_000), 39_780),
    ("/v1/embeddings", texts(27, 4_000), 41_310),
    ("/v1/embeddings", texts(256, 126), 39_936),
    ("/v1/embeddings", texts(256, 127), 40_192),
    ("/v1/rerank", {"query": "밥", "documents": texts(256, 126)["input"]}, 39_936),
    ("/v1/rerank", {"query": "밥", "documents": texts(256, 127)["input"]}, 40_192),
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
        started = time.monotonic()
        reply = service.call("POST", "/v1/search", many(35, 1000, k=100))
        seconds = time.monotonic() - started
    print(f"35 queries of 1,000 characters: {seconds:.1f} s")
    assert reply.status == 200
    assert seconds < LONGEST


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
