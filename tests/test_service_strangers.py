"""What a caller without a key, or a page of another site, can do: nothing that lasts."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from service_process import Answered, Service, publish, serving

from dotbogi.search.service.settings import Settings

KEY = "the-key-of-the-strangers-test"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VOTE: dict[str, Any] = {
    "id": "1", "client": "c", "query": "배고프다", "shown": [], "answer_id": "a1",
    "verdict": "right", "generation": "000001",
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers") / "w"
    publish(folder)
    return folder


@pytest.fixture(scope="module")
def guarded(workspace: Path) -> Iterator[Service]:
    with serving(workspace, keys={"a": {"role": "admin", "key": KEY}}) as running:
        yield running
        assert "Traceback" not in running.log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("keyless") / "w"
    publish(folder)
    with serving(folder) as running:
        yield running
        assert "Traceback" not in running.log.read_text(encoding="utf-8")


def entered(service: Service, key: str, **headers: str) -> Answered:
    body = urlencode({"key": key, "next": "/"}).encode()
    return service.call("POST", "/page/enter", body, headers={**FORM, **headers})


def test_keys_cannot_be_guessed_without_end(guarded: Service) -> None:
    """Neither as a header nor in the form; a right key among the guesses looks like the others."""
    most, size = Settings().failed_keys, guarded.log.stat().st_size
    for number, sender in ((1, "bearer"), (2, "form")):
        here = {"X-Forwarded-For": f"1.2.3.4, 203.0.113.{number}"}

        def guess(key: str, sender: str = sender, here: dict[str, str] = here) -> Answered:
            if sender == "form":
                return entered(guarded, key, **here)
            return guarded.call("GET", "/openapi.json", key=key, headers=here)

        tried = [guess(f"a-wrong-key-number-{n}").status for n in range(3 * most)]
        looked_at = tried.count(401)
        print(f"{sender}: {looked_at} of {len(tried)} guesses were looked at")
        assert most <= looked_at < 1.5 * most  # a few more come to be allowed meanwhile
        assert set(tried) == {401, 429}
        statuses = [guess(KEY).status for _ in range(20)]
        assert statuses.count(429) >= 15  # the others: one is allowed again every 0.6 s
        refused = guess("a-wrong-key-again")
        if refused.status == 429:
            assert 1 <= int(refused.headers["retry-after"]) <= 60
    elsewhere = {"X-Forwarded-For": "203.0.113.99"}
    assert guarded.call("GET", "/openapi.json", key=KEY, headers=elsewhere).status == 200
    assert guarded.call("GET", "/healthz").status == 200
    grown = guarded.log.stat().st_size - size
    print(f"the log grew by {grown} bytes")
    assert grown < 30_000


def test_addresses_are_remembered_within_bounds() -> None:
    from starlette.requests import Request

    from dotbogi.search.service.attempts import _ADDRESSES, Attempts

    attempts = Attempts(3)

    def request(address: str) -> Request:
        return Request({"type": "http", "client": (address, 1), "headers": []})

    for number in range(2 * _ADDRESSES):
        attempts.failed(request(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert len(attempts._counts) == _ADDRESSES
    for number in range(4):  # other addresses of one IPv6 network
        attempts.failed(request(f"2001:db8::{number}"))
    assert attempts.wait(request("2001:db8::ffff")) > 0
    assert attempts.wait(request("2001:db8:1::1")) == 0


def test_a_session_that_was_left_is_over_for_copies_of_its_cookie_too(guarded: Service) -> None:
    first, second = (
        {"Cookie": entered(guarded, KEY).headers["set-cookie"].partition(";")[0]} for _ in "12"
    )
    assert guarded.call("GET", "/rounds", headers=first).status == 200
    assert guarded.call("POST", "/page/leave", b"", headers={**FORM, **first}).status == 303
    assert guarded.call("GET", "/rounds", headers=first).status == 401
    assert guarded.call("POST", "/v1/feedback", VOTE, headers=first).status == 401
    assert guarded.call("GET", "/rounds", headers=second).status == 200


def test_pages_of_other_sites_change_nothing(keyless: Service, guarded: Service) -> None:
    here = f"127.0.0.1:{keyless.port}"
    others: list[dict[str, str]] = [
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[bad"}, {"Origin": f"http://{here}", "Sec-Fetch-Site": "cross-site"},
    ]  # fmt: skip
    own: list[dict[str, str]] = [
        {}, {"Sec-Fetch-Site": "none"}, {"Origin": f"http://{here}"},
        {"Origin": f"http://{here}", "Sec-Fetch-Site": "same-origin"},
    ]  # fmt: skip
    routes: list[tuple[str, Any]] = [
        ("/admin/reload", None), ("/v1/feedback", VOTE), ("/v1/search", {"query": "배"}),
    ]  # fmt: skip
    refused = 0
    for path, body in routes:
        for headers in others:
            reply = keyless.call("POST", path, body, headers=headers)
            assert (reply.status, reply.json["error"]["code"]) == (403, "cross_site"), headers
            refused += 1
        for headers in own:
            assert keyless.call("POST", path, body, headers=headers).status in (200, 201), headers
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert entered(guarded, KEY, **cross).status == 403
    assert guarded.call("POST", "/page/leave", b"", headers={**FORM, **cross}).status == 403
    assert guarded.call("POST", "/admin/reload", key=KEY, headers=cross).status == 403
    print(f"{refused + 3} requests of other sites refused, {len(routes) * len(own)} own answered")


def test_a_vote_names_a_generation_that_there_has_been(keyless: Service) -> None:
    for number, name in enumerate(("000002", "000000", "999999", "0000001", "123456789012")):
        vote = {**VOTE, "id": f"x{number}", "generation": name}
        reply = keyless.call("POST", "/v1/feedback", vote)
        assert (reply.status, reply.json["error"]["code"]) == (404, "no_such_generation"), name
    assert keyless.call("POST", "/v1/feedback", {**VOTE, "id": "y"}).status == 201


def test_a_length_beside_an_encoding_ends_the_connection(keyless: Service) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = b"0\r\n\r\n"
    head = (
        "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body) + len(smuggled)}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", keyless.port), timeout=20) as connection:
        connection.sendall(head.encode() + body + smuggled)
        received, started = b"", time.monotonic()
        while part := connection.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"exclude each other" in received
    print(f"closed after {time.monotonic() - started:.1f} s, one reply")
