"""The processes that torchrun has started: the first leads, the others follow into each fit.

So mining, measuring, publishing and writing are done once, by the process that leads. The others
wait, and train their share of each batch. Without torchrun, the one process leads nobody.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

# The others wait for as long as the first one mines and measures.
_MOST_WAITING = timedelta(days=7)


def count() -> int:
    """Return the number of processes; clusters set WORLD_SIZE for other programs too."""
    is_by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    return int(os.environ.get("WORLD_SIZE", "1")) if is_by_torchrun else 1


def rank() -> int:
    """Return the number of this process; 0 leads."""
    return int(os.environ["RANK"]) if count() > 1 else 0


@contextlib.contextmanager
def leading() -> Iterator[None]:
    """Let the others end when this process has done its work.

    After an error they are left waiting: torchrun ends them when this process ends.
    """
    yield
    if count() > 1:
        share(None)
        leave()


def share(fit: Any) -> None:
    """Give a fit to the other processes, which wait for it in `shared`; None lets them end."""
    if count() > 1:
        _group().broadcast_object_list([fit], src=0)


def shared() -> Any:
    """Wait for the process that leads, and return what it shares."""
    received: list[Any] = [None]
    _group().broadcast_object_list(received, src=0)
    return received[0]


def wait_for_all() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        _group().barrier()


def leave() -> None:
    """End the exchange with the other processes."""
    _group().destroy_process_group()


def _group() -> Any:
    """Return torch.distributed, with all processes joined."""
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        distributed.init_process_group(backend, timeout=_MOST_WAITING)
    return distributed
