import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from effort import effort
from server_kills import killed
from service_process import Answered, Service, publish, serving

# A second or so of real work on one thread.
HEAVY = {"queries": [f"{n} " + "배송 환불 예약 비밀번호 우산 " * 30 for n in range(256)], "k": 100}

LET_IN = ("--max-cost", "200000")  # it costs eight times what is let in otherwise


def ask_all(
    service: Service, number: int, body: Any = HEAVY
) -> tuple[list[threading.Thread], list[Answered]]:
    answered: list[Answered] = []

    def ask() -> None:
        answered.append(service.call("POST", "/v1/search", body))

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, answered


def wait_until(service: Service, line: str) -> None:
    until = time.monotonic() + 30
    while line not in service.call("GET", "/metrics").body.decode():
        assert time.monotonic() < until, line
        time.sleep(0.01)


def test_beyond_the_queue_a_request_is_told_when_to_come_again(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    with serving(tmp_path / "w", "--threads", "1", "--max-waiting", "1", *LET_IN) as service:
        threads, answered = ask_all(service, 8)
        wait_until(service, 'dotbogi_queue_waiting{queue="search"} 1.0')
        assert service.call("GET", "/readyz").status == 503
        assert service.call("GET", "/healthz").status == 200  # alive, only busy
        for thread in threads:
            thread.join()
        assert {reply.status for reply in answered} == {200, 429}
        for reply in answered:
            if reply.status == 429:
                assert 1 <= int(reply.headers["retry-after"]) <= 30
                assert reply.json["error"]["code"] == "busy"
            else:
                assert len(reply.json["results"]) == 256
        assert service.call("POST", "/v1/search", {"query": "배고프다"}).status == 200
        assert service.call("GET", "/readyz").status == 200
        metrics = service.call("GET", "/metrics").body.decode()
        assert 'dotbogi_requests_total{route="/v1/search",status="429"}' in metrics
        assert 'dotbogi_queue_waiting{queue="search"} 0.0' in metrics
        assert 'dotbogi_queue_running{queue="search"} 0.0' in metrics


def test_a_service_that_is_told_to_end_at_once_ends(tmp_path: Path) -> None:
    """The line that it prints comes before uvicorn listens to signals."""
    publish(tmp_path / "w")
    with serving(tmp_path / "w") as service:
        assert service.stop() == 0


def test_what_is_in_flight_is_finished_before_the_service_ends(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    with serving(tmp_path / "w", "--threads", "1", *LET_IN) as service:
        threads, answered = ask_all(service, 3)
        wait_until(service, 'dotbogi_queue_waiting{queue="search"} 2.0')
        assert answered == []
        assert service.stop() == 0
        for thread in threads:
            thread.join()
        assert [reply.status for reply in answered] == [200] * 3
        assert all(len(reply.json["results"]) == 256 for reply in answered)


# The tests themselves may run under nohup, which children inherit.
@pytest.mark.parametrize(
    "prefix", [("env", "--default-signal=HUP"), ("nohup",)], ids=["closed terminal", "nohup"]
)
def test_sighup_drops_nothing_that_is_in_flight(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    """It ends the service as SIGTERM does; under nohup it does nothing."""
    publish(tmp_path / "w")
    options = ("--threads", "1", *LET_IN)
    with serving(tmp_path / "w", *options, prefix=prefix) as service:
        threads, answered = ask_all(service, 2)
        wait_until(service, 'dotbogi_queue_waiting{queue="search"} 1.0')
        service.process.send_signal(signal.SIGHUP)
        for thread in threads:
            thread.join()
        print(f"{[reply.status for reply in answered]} after SIGHUP")
        assert [reply.status for reply in answered] == [200] * 2
        if "nohup" in prefix:
            assert service.call("GET", "/healthz").status == 200
        else:
            assert service.process.wait(60) == 0


@pytest.mark.soak
def test_acknowledged_feedback_survives_a_kill(tmp_path: Path) -> None:
    """What was answered 201 is there after `kill -9`, and the service starts again on it."""
    found = killed(tmp_path / "w", times=effort(3, 200))
    print(found)
    assert found["acknowledged"] > 10
    assert (found["lost"], found["refused"]) == (0, 0)
