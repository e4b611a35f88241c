"""Tokenise many texts with all cores, in processes of their own.

Kiwi holds Python's lock, so threads are of no use. The workers are started as commands, not by
`multiprocessing`, which would run the caller's script again in each of them.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.cores import cores
from dotbogi.indexes.lexical import Tokens

_ENOUGH = 1 << 13  # texts; fewer take less time than starting the workers
_EACH = 1 << 11  # texts that a worker is started for
_MOST = 8  # workers; each takes some 350 MB
_AT_ONCE = 512  # texts sent together
_MOST_SECONDS = 120  # until it has started
_READY = b"ready\n"

logger = logging.getLogger(__name__)


def tokenize_all(analyzer: Analyzer, texts: Sequence[str]) -> Tokens:
    """Return the tokens of each text, as `Analyzer.tokenize` does.

    Args:
        analyzer: with `kiwi`, many texts are spread over the cores that this process may use.
        texts: in any order.
    """
    workers = min(cores(), len(texts) // _EACH, _MOST)
    is_python = sys.executable and not getattr(sys, "frozen", False)
    if analyzer.name != "kiwi" or len(texts) < _ENOUGH or workers < 2 or not is_python:
        return analyzer.tokenize(texts)
    waiting = _Waiting(texts)
    with ThreadPoolExecutor(workers) as pool:
        try:
            ended = list(pool.map(lambda _: _work(analyzer, waiting), range(workers)))
        finally:
            left = waiting.empty()  # after Ctrl-C, what is under way is the last
    if errors := [error for error in ended if error]:
        logger.warning(
            "%d of %d processes that analyse texts have ended (%s); this one goes on without them",
            len(errors), workers, errors[0],
        )  # fmt: skip
    for start in left:
        waiting.done[start] = analyzer.tokenize(waiting.part(start))
    return [tokens for start in sorted(waiting.done) for tokens in waiting.done[start]]


class _Waiting:
    """The parts that no worker has taken yet, and the tokens of those that are done."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._starts: SimpleQueue[int] = SimpleQueue()
        for start in range(0, len(texts), _AT_ONCE):
            self._starts.put(start)
        self.done: dict[int, Tokens] = {}

    def part(self, start: int) -> Sequence[str]:
        """Return the texts of a part."""
        return self._texts[start : start + _AT_ONCE]

    def take(self) -> int | None:
        """Return where the next part starts; None if there is none."""
        try:
            return self._starts.get_nowait()
        except Empty:
            return None

    def give_back(self, start: int) -> None:
        """Leave a part to others."""
        self._starts.put(start)

    def empty(self) -> list[int]:
        """Take all parts that are left."""
        return list(iter(self.take, None))


def _work(analyzer: Analyzer, waiting: _Waiting) -> Exception | None:
    """Have a worker tokenise one part after the other; return why it has ended before the last."""
    # -P: not the modules that lie beside the user's table.
    command = [sys.executable, "-P", "-m", "dotbogi.indexes.analysis", json.dumps(analyzer.words)]
    start: int | None = None
    try:
        with subprocess.Popen(  # noqa: S603 - of our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for this process; the worker ends with its input
        ) as worker:
            assert worker.stdin
            assert worker.stdout
            timer = threading.Timer(_MOST_SECONDS, worker.kill)  # some other program
            timer.start()
            is_ready = worker.stdout.readline() == _READY
            timer.cancel()
            if not is_ready:
                raise OSError("it did not start")
            while (start := waiting.take()) is not None:
                part = waiting.part(start)
                worker.stdin.write(json.dumps(part).encode() + b"\n")
                worker.stdin.flush()
                found: Tokens = json.loads(worker.stdout.readline() or b"null")
                if not isinstance(found, list) or len(found) != len(part):
                    raise OSError("it ended early")
                waiting.done[start] = found
    except (OSError, ValueError) as error:
        if start is not None and start not in waiting.done:
            waiting.give_back(start)
        return error
    return None


def main() -> None:
    """Read lists of texts from standard input, a line each; write the lists of their tokens."""
    analyzer = Analyzer("kiwi", tuple(json.loads(sys.argv[1])))
    out = sys.stdout.buffer
    out.write(_READY)
    out.flush()
    for line in sys.stdin.buffer:
        out.write(json.dumps(analyzer.tokenize(json.loads(line))).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
