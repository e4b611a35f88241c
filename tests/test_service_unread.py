"""Replies that nobody reads: they are bounded, and their connections are cut."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from service_process import Service, publish, serving

# A reply of about a megabyte.
BODY = json.dumps({"queries": [f"{n} 배송 환불 예약 우산" for n in range(256)], "k": 8}).encode()
HEAD = b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@contextlib.contextmanager
def asking(service: Service, number: int, requests: int = 1) -> Iterator[list[socket.socket]]:
    """Connections that have asked, and do not read."""
    with contextlib.ExitStack() as stack:
        asked = []
        for _ in range(number):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(30)
            connection.connect(("127.0.0.1", service.port))
            connection.sendall(REQUEST * requests)
            asked.append(connection)
        yield asked


def unsent(service: Service) -> int:
    """Count the service's connections that are open, by the kernel's table."""
    place = f"{service.port:04X}"
    rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(row.split()[1].endswith(f":{place}") and row.split()[3] == "01" for row in rows)


def until_open(service: Service, most: int, seconds: float) -> float:
    """Wait until at most this many connections are open; return the seconds it took."""
    started = time.monotonic()
    while unsent(service) > most:
        assert time.monotonic() < started + seconds, unsent(service)
        time.sleep(0.1)
    return time.monotonic() - started


def searches(service: Service) -> int:
    text = service.call("GET", "/metrics").body.decode()
    _, _, rest = text.partition('dotbogi_requests_total{route="/v1/search",status="200"} ')
    return int(float(rest.split()[0])) if rest else 0


def test_a_reply_that_is_not_read_is_dropped_with_its_connection(tmp_path: Path) -> None:
    """Nor is another one made for the same connection; who reads slowly, but reads, gets it all."""
    publish(tmp_path / "w")
    with serving(tmp_path / "w", settings={"reply_seconds": 2.0}) as service:
        with asking(service, 1) as (slow,):
            received = slow.recv(4096)
            with asking(service, 10, requests=3):
                while b"\r\n\r\n" not in received or len(received) < 20_000:
                    received += slow.recv(4096)
                    time.sleep(0.05)
                slow.settimeout(1)
                with contextlib.suppress(TimeoutError):
                    while part := slow.recv(65536):
                        received += part
                took = until_open(service, 1, 30)
                made = searches(service)
        head, _, body = received.partition(b"\r\n\r\n")
        print(f"10 of 10 cut after {took:.1f} s; {made} replies made for 31 requests")
        assert head.startswith(b"HTTP/1.1 200")
        assert len(json.loads(body)["results"]) == 256
        assert made <= 11
        assert service.call("POST", "/v1/search", {"query": "배고프다"}).status == 200
        assert "Traceback" not in service.log.read_text(encoding="utf-8")


def test_unread_replies_are_bounded_in_all(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    bounds = {"reply_seconds": 60.0, "max_unread": 1_200_000}
    with serving(tmp_path / "w", settings=bounds) as service:
        with asking(service, 10):
            took = until_open(service, 5, 30)
            left = unsent(service)
            print(f"{10 - left} of 10 cut after {took:.1f} s, {left} hold what is allowed")
            assert left >= 1
            assert service.call("POST", "/v1/search", {"query": "배고프다"}).status == 200
        assert "Traceback" not in service.log.read_text(encoding="utf-8")
