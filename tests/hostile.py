"""What a hostile file does to a process: run in a child that may hang, crash or eat memory."""

import contextlib
import json
import os
import re
import resource
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import Result
from effort import SOAK, effort

SECRET = "a secret of somebody else"
SECONDS = 10  # of a processor; a busy machine takes longer for the same
_WAIT = 120.0  # seconds for a command that waits without computing
MEGABYTES = 300
_MOST_MEMORY = 4 << 30  # above what the process has: the machine is not to suffer


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int | None  # None: it was killed, by a signal, or because it took too long
    output: str
    traceback: str
    grown: int  # megabytes, at the peak
    seconds: float

    @property
    def line(self) -> str:
        """The last line of the output."""
        return (self.output.strip().splitlines() or [""])[-1]

    def faults(self, *codes: int) -> list[str]:
        """Return what is wrong if only these exit codes are right."""
        faults = []
        if self.code is None:
            faults.append(f"killed after {self.seconds:.1f} s")
        elif self.traceback:
            faults.append(f"traceback: {self.traceback}")
        elif self.code not in codes:
            faults.append(f"exit {self.code}: {self.line}")
        if self.grown > MEGABYTES:
            faults.append(f"{self.grown} MB more")
        return faults


def in_child(job: Callable[[], Result]) -> Outcome:
    """Run a command in a fork of this process, which has loaded all libraries already."""
    reader, writer = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            os.close(reader)
            os.write(writer, json.dumps(_measured(job)).encode())
        os._exit(0)
    os.close(writer)
    try:
        answer = _read(reader, started + _WAIT)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    seconds = time.monotonic() - started
    if not answer:
        return Outcome(None, "", "", 0, seconds)
    return Outcome(**json.loads(answer), seconds=seconds)


def _read(descriptor: int, until: float) -> bytes:
    answer = b""
    while (left := until - time.monotonic()) > 0 and select.select([descriptor], [], [], left)[0]:
        part = os.read(descriptor, 1 << 16)
        if not part:
            return answer
        answer += part
    return b""


def _measured(job: Callable[[], Result]) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in memory now
    before = _memory("VmRSS")
    limit = (_memory("VmSize") << 20) + _MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    result = job()
    raised = result.exception
    traceback = "" if raised is None or isinstance(raised, SystemExit) else repr(raised)[:500]
    if _wanted_too_much(raised):  # without the limit it would have had it
        traceback = f"memory was refused: {result.output[-500:]}"
    return {
        "code": result.exit_code,
        "output": result.output[-2000:],
        "traceback": traceback,
        "grown": _memory("VmHWM") - before,
    }


def _wanted_too_much(error: BaseException | None) -> bool:
    while error is not None:
        text = f"{type(error).__name__} {error}"
        if "MemoryError" in text or "bad_alloc" in text or "allocate memory" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


def check(outcome: Outcome, codes: tuple[int, ...], *, canary: Path, ran: Path) -> None:
    """Assert that a command ended with one of these codes, in one line, and touched nothing."""
    faults = outcome.faults(*codes)
    lines = [line for line in outcome.output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("note: ", "Loading weights: "))]
    if outcome.code and not faults and len(lines) != 1:
        faults = [f"{len(lines)} lines: {outcome.output}"]
    if not canary.exists() or canary.read_text() != SECRET:
        canary.write_text(SECRET)
        faults.append("the canary was touched")
    if ran.exists():
        ran.rmdir()
        faults.append("code was run")
    assert not faults, f"{faults}; {outcome.seconds:.1f} s, {outcome.grown} MB: {outcome.line}"


def load_torch(model: Path) -> None:
    """Load torch for the children of this process; it takes longer than a child may take."""
    if SOAK:
        from dotbogi.search.encoders.torch_encoder import load_sentence_transformer

        load_sentence_transformer(model).encode(["배고프다"])


class Canary:
    """Leaves a file where it is unpickled."""

    where = ""

    def __reduce__(self) -> Any:
        return os.mkdir, (self.where,)


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def some(names: Iterable[str], short: int) -> list[str]:
    """Return evenly spaced names; all of them in a soak."""
    every = list(names)
    step = max(1, len(every) // effort(short, len(every)))
    return every[::step]
