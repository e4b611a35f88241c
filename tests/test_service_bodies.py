"""Bodies as no client library sends them: none makes the service fail, and no error quotes them."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_process import Service, publish, serving

SECRET = "말하면안되는말"  # in every body: an error must not repeat it
GOOD: dict[str, dict[str, Any]] = {
    "/v1/search": {"query": "배고프다"},
    "/v1/embeddings": {"input": "배고프다", "model": "any"},
    "/v1/rerank": {"query": "배고프다", "documents": ["밥", "잠"]},
    "/v1/feedback": {
        "id": "f1", "client": "c1", "query": "배고프다", "shown": ["a1"], "answer_id": "a1",
        "verdict": "right", "generation": "000001",
    },
}  # fmt: skip
TEXT_FIELD = {
    "/v1/search": "query", "/v1/embeddings": "input", "/v1/rerank": "query",
    "/v1/feedback": "query",
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    workspace = tmp_path_factory.mktemp("bodies") / "w"
    publish(workspace)
    with serving(workspace) as running:
        yield running
        assert "Traceback" not in running.log.read_text(encoding="utf-8")


def bad_bodies(route: str) -> dict[str, bytes]:
    """Return bodies that are wrong for this route, by what is wrong with them."""
    field = TEXT_FIELD[route]
    good = json.dumps({**GOOD[route], field: SECRET}, ensure_ascii=False)

    def put(value: str) -> bytes:
        rest = json.dumps({k: v for k, v in GOOD[route].items() if k != field})[1:]
        return f'{{"{field}": {value}, "note": "{SECRET}", {rest}'.encode()

    return {
        "empty": b"",
        "white space": b"  \n ",
        "lone high surrogate": put('"\\ud800"'),
        "lone low surrogate": put('"a\\udc00"'),
        "surrogate as name": f'{{"\\ud800": "{SECRET}"}}'.encode(),
        "surrogate as bytes": b'{"' + field.encode() + b'": "\xed\xa0\x80"}',
        "bad UTF-8": b'{"' + field.encode() + b'": "\xff\xfe\xfa"}',
        "cut UTF-8": good.encode()[:-4] + b"\xeb\xb0",
        "UTF-16": good.encode("utf-16"),
        "UTF-32": good.encode("utf-32"),
        "UTF-8 with BOM": b"\xef\xbb\xbf" + good.encode(),
        "CP949": good.encode("cp949"),
        "NaN": put("NaN"),
        "-Infinity": put("-Infinity"),
        "1e400": put("1e400"),
        "-1e400": put("-1e400"),
        "a long number": put("9" * 5000),
        "a number": put("5"),
        "true": put("true"),
        "null": put("null"),
        "an object": put(f'{{"a": "{SECRET}"}}'),
        "deep lists": put("[" * 100_000 + "]" * 100_000),
        "deep objects": put('{"a":' * 50_000 + "1" + "}" * 50_000),
        "open lists": b"[" * 200_000,
        "a list": f'["{SECRET}"]'.encode(),
        "a string": f'"{SECRET}"'.encode(),
        "a bare null": b"null",
        "a bare NaN": b"NaN",
        "cut off": good.encode()[:-1],
        "two values": good.encode() * 2,
        "single quotes": good.replace('"', "'").encode(),
        "a comment": good.encode() + b"// comment",
        "a trailing comma": good.encode()[:-1] + b",}",
        "raw newline in a string": put('"a\nb"'),
        "bad escape": put('"\\x41"'),
        "NUL": b"\x00" * 100,
        "an unknown name": f'{{"{SECRET}": "{SECRET}"}}'.encode(),
        "a long unknown name": json.dumps({SECRET * 10_000: 1}).encode(),
        "an empty text": put('""'),
        "a list with a number": put(f'["{SECRET}", 5]'),
    }


BAD = [
    pytest.param(route, name, id=f"{route} {name}") for route in GOOD for name in bad_bodies(route)
]


def test_there_are_at_least_a_hundred_bad_bodies() -> None:
    assert len(BAD) >= 100


@pytest.mark.parametrize("route", GOOD)
def test_a_bad_body_is_refused_in_one_shape_without_an_echo(service: Service, route: str) -> None:
    """None answers 5xx; every error is small JSON that repeats nothing of the body."""
    for name, body in bad_bodies(route).items():
        answered = service.call("POST", route, body)
        if answered.status < 300:  # also good to some: unknown names are left alone there
            assert name in ("UTF-16", "UTF-32", "UTF-8 with BOM", "surrogate as bytes"), name
            continue
        assert answered.status in (400, 409, 413, 415, 422), name
        assert len(answered.body) <= 4096, name
        assert SECRET.encode() not in answered.body, name
        assert "\\u" not in answered.body.decode(), name
        assert set(answered.json["error"]) == {"code", "message", "request_id"}, name
        assert answered.headers["x-dotbogi-generation"] == "000001", name
        assert answered.headers["x-request-id"] == answered.json["error"]["request_id"], name


@pytest.mark.parametrize(
    ("route", "change", "most"),
    [
        ("/v1/search", lambda n: {"query": "가" * n}, 1000),
        ("/v1/search", lambda n: {"query": "밥", "k": n}, 100),
        ("/v1/search", lambda n: {"queries": ["밥"] * n}, 256),
        ("/v1/embeddings", lambda n: {"input": "가" * n}, 10_000),
        ("/v1/embeddings", lambda n: {"input": ["밥"] * n}, 256),
        ("/v1/rerank", lambda n: {"query": "밥", "documents": ["죽"] * n}, 256),
        ("/v1/rerank", lambda n: {"query": "밥" * n, "documents": ["죽"]}, 1000),
        ("/v1/feedback", lambda n: {**GOOD["/v1/feedback"], "shown": ["a1"] * n}, 100),
        ("/v1/search", lambda n: b'{"query":"a"' + b" " * (n - 13) + b"}", 1_000_000),
    ],
)
def test_a_limit_lets_in_what_it_says_and_no_more(
    service: Service, route: str, change: Any, most: int
) -> None:
    for size in (most - 1, most):
        assert service.call("POST", route, change(size)).status in (200, 201), size
    refused = service.call("POST", route, change(most + 1))
    assert refused.status == (413 if most == 1_000_000 else 422)


def test_the_lowest_values_are_let_in_and_those_below_refused(service: Service) -> None:
    def search(**fields: Any) -> int:
        return service.call("POST", "/v1/search", {"query": "밥", **fields}).status

    assert (search(k=1), search(k=0), search(k=-1)) == (200, 422, 422)
    assert (search(min_confidence=0), search(min_confidence=-1e-9)) == (200, 422)
    assert (search(min_confidence=1), search(min_confidence=1 + 1e-9)) == (200, 422)
    assert search(query="") == 422
    assert search(where={}) == 200
    assert search(where={"a": ["b"] * 101}) == 422
    assert search(where={str(i): "b" for i in range(21)}) == 422
    assert (search(k=5.0), search(k=5.5), search(k="5"), search(k=True)) == (200, 422, 422, 422)
    assert service.call("POST", "/v1/search", {"queries": []}).status == 422
    assert service.call("POST", "/v1/search", {"query": "a", "queries": ["b"]}).status == 422


def raw(service: Service, head: str, body: Iterator[bytes] | None = None) -> bytes:
    """Send bytes as they are while reading, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())

        def send() -> None:
            with contextlib.suppress(OSError):
                for part in body or ():
                    connection.sendall(part)

        sender = threading.Thread(target=send)
        sender.start()
        received = b""
        while part := connection.recv(65536):
            received += part
        sender.join()
    return received


@pytest.mark.parametrize("length", ["Content-Length: 50000000", "Transfer-Encoding: chunked"])
def test_fifty_megabytes_are_refused_and_their_sender_sees_why(
    service: Service, length: str
) -> None:
    chunked = "chunked" in length
    megabyte = b"x" * 1_000_000
    part = b"%x\r\n%b\r\n" % (len(megabyte), megabyte) if chunked else megabyte
    received = raw(
        service,
        f"POST /v1/search HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
        f"Connection: close\n{length}\n\n",
        iter([part] * 50 + ([b"0\r\n\r\n"] if chunked else [])),
    )
    assert received.startswith(b"HTTP/1.1 413 ")
    assert len(received) < 4096
    assert service.call("GET", "/readyz").status == 200


def test_a_length_that_is_announced_too_large_is_refused_before_it_is_sent(
    service: Service,
) -> None:
    started = time.monotonic()
    received = raw(
        service,
        "POST /v1/search HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
        "Expect: 100-continue\nConnection: close\nContent-Length: 99999999999999999999\n\n",
    )
    assert received.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started < 4


def test_a_body_that_does_not_come_is_not_waited_for_without_end(tmp_path: Path) -> None:
    import asyncio

    from starlette.requests import Request

    from dotbogi.search.service.errors import ServiceError
    from dotbogi.search.service.guard import Guard
    from dotbogi.search.service.keys import Keys
    from dotbogi.search.service.metrics import Metrics
    from dotbogi.search.service.page.sessions import Sessions
    from dotbogi.search.service.settings import Settings

    async def never() -> Any:
        await asyncio.sleep(60)

    async def read() -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"5")]
        scope = {"type": "http", "method": "POST", "path": "/v1/search", "headers": headers}
        guard = Guard(
            None,
            Settings(body_seconds=0.1),
            Sessions(Keys()),
            Metrics(),
            [],
            lambda: "",  # type: ignore[arg-type]
        )
        await guard._body(Request(scope), never)

    with pytest.raises(ServiceError, match="too long") as caught:
        asyncio.run(read())
    assert caught.value.status == 408


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read(service: Service, kind: str) -> None:
    """A form of a foreign page can be sent without asking; JSON cannot."""
    answered = service.call("POST", "/v1/search", b'{"query": "a"}', headers={"Content-Type": kind})
    assert answered.status == 415


def test_without_keys_only_localhost_is_answered(service: Service) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost.evil"):
        assert service.call("GET", "/openapi.json", headers={"Host": host}).status == 421, host
    for host in ("localhost", "127.0.0.1:1", "[::1]:80", "[::1]", "LOCALHOST:8000"):
        assert service.call("GET", "/openapi.json", headers={"Host": host}).status == 200, host


@pytest.mark.parametrize(
    "path",
    ["/v1/answers/%ff%fe", "/v1/answers/%00", "/v1/answers/" + "a" * 201, "/%2e%2e/%2e%2e/etc",
     "//", "/v1/answers/%ED%A0%80", "/v1/search/", "/v1/answers/a1%0d%0aX:%20y"],
)  # fmt: skip
def test_strange_paths_are_not_found(service: Service, path: str) -> None:
    answered = service.call("GET", path)
    assert answered.status in (404, 422)
    assert len(answered.body) < 4096
    assert "x" not in answered.headers


def test_long_headers_and_addresses_do_no_harm(service: Service) -> None:
    long, rest = "a" * 100_000, "Host: localhost\nConnection: close\n"
    for head in (f"GET /{long} HTTP/1.1\n{rest}\n", f"GET /x HTTP/1.1\n{rest}X: {long}\n\n"):
        received = raw(service, head)
        assert received.startswith(b"HTTP/1.1 4"), received[:80]
        assert len(received) < 4096
