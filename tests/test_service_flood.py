"""Connections that send nothing, or not all: who is connected is answered, and the log is short."""

import contextlib
import http.client
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from effort import effort
from service_process import Service, publish, serving

# Descriptors of the service → connections that send a byte and no more.
FLOODS = {256: effort(300, 2000), 1024: effort(1500, 10_000)}
SLOW = effort(20, 100)  # connections that send the body of a search byte by byte
HEAD_SECONDS = 3.0
SETTINGS = {"head_seconds": HEAD_SECONDS, "body_seconds": HEAD_SECONDS, "max_connections": 900}


@pytest.fixture(autouse=True, scope="module")
def descriptors() -> Iterator[None]:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def megabytes(service: Service) -> float:
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def half_open(service: Service, number: int) -> list[socket.socket]:
    """Connect and send a single byte of a request, again and again."""
    held = []
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        with contextlib.suppress(OSError):  # closed already
            connection.sendall(b"G")
        held.append(connection)
    return held


def slow_senders(service: Service, number: int) -> list[socket.socket]:
    """Connect and send the head of a search; its body is left to come."""
    head = (
        b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100000\r\n\r\n"
    )
    held = []
    for _ in range(number):
        held.append(socket.create_connection(("127.0.0.1", service.port), timeout=10))
        held[-1].sendall(head)
    return held


def dribble(connections: list[socket.socket]) -> None:
    """Send one more byte of each body."""
    for connection in connections:
        with contextlib.suppress(OSError):  # cut off already
            connection.sendall(b" ")


def closed(connections: list[socket.socket]) -> int:
    """Count the connections that the service has closed."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            count += connection.recv(1) == b""
        except BlockingIOError:
            pass
        except OSError:
            count += 1
    return count


@contextlib.contextmanager
def kept(service: Service) -> Iterator[http.client.HTTPConnection]:
    """A connection that is used more than once."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
    ) as connection:
        yield connection


def healthy(connection: http.client.HTTPConnection) -> bool:
    connection.request("GET", "/healthz")
    reply = connection.getresponse()
    reply.read()
    return reply.status == 200


def finds(connection: http.client.HTTPConnection) -> bool:
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/search", '{"query": "배고프다"}'.encode(), headers)
    reply = connection.getresponse()
    return reply.status == 200 and "a1" in reply.read().decode()


@pytest.mark.soak
def test_half_open_connections_and_slow_senders_stop_nobody_and_fill_no_log(
    tmp_path: Path,
) -> None:
    with contextlib.ExitStack() as stack:
        services = {}
        for most in FLOODS:
            publish(tmp_path / str(most) / "w")
            services[most] = stack.enter_context(
                serving(tmp_path / str(most) / "w", descriptors=most, settings=SETTINGS)
            )
        known = {most: stack.enter_context(kept(service)) for most, service in services.items()}
        assert all(healthy(connection) for connection in known.values())
        memory = {most: megabytes(service) for most, service in services.items()}
        started = time.monotonic()
        slow = {most: slow_senders(service, SLOW) for most, service in services.items()}
        held: dict[int, list[socket.socket]] = {most: [] for most in FLOODS}
        asked = answered = 0
        while asked < 40 or time.monotonic() < started + HEAD_SECONDS - 1:
            for most, service in services.items():
                part = FLOODS[most] // 20 if asked < 40 else 0
                held[most] += half_open(service, part)
                dribble(slow[most])
                asked += 1
                answered += healthy(known[most]) and finds(known[most])
            time.sleep(0.02 if asked < 40 else 0.3)
        at_once = {most: closed(connections) for most, connections in held.items()}
        time.sleep(max(0, started + HEAD_SECONDS + 2 - time.monotonic()))
        for most, service in services.items():
            assert service.call("GET", "/healthz", timeout=5).status == 200
            grown = megabytes(service) - memory[most]
            log = service.log.stat().st_size
            told = sum(connection.recv(12) == b"HTTP/1.1 408" for connection in slow[most])
            print(
                f"{most} descriptors, {FLOODS[most]} connections: {at_once[most]} closed at once, "
                f"{closed(held[most])} by the deadline, {told} of {SLOW} slow senders told; "
                f"log {log} bytes, +{grown:.1f} MB"
            )
            assert at_once[most] >= FLOODS[most] - (most - 96)
            assert closed(held[most]) == FLOODS[most]
            assert told == SLOW
            assert log < 20_000 + 200 * (SLOW + asked)  # a line for each request
            assert grown < 100
        print(f"{answered} of {asked} answered on connections from before")
        assert answered == asked
        for connections in (*held.values(), *slow.values()):
            for each in connections:
                each.close()


def test_without_a_free_descriptor_the_connected_are_answered_and_nothing_is_logged(
    tmp_path: Path,
) -> None:
    """The limit of connections is set at the start: here, descriptors become fewer later."""
    publish(tmp_path / "w")
    with serving(tmp_path / "w", descriptors=1024) as service, kept(service) as known:
        assert healthy(known)
        used = len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))
        print(f"{used} descriptors in use")
        assert used < 96  # what the limit of connections leaves free
        bounds = (used + 10, 1024)
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, bounds)
        held = half_open(service, 200)
        answered = sum(healthy(known) for _ in range(50))
        time.sleep(1.5)
        answered += healthy(known)
        print(f"{answered} of 51 answered, {closed(held)} of 200 closed at once")
        assert answered == 51
        assert closed(held) >= 185
        assert service.log.stat().st_size < 20_000
        for each in held:
            each.close()
        time.sleep(0.5)
        assert service.call("GET", "/healthz", timeout=5).status == 200


def test_a_head_that_comes_byte_by_byte_is_cut_off(tmp_path: Path) -> None:
    """Also the second head of a connection, and one after a body that never ends."""
    publish(tmp_path / "w")
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    first = {
        "nothing": b"",
        "a reply before": get,
        "a body": get[:-2] + b"Content-Length: 9\r\n\r\n",
    }
    with serving(tmp_path / "w", settings=SETTINGS) as service:
        lines = {}
        for name, sent in first.items():
            lines[name] = socket.create_connection(("127.0.0.1", service.port), timeout=1)
            lines[name].sendall(sent)
        started, lasted = time.monotonic(), dict.fromkeys(first, 0.0)
        while lines and time.monotonic() < started + 40:
            for name, line in list(lines.items()):
                try:
                    line.sendall(b"x" if name == "a body" else b"G")
                except OSError:
                    lasted[name] = time.monotonic() - started
                    lines.pop(name).close()
            time.sleep(0.5)
        print({name: f"{seconds:.1f} s" for name, seconds in lasted.items()})
        assert not lines
        assert max(lasted.values()) < 3 * HEAD_SECONDS
