"""The wheel in a clean environment, as a backend's developer and the container have it."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_MEBIBYTES = 900
ENVIRONMENTS_OWN = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}  # of every venv
NOBODY = 65534
KEY = "k" * 40
# Not root: it may write nothing of others', and yet read an interpreter below /root.
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Installed:
    """An environment with dotbogi[serve] and nothing else, and a folder beside it."""

    python: Path
    new: set[str]  # what dotbogi alone has put into site-packages
    folder: Path  # of a caller with modules of the same names as our rooms

    @property
    def command(self) -> str:
        return str(self.python.parent / "dotbogi")

    def run(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, cwd=self.folder, env=environment, capture_output=True, text=True, **options
        )


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    place = Path(tempfile.mkdtemp(prefix="dotbogi-package-"))  # pytest's own is closed to others
    place.chmod(0o755)
    source = place / "source"
    shutil.copytree(
        ROOT, source,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", "build", "dist", "*.egg-info", "tests", "benchmarks", "*workspace",
            "__pycache__", ".*_cache",
        ),
    )  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", str(place / "environment")], check=True)
    python = place / "environment" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(place), str(source)], check=True)
    (wheel,) = place.glob("dotbogi-*.whl")
    site = next((place / "environment").glob("lib/python*/site-packages"))
    subprocess.run(
        [*pip, "install", "-c", str(ROOT / "constraints.txt"), f"{wheel}[serve]"], check=True
    )
    subprocess.run([*pip, "uninstall", "-y", "dotbogi"], check=True)
    before = {path.name for path in site.iterdir()}
    subprocess.run([*pip, "install", "--no-deps", str(wheel)], check=True)
    folder = place / "caller"
    folder.mkdir()
    folder.chmod(0o777)
    for name in ("search", "cli", "training", "indexes"):
        (folder / f"{name}.py").write_text(f"raise RuntimeError('the caller has a {name}')\n")
    yield Installed(python, {path.name for path in site.iterdir()} - before, folder)
    shutil.rmtree(place)


def test_one_name_comes_into_site_packages(installed: Installed) -> None:
    assert {name for name in installed.new if not name.endswith(".dist-info")} == {"dotbogi"}


def test_a_callers_modules_of_the_same_names_are_in_nobodys_way(installed: Installed) -> None:
    assert installed.run(installed.command, "--version").stdout.startswith("dotbogi")
    indexed = installed.run(installed.command, "index", "-w", "w")
    assert indexed.returncode == 0, indexed.stderr
    found = installed.run(installed.command, "query", "배가 고파요", "-k", "1", "-w", "w")
    assert found.stdout.startswith("1. "), found.stderr
    code = (
        "from dotbogi import Searcher\nprint(Searcher.open('w').search('배가 고파요', k=1)[0].text)"
    )
    (installed.folder / "main.py").write_text(code, encoding="utf-8")
    said = installed.run(str(installed.python), "main.py")
    assert said.stdout.strip() == found.stdout.splitlines()[0].removeprefix("1. "), said.stderr


def test_serving_needs_no_torch_and_little_disk(installed: Installed) -> None:
    site = next((installed.python.parent.parent / "lib").glob("python*/site-packages"))
    names = {path.name for path in site.iterdir()}
    brought = [site / name for name in names if name.partition("-")[0] not in ENVIRONMENTS_OWN]
    files = (path for top in brought for path in [top, *top.rglob("*")] if path.is_file())
    size = sum(path.stat().st_size for path in files)
    assert size < MOST_MEBIBYTES * 2**20, f"{size / 2**20:.0f} MiB"
    assert not names & {"torch", "transformers", "sentence_transformers", "nvidia"}


def test_training_without_its_extra_names_it_in_one_line(installed: Installed) -> None:
    refused = installed.run(installed.command, "train", "-w", "untrained")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert 'pip install "dotbogi[train]"' in refused.stderr
    assert not (installed.folder / "untrained").exists()


# --- the container, which cannot be built here: its commands, in this environment ---


def instructions() -> dict[str, list[str]]:
    """Return the Dockerfile's instructions, each with its arguments."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, arguments = line.partition(" ")
            found.setdefault(name, []).append(arguments.strip())
    return found


def test_the_image_is_slim_runs_as_nobody_and_has_what_this_environment_has() -> None:
    found = instructions()
    assert found["FROM"] == ["python:3.11-slim"]
    assert '"/src[serve]"' in found["RUN"][1]  # what `installed` is made of
    assert "-c /src/constraints.txt" in found["RUN"][1]
    (user,) = found["USER"]
    assert f"--create-home {user}" in found["RUN"][0]
    assert f"chown {user} /workspace" in found["RUN"][0]
    assert found["VOLUME"] == ["/workspace"]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "tests"} <= set(ignored)


class Container:
    """The Dockerfile's CMD in its ENV, as a user without rights, on a free port."""

    def __init__(self, installed: Installed, workspace: Path) -> None:
        found = instructions()
        self.workspace = workspace
        self.environment = dict(pair.split("=") for pair in shlex.split(found["ENV"][0]))
        self.environment |= {
            "DOTBOGI_WORKSPACE": str(workspace),
            "DOTBOGI_KEYS": json.dumps({"shop": {"role": "read", "key": KEY}}),
            "PATH": f"{installed.python.parent}:/usr/bin:/bin",
            "HOME": str(workspace),
        }
        command = ["0" if part == "8000" else part for part in json.loads(found["CMD"][0])]
        self.command = [installed.command, *command[1:], "--json"]
        self.check = json.loads(found["HEALTHCHECK"][0].partition("CMD ")[2])
        self.check[0] = str(installed.python)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Give its address; it has to end well."""
        process = subprocess.Popen(
            [*AS_NOBODY, *self.command], cwd=self.workspace, env=self.environment,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            process.stdout.close()

    def is_healthy(self, url: str) -> bool:
        check = [part.replace("http://127.0.0.1:8000", url) for part in self.check]
        return subprocess.run(check, env=self.environment, capture_output=True).returncode == 0

    def run(self, *command: str) -> None:
        subprocess.run(
            [*AS_NOBODY, *command], cwd=self.workspace, env=self.environment, check=True,
            capture_output=True,
        )  # fmt: skip


def answer(url: str, body: object = None) -> tuple[int, bytes]:
    """Return the status and the body of a GET, or of a POST with a key."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    try:
        request = urllib.request.Request(url, data, headers if data else {})
        with urllib.request.urlopen(request, timeout=30) as answered:
            return answered.status, answered.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="root and setpriv are needed"
)
def test_what_the_container_runs_starts_empty_becomes_ready_answers_and_restarts(
    installed: Installed,
) -> None:
    workspace = installed.folder.parent / "volume"
    workspace.mkdir()
    os.chown(workspace, NOBODY, NOBODY)
    container = Container(installed, workspace)
    query = {"query": "배가 고파요", "k": 1}
    with container.running() as url:
        assert container.is_healthy(url)
        assert answer(f"{url}/healthz")[0] == 200
        status, body = answer(f"{url}/readyz")
        assert (status, json.loads(body)["error"]["code"]) == (503, "nothing_indexed")
        assert answer(f"{url}/v1/search", query)[0] == 503
        container.run(installed.command, "index")
        until = time.monotonic() + 120
        while answer(f"{url}/readyz")[0] != 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        first = answer(f"{url}/v1/search", query)
        assert first[0] == 200
    assert not container.is_healthy(url)
    with container.running() as url:
        assert answer(f"{url}/readyz")[0] == 200
        assert answer(f"{url}/v1/search", query) == first
