"""A real `dotbogi serve` in a process of its own, on a free port, and a plain client for it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conftest import ANSWERS, QUESTIONS

from dotbogi.indexes import Workspace
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.store import Generation
from dotbogi.search.confidence import FEATURES, Calibration
from dotbogi.search.fitted import Fitted
from dotbogi.search.index import IndexConfig
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.search.publish import publish_index

ROOT = Path(__file__).parent.parent

# Made up, but a calibration like any other: sure of close answers, unsure of the rest.
CALIBRATION = Calibration(
    coefficients={name: 6.0 if name == "cosine" else 0.0 for name in FEATURES},
    intercept=-4.0,
    threshold=0.5,
    source="a test",
)


def publish(workspace: Path, *, edition: str = "", calibrated: bool = True) -> Generation:
    """Publish the eight answers, each with what tells this edition from others."""
    answers = [
        Answer(key, text + edition, {"topic": "shop" if key in ("a3", "a4") else "talk"})
        for key, text in ANSWERS.items()
    ]
    questions = [KnownQuestion(text, answer_id) for text, answer_id in QUESTIONS]
    place, model = Workspace(workspace), ModelConfig()
    with place.writing():
        return publish_index(
            place,
            Collection(answers, questions),
            lambda place: enter_model(model, place, []),
            IndexConfig(analyzer="bigram"),
            {"model": {"name": "starter"}, "source": {}, "training": None},
            fitted=Fitted(calibration=CALIBRATION) if calibrated else Fitted(),
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port
        return port

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Answered:
        """Send one request; bytes go as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if raw is not None else {}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, raw, {**sent, **(headers or {})})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, names, response.read())

    def stop(self) -> int:
        """Tell it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def serving(
    workspace: Path,
    *options: str,
    keys: Mapping[str, Any] | None = None,
    descriptors: int | None = None,
    settings: Mapping[str, Any] | None = None,
    prefix: tuple[str, ...] = (),
) -> Iterator[Service]:
    """Run `dotbogi serve` on a free port for as long as the block lasts.

    With `settings`, it takes those instead of options.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("DOTBOGI_KEYS", None)
    if keys:
        environment["DOTBOGI_KEYS"] = json.dumps(keys)
    command = [sys.executable, str(ROOT / "cli.py"), "serve", "--workspace", str(workspace)]
    command += ["--port", "0", "--json", *options]
    if settings is not None:
        program = ROOT / "tests" / "serve_with.py"
        command = [sys.executable, str(program), str(workspace), json.dumps(settings)]
    command = [*prefix, *command]
    if descriptors:
        command = ["prlimit", f"--nofile={descriptors}", *command]
    log = workspace.parent / "service.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, log.read_text(encoding="utf-8")
        yield Service(json.loads(line)["url"], process, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)
        process.stdout.close()
