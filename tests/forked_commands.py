"""The command line in processes that are forked from one that has imported everything.

So a command takes a fraction of a second, and hundreds of them can be killed, or meet a failing
call of the system. As a program, this is the process that forks; a test uses `ForkedCommands`.
"""

import contextlib
import ctypes
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
_MODULES = [
    "dotbogi.cli", "dotbogi.search.publish", "dotbogi.indexes.source", "dotbogi.search.continued",
    "dotbogi.search.encoders.graph", "onnx", "onnxruntime", "faiss", "pyarrow.parquet", "bm25s",
    "pandas", "scipy.optimize", "safetensors.numpy", "tokenizers", "torch",
    "dotbogi.training", "dotbogi.training.report",
]  # fmt: skip
_FULL_FITS = ["dotbogi.training.fit.full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the layer below libc does with a command's calls on the files of one folder."""

    folder: str
    kinds: int = 0  # bits: the kinds of calls that are counted, see failing_calls.c
    number: int = 0  # of the call that fails, from 1; 0: none
    error: int = 0  # what it fails with
    lasting: bool = False  # all later calls of these kinds fail too
    log: str | None = None  # file: what was done, in order
    with_data: bool = False  # the log has the bytes that were written
    begin: str | None = None  # watch from this function on, "module:name"; None: from the start


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    exit_code: int  # -9: killed
    output: str  # stdout and stderr
    calls: int  # that were counted
    hit: str  # the first call that failed, and its path
    seconds: float

    @property
    def last(self) -> str:
        return (self.output.splitlines() or [""])[-1]


class ForkedCommands:
    """Runs commands, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]", *, can_watch: bool) -> None:
        self._process, self._can_watch = process, can_watch

    def run(
        self,
        *arguments: object,
        kill_at: str | None = None,
        kill_after: float | None = None,
        watch: Watch | None = None,
    ) -> Ran:
        """Run a command.

        Args:
            arguments: of the command line.
            kill_at: end it as SIGKILL does: before or after a function, "before module:name#2" for
                its second call.
            kill_after: seconds after which it is killed, unless it has ended.
            watch: count, fail or log its calls; without a C compiler, the test is skipped.
        """
        if watch and not self._can_watch:
            pytest.skip("needs Linux and a C compiler (cc), to fail calls of libraries too")
        job = {"arguments": [str(each) for each in arguments], "kill_at": kill_at,
               "kill_after": kill_after, "watch": asdict(watch) if watch else None}  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Ran(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def forked_commands(starter: Path, *, full_fits: bool = False) -> Iterator[ForkedCommands]:
    """Start the process that forks.

    Args:
        starter: stands for the bundled model.
        full_fits: import what full fits need too, which takes seconds.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryDirectory() as place:
        if library := _compiled(Path(place)):
            environment["LD_PRELOAD"] = str(library)
        modules = [*_MODULES, *(_FULL_FITS if full_fits else ())]
        command = [sys.executable, str(Path(__file__)), str(starter), *modules]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield ForkedCommands(process, can_watch=library is not None)
        finally:
            process.communicate()


def _compiled(folder: Path) -> Path | None:
    compiler, library = shutil.which("cc"), folder / "failing_calls.so"
    if compiler is None or sys.platform != "linux":
        return None
    source = TESTS / "failing_calls.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class _Report(ctypes.Structure):
    _fields_ = (("calls", ctypes.c_long), ("hits", ctypes.c_long), ("hit", ctypes.c_char * 4160))


def _report() -> _Report | None:
    """Return what the layer below libc has counted; None if it was not loaded."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "calls_report"):
        return None
    library.calls_report.restype = ctypes.POINTER(_Report)
    return library.calls_report().contents  # type: ignore[no-any-return]


def _hook(where: str, act: Callable[[], None], *, after: bool, number: int = 1) -> None:
    """Do something before or after the n-th call of a function."""
    module, _, path = where.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    stored = vars(owner)[name]
    bound = stored.__func__ if isinstance(stored, classmethod | staticmethod) else stored
    calls = 0

    def hooked(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            act()
        result = bound(*arguments, **named)
        if calls == number and after:
            act()
        return result

    setattr(owner, name, type(stored)(hooked) if bound is not stored else hooked)


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _start_watching(watch: Mapping[str, Any]) -> None:
    log = -1
    if watch["log"]:
        log = os.open(watch["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    ctypes.CDLL(None).calls_watch(
        os.path.realpath(watch["folder"]).encode(), watch["kinds"], ctypes.c_long(watch["number"]),
        watch["error"], watch["lasting"], log, watch["with_data"],
    )  # fmt: skip


def _command(job: Mapping[str, Any], output: int) -> None:
    """Run one command in a child, with its output in a file; never returns."""
    from dotbogi.cli import main

    os.dup2(output, 1)
    os.dup2(output, 2)
    if job["kill_at"]:
        when, where = job["kill_at"].split()
        where, _, number = where.partition("#")
        _hook(where, _kill_self, after=when == "after", number=int(number or 1))
    if watch := job["watch"]:
        if watch["begin"]:
            _hook(watch["begin"], lambda: _start_watching(watch), after=False)
        else:
            _start_watching(watch)
    code = 70
    try:
        main(job["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _forked(job: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        child = os.fork()
        if not child:
            _command(job, output.fileno())
        if job["kill_after"] is not None:
            time.sleep(job["kill_after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        seconds = time.monotonic() - began
        output.seek(0)
        report = _report() if job["watch"] else None
        return {
            "exit_code": os.waitstatus_to_exitcode(status),
            "output": output.read().decode(errors="replace"),
            "calls": report.calls if report else 0,
            "hit": report.hit.decode() if report and report.hits else "",
            "seconds": seconds,
        }


def _serve(starter: str, modules: list[str]) -> None:
    import dotbogi.search.models

    dotbogi.search.models.STARTER_FOLDER = Path(starter)
    for module in modules:
        importlib.import_module(module)
    for line in sys.stdin:
        sys.__stdout__.write(json.dumps(_forked(json.loads(line))) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
