"""The threads that run searches, and their queue."""

import asyncio
import heapq
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dotbogi.search.service.errors import ServiceError
from dotbogi.search.service.metrics import Metrics
from dotbogi.search.service.settings import Settings

_MOST_SECONDS = 30  # that a caller is told to wait
_MOST_EXPECTED = 10_000  # callers; bounds the memory

T = TypeVar("T")


class Work:
    """A bounded thread pool with a bounded queue; jobs beyond it are told when to try again.

    A job that has begun is finished: a thread cannot be stopped. One that waits does not wait
    longer than the limit, whatever those before it do.
    """

    def __init__(self, name: str, threads: int, settings: Settings, metrics: Metrics) -> None:
        self._threads, self._most = threads, threads + settings.max_waiting
        self._longest = settings.max_wait
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._name, self._metrics = name, metrics
        self._lock = threading.Lock()
        self._pending = 0  # running and waiting
        self._seconds = 0.05  # per job, a moving mean
        self._expected: list[float] = []  # when refused callers come again; a heap

    @property
    def full(self) -> bool:
        """Whether a job would be refused now."""
        return self._pending >= self._most

    async def run(self, job: Callable[[], T]) -> T:
        """Return what the job returns.

        Raises:
            ServiceError: the queue is full (429), or the job has waited too long (503); both have
                Retry-After.
        """
        with self._lock:
            if self.full:
                raise self._refusal()
            self._pending += 1
            self._show()
        future = self._pool.submit(self._timed, job, time.perf_counter())
        future.add_done_callback(lambda _: self._done())  # also for a cancelled one
        result = asyncio.wrap_future(future)
        done, _ = await asyncio.wait({result}, timeout=self._longest)
        if not done and future.cancel():  # which fails if it has begun
            raise _late()
        return await result

    def _refusal(self) -> ServiceError:
        """Tell a caller to come when those who are here or were told to come are done.

        Otherwise a crowd comes back every second, and refusing it takes the time for searches. Who
        ignores it and asks on counts each time, but the wait is no longer than 30 seconds.
        """
        now = time.monotonic()
        while self._expected and self._expected[0] <= now:
            heapq.heappop(self._expected)
        before = self._pending + len(self._expected)
        seconds = min(math.ceil(before * self._seconds / self._threads), _MOST_SECONDS)
        if len(self._expected) < _MOST_EXPECTED:
            heapq.heappush(self._expected, now + seconds)
        return busy(seconds)

    def _timed(self, job: Callable[[], T], submitted: float) -> T:
        started = time.perf_counter()
        self._metrics.waited(started - submitted)
        try:
            return job()
        finally:
            self._seconds += (time.perf_counter() - started - self._seconds) / 20

    def _done(self) -> None:
        with self._lock:
            self._pending -= 1
            self._show()

    def _show(self) -> None:
        running = min(self._pending, self._threads)
        self._metrics.queue(self._name, running, self._pending - running)

    def close(self) -> None:
        """Wait for running jobs, drop waiting ones, and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _late() -> ServiceError:
    return ServiceError(
        503, "waited_too_long", "Other requests keep the service busy; try again later.",
        {"Retry-After": "5"},
    )  # fmt: skip


def busy(seconds: int) -> ServiceError:
    """Return a 429 whose Retry-After is this number of seconds, limited to 1 to 30."""
    after = str(min(max(seconds, 1), _MOST_SECONDS))
    return ServiceError(
        429, "busy", "Too many requests at once; see the header Retry-After.",
        {"Retry-After": after},
    )  # fmt: skip
