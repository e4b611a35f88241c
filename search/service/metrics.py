"""What /metrics shows, in Prometheus' text format."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from dotbogi.indexes.hits import Hit

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "dotbogi_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "dotbogi_request_seconds", "Seconds from a request's first byte to its reply's last.",
            ["route"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._stages = Histogram(
            "dotbogi_stage_seconds",
            "Seconds in: wait (for a thread), search, explain, encode, rerank, write, feedback.",
            ["stage"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._confidence = Histogram(
            "dotbogi_confidence", "P(the first answer is right), for queries with hits.",
            buckets=[i / 10 for i in range(1, 11)], registry=registry,
        )  # fmt: skip
        self._unanswered = Counter(
            "dotbogi_unanswered_queries", "Queries without a hit.", registry=registry
        )
        self._running = Gauge(
            "dotbogi_queue_running", "Jobs on a thread.", ["queue"], registry=registry
        )
        self._waiting = Gauge(
            "dotbogi_queue_waiting", "Jobs waiting for a thread.", ["queue"], registry=registry
        )
        self._generation = Info("dotbogi_generation", "The current generation.", registry=registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request by the route that answered it."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stage(self, name: str) -> AbstractContextManager[object]:
        """Measure the time spent in this context as a stage."""
        return self._stages.labels(name).time()

    def waited(self, seconds: float) -> None:
        """Record how long a job has waited for a thread."""
        self._stages.labels("wait").observe(seconds)

    def queue(self, name: str, running: int, waiting: int) -> None:
        """Set how many jobs of a queue are running and waiting."""
        self._running.labels(name).set(running)
        self._waiting.labels(name).set(waiting)

    def results(self, results: Sequence[Sequence[Hit]]) -> None:
        """Record the confidence of the first hits, and count the queries without hits."""
        for hits in results:
            if not hits:
                self._unanswered.inc()
            elif hits[0].confidence is not None:
                self._confidence.observe(hits[0].confidence)

    def text(self, generation: str) -> bytes:
        """Return all metrics in text format."""
        self._generation.info({"name": generation})
        return generate_latest(self._registry)
