"""A crew of Ray actors, one for each CPU of the cluster, which work off blocks."""

import logging
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RaySystemError, RayTaskError

from dotbogi.indexes.errors import DotbogiError
from dotbogi.search.cluster.blocks import Block, BlockFolder, pack

_MOST_TRIES = 3  # of one block, each of which ended with the loss of its worker

logger = logging.getLogger(__name__)

Work = Callable[[Any], list[str]]


class Recipe(Protocol):
    """What the workers of a crew do. Ray copies it to them, so they need no common disk."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that determines a value, besides the key of its item."""

    def open(self) -> Work:
        """Return the function that does the work of a block: one value for each key."""


def connect() -> None:
    """Connect to the cluster of RAY_ADDRESS or of `ray start`, or start one on this machine.

    Token authentication is on unless RAY_AUTH_MODE says otherwise: whoever can connect to a
    cluster runs code on it. Usage reports to Ray's makers are off unless asked for.

    Raises:
        DotbogiError: the cluster cannot be reached, or refuses the token.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _leave_stdout_alone()
    try:
        ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RayError, RuntimeError) as error:
        raise DotbogiError(
            f"the Ray cluster cannot be used ({first_line(error)}). Expected one that answers at "
            "RAY_ADDRESS and takes the token in RAY_AUTH_TOKEN or ~/.ray/auth_token."
        ) from error


def _leave_stdout_alone() -> None:
    """Have Ray print errors of the cluster on stderr: stdout is for results."""
    from ray._private import worker  # there is no setting

    printed = worker.print_to_stdstream

    def on_stderr(message: dict[str, Any], **options: Any) -> None:
        printed({**message, "is_err": True}, **options)

    worker.print_to_stdstream = on_stderr


class _Worker:
    """Runs in an actor: opens the recipe once, and does blocks."""

    def __init__(self) -> None:
        self._work: Work | None = None

    def check(self, copy: list[Any], probe: Any) -> list[str]:
        return self._opened(copy)(probe)

    def do(self, copy: list[Any], block: Block) -> bytes:
        return pack(block.keys, self._opened(copy)(block.work))

    def _opened(self, copy: list[Any]) -> Work:
        if self._work is None:
            self._work = ray.get(copy[0]).open()
        return self._work


class Crew:
    """The workers of one recipe. They start with the first block that is not finished yet.

    A worker that is lost, with its machine or alone, gives its block back to the others, and
    works on once Ray has started it again.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, probe: Any, expected: Sequence[str],
        *, progress: bool = False,
    ) -> None:  # fmt: skip
        """Make a crew.

        Args:
            recipe: what is done.
            folder: keeps the finished blocks.
            probe: a little work, which each worker does first.
            expected: its values on this machine.
            progress: show a bar.
        """
        self._recipe, self._blocks = recipe, BlockFolder(folder)
        self._probe, self._expected = probe, list(expected)
        self._progress = progress
        self._actors: list[Any] = []
        self._copy: list[Any] = []  # of the recipe

    def do(self, keys: Sequence[Sequence[str]], works: Sequence[Any]) -> list[list[str]]:
        """Return the values of all blocks, in their order.

        Args:
            keys: the keys of each block's items.
            works: what is done for each block.

        Raises:
            DotbogiError: a worker computes other values than this machine, or a block is the end
                of each worker that tries it.
        """
        recipe = self._recipe.fingerprint
        blocks = [Block.of(recipe, k, work) for k, work in zip(keys, works, strict=True)]
        values = {block.name: self._blocks.read(block) for block in blocks}
        missing = [block for block in blocks if values[block.name] is None]
        if missing:
            with self._bar(len(missing)) as bar:
                for block, packed in self._work_off(missing):
                    self._blocks.write(block, packed)
                    values[block.name] = self._blocks.read(block)
                    bar.update(1)
        return [_there(values[block.name]) for block in blocks]

    def _bar(self, total: int) -> Any:
        import click

        return click.progressbar(
            length=total, label="blocks", file=sys.stderr, hidden=not self._progress
        )

    def _work_off(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, bytes]]:
        """Yield each block with its file, in the order in which they are finished."""
        if not self._actors:
            self._actors = self._hire()
        waiting, tries = deque(blocks), Counter[str]()
        pending: dict[Any, tuple[Any, Block | None]] = {
            self._check(actor): (actor, None) for actor in self._actors
        }
        idle: list[Any] = []
        left = len(blocks)
        while left:
            [done], _ = ray.wait(list(pending), num_returns=1)
            actor, block = pending.pop(done)
            result = _result(done)
            if result is None:
                self._lost(actor, block, tries)
                if block is not None:
                    waiting.appendleft(block)
                    pending[self._check(actor)] = (actor, None)
            elif block is None:
                self._compare(result)
                idle.append(actor)
            else:
                left -= 1
                idle.append(actor)
                yield block, result
            while idle and waiting:
                actor, block = idle.pop(), waiting.popleft()
                pending[actor.do.remote(self._copy, block)] = (actor, block)

    def _hire(self) -> list[Any]:
        connect()
        count = max(1, int(ray.cluster_resources().get("CPU", 1)))
        kind = ray.remote(num_cpus=1, max_restarts=-1, scheduling_strategy="SPREAD")(_Worker)
        # Fetched once by each machine, and again by a worker that starts again.
        self._copy = [ray.put(self._recipe)]
        return [kind.remote() for _ in range(count)]

    def _check(self, actor: Any) -> Any:
        # Retried: a worker that was lost answers when Ray has started it again.
        return actor.check.options(max_task_retries=-1).remote(self._copy, self._probe)

    def _lost(self, actor: Any, block: Block | None, tries: Counter[str]) -> None:
        """Note that a worker was lost with its block, or for good."""
        if block is None:
            self._actors.remove(actor)
            if not self._actors:
                raise DotbogiError(
                    "no worker of the Ray cluster starts. Is dotbogi installed on its machines?"
                )
            return
        tries[block.name] += 1
        if tries[block.name] == _MOST_TRIES:
            raise DotbogiError(f"a block has ended {_MOST_TRIES} workers. Is there enough memory?")
        logger.warning("a worker was lost; another one does its block again")

    def _compare(self, found: list[str]) -> None:
        if found != self._expected:
            raise DotbogiError(
                "a machine of the Ray cluster computes other values than this one. Expected the "
                "same processors, and the same versions of dotbogi's packages."
            )

    def dismiss(self) -> None:
        """End the workers; the finished blocks stay."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.dismiss()


def _there(values: list[str] | None) -> list[str]:
    assert values is not None  # what was written has been read
    return values


def _result(done: Any) -> Any:
    """Return the result of a call, or None if its worker was lost.

    Raises:
        DotbogiError: the work itself failed.
    """
    try:
        return ray.get(done)
    except RayTaskError as error:
        if isinstance(error.cause, DotbogiError):
            raise error.cause from error
        raise
    except RaySystemError:
        raise
    except RayError:  # the actor or its machine, or the result before it arrived
        return None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or else its class."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
