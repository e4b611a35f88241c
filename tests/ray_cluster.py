"""Two raylets on loopback addresses, as two machines are: with a token, and without a dashboard."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HEAD, OTHER = "127.0.0.2", "127.0.0.3"  # Ray takes 127.0.0.1 for the address of the network card
STORE = "200000000"
OPTIONS = ("--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={STORE}")


class RayCluster:
    def __init__(self, cpus: int = 1) -> None:
        # Short: the paths of Unix sockets are bounded.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.cpus = cpus
        with socket.create_server((HEAD, 0)) as free:
            self.address = f"{HEAD}:{free.getsockname()[1]}"
        self.environment = {
            **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": self.address, "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        port = self.address.rpartition(":")[2]
        self.head = self._start(
            "--head", f"--node-ip-address={HEAD}", f"--port={port}", "--include-dashboard=false",
            f"--temp-dir={self.folder}",
        )  # fmt: skip
        self.other = self.start_other()

    def start_other(self) -> subprocess.Popen[bytes]:
        self.other = self._start(f"--address={self.address}", f"--node-ip-address={OTHER}")
        return self.other

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a node, and wait until it says that it runs."""
        log = self.folder / f"{time.monotonic_ns()}.log"
        environment = {k: v for k, v in self.environment.items() if k != "RAY_ADDRESS"}
        with log.open("wb") as file:
            started = subprocess.Popen(
                [Path(sys.executable).parent / "ray", "start", "--block", f"--num-cpus={self.cpus}",
                 *OPTIONS, *options],
                env=environment, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        for _ in range(3000):
            if b"Ray runtime started" in log.read_bytes():
                return started
            if started.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(log.read_text())

    def kill_other(self) -> None:
        """End the other machine at once: its raylet, its workers and all else."""
        _kill(self.other)

    def close(self) -> None:
        for node in (self.other, self.head):
            _kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    family = [process.pid, *descendants(process.pid)]
    for pid in reversed(family):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that they have."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found = {pid}
    for child, parent in sorted(pairs) * 3:  # process numbers may start again
        if parent in found and child not in found:
            found.add(child)
            yield child
