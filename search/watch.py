"""The thread that moves a searcher to the next generation."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from weakref import WeakMethod

EVERY = 1.0  # seconds between two looks at CURRENT
RETRY = 30.0  # before a generation that could not be opened is tried again

logger = logging.getLogger(__name__)


class Watcher:
    """Calls `reload` whenever CURRENT may name another generation, until stopped.

    It holds no searcher alive: a dropped one ends its thread.
    """

    def __init__(self, reload: Callable[[], bool], workspace: Path) -> None:
        self._reload = WeakMethod(reload)
        self._workspace = workspace
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Forget the thread, which is in the other process, and the locks that it may hold."""
        stopped = self._stopped.is_set()
        self._thread, self._stopped, self._lock = None, threading.Event(), threading.Lock()
        if stopped:
            self._stopped.set()

    def start(self) -> None:
        """Watch from now on, if it is not so already and `stop` was not called."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                thread = threading.Thread(
                    target=_watch,
                    args=(self._reload, self._workspace, self._stopped),
                    name="dotbogi-watch",
                    daemon=True,
                )
                thread.start()
                self._thread = thread

    def stop(self) -> None:
        """Stop watching; what is being opened is opened to the end."""
        with self._lock:
            self._stopped.set()
        if self._thread is not None:
            self._thread.join()


def _watch(
    method: WeakMethod[Callable[[], bool]], workspace: Path, stopped: threading.Event
) -> None:
    failed: bytes | None = None  # CURRENT, as it was when its generation could not be opened
    again = 0.0
    while not stopped.wait(EVERY):
        current = _read(workspace / "CURRENT")
        if current == failed and time.monotonic() < again:
            continue
        reload = method()
        if reload is None:
            return
        try:
            reload()
            failed = None
        except Exception as error:  # whatever it is, the open generation goes on answering
            if current != failed:
                logger.warning(
                    "%s: its new generation cannot be opened, the one before goes on: %s",
                    workspace,
                    " ".join(str(error).split()),
                )
            failed, again = current, time.monotonic() + RETRY
        del reload  # waiting with it would keep the searcher


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
