"""`dotbogi serve`: one process that answers over HTTP."""

import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.search.feedback import FeedbackStore
from dotbogi.search.searcher import Searcher
from dotbogi.search.service.app import create_app
from dotbogi.search.service.context import RoundsPages
from dotbogi.search.service.settings import Settings

_LAST_SECONDS = 30  # for what is in flight when the service is told to end


def serve(
    workspace: str | Path,
    host: str,
    port: int,
    settings: Settings,
    started: Callable[[str, str], None],
    rounds: RoundsPages | None = None,
) -> None:
    """Answer until SIGTERM or SIGINT, then finish what is in flight and return.

    Args:
        workspace: its folder.
        host: name or address to listen on.
        port: 0 for any free one.
        settings: bounds and keys.
        started: called with the service's URL and its generation once it listens.
        rounds: what /rounds shows.

    Raises:
        UsageError: others could reach it, and there are no keys.
        DotbogiError: nothing is indexed, or the port is taken.
    """
    address = _address(host)
    if not settings.keys and not ipaddress.ip_address(address).is_loopback:
        raise UsageError(
            f"--host {host}: other machines could search and write here, and no keys are set. "
            "Set them with --keys FILE or DOTBOGI_KEYS, or leave --host out."
        )
    with (
        contextlib.closing(Searcher.open(workspace, watch=True)) as searcher,
        contextlib.closing(FeedbackStore.open(Path(workspace))) as feedback,
        _listening(address, port) as listener,
    ):
        searcher.search("ready")  # loads what the first search would wait for
        server = uvicorn.Server(_config(create_app(searcher, feedback, settings, rounds)))
        # For a signal before uvicorn listens to them; and uvicorn raises it again when all is done.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: setattr(server, "should_exit", True))
        shown = f"[{address}]" if ":" in address else address
        started(f"http://{shown}:{listener.getsockname()[1]}", searcher.generation or "")
        server.run(sockets=[listener])


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,  # cli.py sets logging up
        access_log=False,  # it would show query strings; guard.py writes its own
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )


def _address(host: str) -> str:
    """Return the address that a name stands for."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host}: no such host on this machine.") from error


def _listening(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=512)
        # Connections inherit it. asyncio sets it for sockets of its own alone; without it a reply
        # in two packets waits 40 ms for the first one's receipt.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise DotbogiError(
            f"{address}:{port} cannot be listened on ({error.strerror}). "
            "Name another with --port; 0 takes a free one."
        ) from error
