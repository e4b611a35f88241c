"""Tokenise many texts with all cores, in processes of their own.

Kiwi holds Python's lock, so threads are of no use. The workers are started as commands, not by
`multiprocessing`, which would run the caller's script again in each of them.
"""

import json
import logging
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.cores import cores
from dotbogi.indexes.lexical import Tokens

_ENOUGH = 1 << 13  # texts; fewer take less time than starting the workers
_AT_ONCE = 512  # texts sent together

logger = logging.getLogger(__name__)


def tokenize_all(analyzer: Analyzer, texts: Sequence[str]) -> Tokens:
    """Return the tokens of each text, as `Analyzer.tokenize` does.

    Args:
        analyzer: with `kiwi`, many texts are spread over all cores that this process may use.
        texts: in any order.
    """
    workers = cores()
    if analyzer.name != "kiwi" or workers == 1 or len(texts) < _ENOUGH:
        return analyzer.tokenize(texts)
    starts = deque(range(0, len(texts), _AT_ONCE))  # each worker takes the next one
    done: dict[int, Tokens] = {}

    def work(_: int) -> None:
        _work(analyzer, texts, starts, done)

    with ThreadPoolExecutor(workers) as pool:
        try:
            list(pool.map(work, range(workers)))
        finally:
            starts.clear()  # after Ctrl-C, what is under way is the last
    return [tokens for start in range(0, len(texts), _AT_ONCE) for tokens in done[start]]


def _work(
    analyzer: Analyzer, texts: Sequence[str], starts: deque[int], done: dict[int, Tokens]
) -> None:
    """Have a worker tokenise one part after the other until none is left."""
    command = [sys.executable, "-m", "dotbogi.indexes.analysis", json.dumps(analyzer.words)]
    start: int | None = None
    try:
        with subprocess.Popen(  # noqa: S603 - of our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as worker:
            assert worker.stdin
            assert worker.stdout
            while starts:
                start = starts.popleft()
                line = json.dumps(texts[start : start + _AT_ONCE])
                worker.stdin.write(line.encode() + b"\n")
                worker.stdin.flush()
                found: Tokens = json.loads(worker.stdout.readline())
                if len(found) != len(texts[start : start + _AT_ONCE]):
                    raise ValueError("another number of texts")
                done[start] = found
    except (OSError, ValueError) as error:  # it could not be started, or was killed
        logger.warning("a process that analyses texts has ended (%s); going on without it", error)
        if start is not None and start not in done:
            done[start] = analyzer.tokenize(texts[start : start + _AT_ONCE])
        while starts:
            start = starts.popleft()
            done[start] = analyzer.tokenize(texts[start : start + _AT_ONCE])
    except IndexError:
        return  # another worker took the last part


def main() -> None:
    """Read lists of texts from standard input, a line each; write the lists of their tokens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its input
    analyzer = Analyzer("kiwi", tuple(json.loads(sys.argv[1])))
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(json.dumps(analyzer.tokenize(json.loads(line))).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
