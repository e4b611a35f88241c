import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from service_process import ROOT, Service, publish, serving

from dotbogi.cli import main
from dotbogi.indexes.errors import UsageError
from dotbogi.search.service.keys import Role, read_keys

KEYS = {role: f"the-{role}-key-of-the-test-{'x' * 20}" for role in ("read", "feedback", "admin")}
WRONG = "a-wrong-key-that-nobody-has-given"
BODIES: dict[str, Any] = {
    "/v1/search": {"query": "배고프다"},
    "/v1/embeddings": {"input": "배고프다"},
    "/v1/rerank": {"query": "배고프다", "documents": ["밥"]},
    "/v1/feedback": {
        "id": "1", "client": "c", "query": "배고프다", "shown": [], "answer_id": "a1",
        "verdict": "right", "generation": "000001",
    },
}  # fmt: skip
NEEDED = {  # every route of the OpenAPI document, and the lowest role that may call it
    "/v1/search": "read",
    "/v1/embeddings": "read",
    "/v1/rerank": "read",
    "/v1/answers/{answer_id}": "read",
    "/v1/feedback": "feedback",
    "/admin/reload": "admin",
    "/healthz": None,
    "/readyz": None,
    "/metrics": "read",
    "/openapi.json": "read",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    workspace = tmp_path_factory.mktemp("keys") / "w"
    publish(workspace)
    keys: dict[str, Any] = {f"a-{role}": {"role": role, "key": key} for role, key in KEYS.items()}
    digest = hashlib.sha256(KEYS["read"].encode() + b"2").hexdigest()
    keys["by-digest"] = {"role": "read", "sha256": digest}
    with serving(workspace, keys=keys) as running:
        yield running


def test_every_route_asks_for_the_role_it_needs(service: Service) -> None:
    """401 without a key or with a wrong one, 403 with a lower role, and else an answer."""
    document = service.call("GET", "/openapi.json", key=KEYS["read"]).json
    assert set(document["paths"]) == set(NEEDED)
    order = list(KEYS)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = NEEDED[path]
            call = path.replace("{answer_id}", "a1")

            def status(key: str | None, method: str = method, call: str = call) -> int:
                return service.call(method.upper(), call, BODIES.get(call), key=key).status

            if needed is None:
                assert status(None) == status(WRONG) == 200
                assert operation["security"] == []
                continue
            assert operation["security"] == [{"key": []}], path
            assert status(None) == 401, path
            assert status(WRONG) == 401, path
            assert status("") == 401, path
            assert status(KEYS["read"][:-1]) == 401, path
            for role in order:
                expected = (403,) if order.index(role) < order.index(needed) else (200, 201)
                assert status(KEYS[role]) in expected, (path, role)


def test_what_is_not_there_needs_a_key_too(service: Service) -> None:
    for path in (
        "/docs/",
        "/admin",
        "/v1",
        "/healthz/",
        "/openapi.json/",
        "//healthz",
        "//",
        "/page",
        "/page/x",
        "/rounds/x",
    ):
        assert service.call("GET", path).status == 401, path
        assert service.call("GET", path, key=KEYS["admin"]).status == 404, path
    assert service.call("PUT", "/v1/search").status == 401
    assert service.call("PUT", "/v1/search", key=KEYS["read"]).status == 405


def test_who_has_no_key_cannot_make_the_service_read_a_body(service: Service) -> None:
    for body in (b"not json", b"x" * 2_000_000):
        assert service.call("POST", "/v1/search", body).status == 401


def test_strangers_cannot_take_the_room_of_those_with_a_key(service: Service) -> None:
    """Callers without a key who send slowly, or what is refused, are few at a time."""
    held = []
    for number in range(300):
        connection = socket.create_connection(("127.0.0.1", service.port))
        path, kind = (
            ("/page/enter", "application/x-www-form-urlencoded")
            if number % 2
            else ("/v1/search", "application/json")
        )
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000"
        connection.sendall(f"{head}\r\n\r\nkey=".encode())
        held.append(connection)
    try:
        for _ in range(5):
            assert service.call("GET", "/openapi.json", key=KEYS["read"]).status == 200
            assert service.call("GET", "/healthz").status == 200
    finally:
        for connection in held:
            connection.close()
    large = b"key=" + b"x" * 40_000
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    until = time.monotonic() + 20
    while (found := service.call("POST", "/page/enter", large, headers=kind).status) == 429:
        assert time.monotonic() < until  # those before are still being let go
        time.sleep(0.2)
    assert found == 413


def test_a_key_is_taken_as_a_bearer_alone(service: Service) -> None:
    key = KEYS["read"]
    for headers in ({"Authorization": key}, {"Authorization": f"Basic {key}"}, {"X-API-Key": key}):
        refused = service.call("GET", "/openapi.json", headers=headers)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    assert service.call("GET", f"/openapi.json?key={key}").status == 401
    lower = {"Authorization": f"bearer {key}"}
    assert service.call("GET", "/openapi.json", headers=lower).status == 200
    by_digest = KEYS["read"] + "2"
    assert service.call("GET", "/openapi.json", key=by_digest).status == 200


def test_keys_are_in_no_log(tmp_path: Path) -> None:
    """Not those of the file, nor wrong ones, nor one that somebody puts into an address."""
    publish(tmp_path / "w")
    with serving(tmp_path / "w", keys={"shop": {"role": "read", "key": KEYS["read"]}}) as service:
        for key in (KEYS["read"], WRONG):
            service.call("GET", "/openapi.json", key=key)
            service.call("POST", "/v1/search", BODIES["/v1/search"], key=key)
            service.call("POST", "/v1/search", {"query": key, "key": key}, key=key)
            service.call("GET", f"/v1/answers/{key}?key={key}", key=key)
            service.call("GET", f"/{key}", key=key)
            service.call("POST", "/v1/search", b"{", key=key)
        assert service.stop() == 0
    log = service.log.read_text(encoding="utf-8")
    assert "POST /v1/search 200" in log
    assert "key=shop" in log
    for key in (KEYS["read"], WRONG):
        assert key not in log
        assert hashlib.sha256(key.encode()).hexdigest() not in log


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_a_key_only_this_machine_is_listened_to(tmp_path: Path, host: str) -> None:
    command = [sys.executable, "cli.py", "serve", "-w", str(tmp_path / "w"), "--host", host]
    environment = {name: value for name, value in os.environ.items() if name != "DOTBOGI_KEYS"}
    result = subprocess.run(
        [*command, "--port", "0"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "no keys are set" in result.stderr
    assert result.stdout == ""


def test_with_a_key_file_others_are_listened_to(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"shop": {"role": "read", "key": KEYS["read"]}}), encoding="utf-8")
    with serving(tmp_path / "w", "--host", "0.0.0.0", "--keys", str(file)) as service:
        headers = {"Host": "search.example"}
        assert service.call("GET", "/openapi.json", headers=headers).status == 401
        assert service.call("GET", "/openapi.json", key=KEYS["read"], headers=headers).status == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no keys"),
        ("{}", "no keys"),
        ("[1]", "no keys"),
        ("[" * 100_000, "no keys"),
        ('{"a": 1}', "entry 1: expected"),
        ('{"a": {"role": "read"}}', "entry 1: expected"),
        ('{"a": {"role": "read", "key": "SECRETSECRETSECRET", "x": 1}}', "entry 1: expected"),
        ('{"a": {"role": "root", "key": "SECRETSECRETSECRET"}}', "unknown role"),
        ('{"a": {"role": ["read"], "key": "SECRETSECRETSECRET"}}', "unknown role"),
        ('{"a": {"role": "read", "key": "SECRET"}}', "16 to 512"),
        ('{"a": {"role": "read", "key": "SECRET SECRET SECRET"}}', "16 to 512"),
        ('{"a": {"role": "read", "key": "SECRET비밀비밀비밀비밀비밀비밀"}}', "16 to 512"),
        ('{"a": {"role": "read", "key": 1234567890123456}}', "16 to 512"),
        ('{"a": {"role": "read", "sha256": "SECRET"}}', "64 hexadecimal"),
        ('{"a b": {"role": "read", "key": "SECRETSECRETSECRET"}}', "entry 1: its name"),
        (
            '{"a": {"role": "read", "key": "SECRETSECRETSECRET"}, '
            '"b": {"role": "admin", "key": "SECRETSECRETSECRET"}}',
            "the same key",
        ),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused_without_quoting_it(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(expected)) as caught:
        read_keys(file)
    assert "SECRET" not in str(caught.value)


def test_a_key_is_found_by_its_digest_and_each_role_includes_the_lower() -> None:
    keys = read_keys(None, json.dumps({"a": {"role": "feedback", "key": KEYS["feedback"]}}))
    found = keys.find(KEYS["feedback"])
    assert found
    assert (found.name, found.role) == ("a", Role.FEEDBACK)
    assert Role.READ < Role.FEEDBACK < Role.ADMIN
    assert keys.find(KEYS["feedback"] + " ") is None
    assert keys.find("\ud800") is None
    assert KEYS["feedback"] not in repr(keys)
    assert not read_keys(None, None)


def test_a_port_that_is_taken_is_told_in_one_line(service: Service, tmp_path: Path) -> None:
    publish(tmp_path / "w")
    arguments = ["serve", "-w", str(tmp_path / "w"), "--port", str(service.port)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert re.search(rf"listen.* 127\.0\.0\.1:{service.port}", result.output)
    assert len(result.output.splitlines()) == 1


def test_serve_without_an_index_says_what_to_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "-w", str(tmp_path / "nothing")])
    assert result.exit_code == 2
    assert "dotbogi index" in result.output
