"""Serving from shards on Ray Serve: each shard is a deployment, and this process is the front.

The front has the texts, the encoder and the fusion. It asks every shard for its best answers by
signal, and merges them. Each request names its generation, so an answer never mixes two.
"""

import hashlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.schema import LoggingConfig

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.metadata import Allowed
from dotbogi.indexes.views import Best
from dotbogi.search.cluster.crew import connect, first_line
from dotbogi.search.cluster.shards import OpenShard, Shard, cut, merge
from dotbogi.search.index import SearchIndex

_KEPT = 2  # generations: requests for the one before may be on their way
_TRIES = 3  # of a request; each goes to some replica
_LONGEST = 10.0  # seconds of a try; then the caller is refused
_OPENED = 600.0  # seconds in which all replicas of a shard have to open it
_LOST = (RayError, RayServeException, TimeoutError)  # a replica or its machine, or all of them

logger = logging.getLogger(__name__)


class ShardServer:
    """A replica of a shard; runs in an actor of Ray Serve."""

    def __init__(self) -> None:
        self._open: dict[str, OpenShard] = {}
        self._opening = threading.Lock()

    def open(self, generation: str, copy: list[Any]) -> None:
        """Open the shard of a generation beside the newest one, and drop those before.

        Args:
            generation: a name for it.
            copy: the reference of its `Shard` in Ray's object store.
        """
        self._opened(generation, copy)

    def best(
        self,
        generation: str,
        copy: list[Any],
        tokens: Sequence[Sequence[str]],
        vectors: Vectors,
        n: int,
        allowed: Allowed | None,
    ) -> dict[str, list[Best]]:
        """Return the best answers of the shard in a generation; see `OpenShard.best`."""
        return self._opened(generation, copy).best(tokens, vectors, n, allowed)

    def _opened(self, generation: str, copy: list[Any]) -> OpenShard:
        """Return the shard; a replica that has started since opens it at its first request."""
        shard = self._open.get(generation)
        if shard is not None:
            return shard
        with self._opening:
            if generation not in self._open:
                stored: Shard = ray.get(copy[0])
                newest = list(self._open.items())[1 - _KEPT :]
                self._open = {**dict(newest), generation: stored.open()}
            return self._open[generation]


class _Asked:
    """The shards of one generation: searched in place of an index's views."""

    def __init__(self, generation: str, handles: Sequence[Any], shards: Sequence[Shard]) -> None:
        self._generation, self._handles = generation, handles
        self._positions = [shard.positions for shard in shards]
        self._copies = [[ray.put(shard)] for shard in shards]

    def open(self) -> None:
        """Wait until every replica of every shard has this generation open."""
        waiting = [
            handle.broadcast("open", self._generation, copy)
            for handle, copy in zip(self._handles, self._copies, strict=True)
        ]
        for opened in waiting:
            # A replica that is lost meanwhile is replaced by one that opens it when it is asked.
            results = opened.results(timeout_s=_OPENED, return_exceptions=True)
            if all(isinstance(result, Exception) for result in results):
                raise DotbogiError(f"no replica of a shard opens the generation ({results[0]}).")

    def __call__(
        self,
        tokens: Sequence[Sequence[str]],
        vectors: Vectors,
        n: int,
        allowed: Allowed | None,
    ) -> Mapping[str, list[Best]]:
        """Return the best answers of the whole index; see `best_answers`.

        Raises:
            DotbogiError: a shard does not answer.
        """

        def ask(number: int) -> Any:
            inside = self._positions[number]
            flags = None if allowed is None else allowed[inside.start : inside.stop]
            return self._handles[number].best.remote(
                self._generation, self._copies[number], tokens, vectors, n, flags
            )

        asked = [ask(number) for number in range(len(self._handles))]
        parts = [_answer(first, number, ask) for number, first in enumerate(asked)]
        return merge(parts, n)


def _answer(asked: Any, number: int, ask: Callable[[int], Any]) -> dict[str, list[Best]]:
    """Return what a shard answers; a lost replica's request goes to another one."""
    for left in reversed(range(_TRIES)):
        try:
            found: dict[str, list[Best]] = asked.result(timeout_s=_LONGEST)
            return found
        except _LOST as error:
            logger.warning("shard %d: a request failed (%s)", number, first_line(error))
            if left and not isinstance(error, TimeoutError):
                asked = ask(number)
                continue
            raise DotbogiError(f"shard {number} does not answer.") from error
    raise AssertionError("unreachable")


class ShardCluster:
    """The shards of one workspace on a Ray cluster."""

    def __init__(self, workspace: Path, shards: int, replicas: int) -> None:
        """Start the shards; they hold nothing yet.

        Args:
            workspace: names the shards, so that a front that starts again finds its own.
            shards: number of parts.
            replicas: of each shard.

        Raises:
            DotbogiError: the cluster cannot be used.
        """
        os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
        connect()
        serve.start(proxy_location="Disabled", logging_config=LoggingConfig(log_level="ERROR"))
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        place = hashlib.blake2b(str(workspace.absolute()).encode(), digest_size=6).hexdigest()
        self._name = f"dotbogi-{place}"
        self._count = shards
        self._remove(shards)
        # Half of the cluster has room for all, so that the other half may be lost.
        cpus = ray.cluster_resources().get("CPU", 1) / (2 * shards * replicas)
        machines = sum(node["Alive"] for node in ray.nodes())
        server = serve.deployment(ShardServer).options(
            num_replicas=replicas,
            max_replicas_per_node=-(-replicas // machines),
            ray_actor_options={"num_cpus": min(1.0, int(cpus * 1000) / 1000)},
        )
        targets = [
            serve.RunTarget(server.bind(), name=self._app(number), route_prefix=None)
            for number in range(shards)
        ]
        self._handles = serve.run_many(targets)

    def _app(self, number: int) -> str:
        return f"{self._name}-{number}"

    def _remove(self, first: int) -> None:
        """Remove the shards from a number on."""
        for name in serve.status().applications:
            start, _, number = name.rpartition("-")
            if start == self._name and int(number) >= first:
                serve.delete(name, _blocking=False)

    def move(self, index: SearchIndex, generation: str) -> SearchIndex:
        """Return an index that is searched on the shards, once all of them have it open.

        Args:
            index: the generation, opened here.
            generation: its name.
        """
        name = f"{generation} {uuid.uuid4().hex}"  # one that was removed may have had this number
        asked = _Asked(name, self._handles, cut(index, self._count))
        asked.open()
        views = {n: replace(view, bm25=None, dense=None) for n, view in index.views.items()}
        return replace(index, views=views, shards=asked)

    def close(self) -> None:
        """Remove the shards."""
        self._remove(0)
