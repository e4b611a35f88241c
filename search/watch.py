"""The thread that moves a searcher to each new generation."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from weakref import WeakMethod

from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.files import open_regular

EVERY = 1.0  # seconds between two checks of CURRENT
RETRY = 30.0  # seconds until a generation that could not be opened is tried again

_MOST = 64  # bytes of CURRENT

logger = logging.getLogger(__name__)


class Watcher:
    """Calls `reload` once a second until stopped, and less often after a failure.

    It holds its searcher weakly: the thread ends once the searcher is dropped.
    """

    def __init__(self, reload: Callable[[], bool], workspace: Path) -> None:
        self._reload = WeakMethod(reload)
        self._workspace = workspace
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Forget the thread, which only the parent process has, and the locks it may hold."""
        stopped = self._stopped.is_set()
        self._thread, self._stopped, self._lock = None, threading.Event(), threading.Lock()
        if stopped:
            self._stopped.set()

    def start(self) -> None:
        """Start watching, unless it is watching already or `stop` was called."""
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
        """Stop watching; a reload in progress is finished first."""
        with self._lock:
            self._stopped.set()
        if self._thread is not None:
            self._thread.join()


def _watch(
    method: WeakMethod[Callable[[], bool]], workspace: Path, stopped: threading.Event
) -> None:
    failed: bytes | None = None  # contents of CURRENT when its generation could not be opened
    retry_at = 0.0
    while not stopped.wait(EVERY):
        current = _read(workspace / "CURRENT")
        if current == failed and time.monotonic() < retry_at:
            continue
        reload = method()
        if reload is None:
            return
        try:
            reload()
            failed = None
        except Exception as error:  # whatever it is, the open generation keeps answering
            if current != failed:
                logger.warning(
                    "%s: the new generation cannot be opened; the previous one keeps answering: %s",
                    workspace,
                    " ".join(str(error).split()),
                )
            failed, retry_at = current, time.monotonic() + RETRY
        del reload  # a reference would keep the searcher alive while waiting


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_MOST)
    except (OSError, DotbogiError):
        return b""
