"""`dotbogi serve`: one process that answers over HTTP."""

import contextlib
import functools
import ipaddress
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.search.feedback import FeedbackStore
from dotbogi.search.searcher import Move, Searcher
from dotbogi.search.service.app import create_app
from dotbogi.search.service.connection import Connection
from dotbogi.search.service.context import RoundsPages
from dotbogi.search.service.listener import Listener, connection_limit
from dotbogi.search.service.settings import Settings

_LAST_SECONDS = 30  # for requests in progress when the service is told to stop
_SENT = 256 * 1024  # bytes of a reply that the system holds for a connection
_BACKLOG = 512  # connections that the system holds until they are accepted


def serve(
    workspace: str | Path,
    host: str,
    port: int,
    settings: Settings,
    started: Callable[[str, str], None],
    rounds: RoundsPages | None = None,
    move: Move | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then finish the requests in progress and return.

    Args:
        workspace: path of the workspace folder.
        host: name or address to listen on.
        port: port to listen on; 0 for any free one.
        settings: limits and keys.
        started: called with the service's URL and its generation once it listens.
        rounds: renders the pages under /rounds; None for none.
        move: takes each generation to where it is searched; None: it is searched here.

    Raises:
        UsageError: other machines could reach the service, and there are no keys.
        DotbogiError: the workspace cannot be opened, or the port is taken.
    """
    address = _address(host)
    if not settings.keys and not ipaddress.ip_address(address).is_loopback:
        raise UsageError(
            f"--host {host}: other machines could search and write here, but no keys are set. "
            "Set them with --keys FILE or DOTBOGI_KEYS, or omit --host."
        )
    with (
        contextlib.closing(
            Searcher.open(workspace, watch=True, allow_empty=True, move=move)
        ) as searcher,
        contextlib.closing(FeedbackStore.open(Path(workspace))) as feedback,
        _listening(address, port, settings.max_connections) as listener,
    ):
        if searcher.generation:
            searcher.search("ready")  # load everything before the first search
        server = uvicorn.Server(_config(create_app(searcher, feedback, settings, rounds), settings))
        # Signals may come before uvicorn handles them, and uvicorn raises them again when it ends.
        # A terminal that is closed sends SIGHUP, unless nohup has had it ignored.
        ignores = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        for name in (signal.SIGTERM, signal.SIGINT, *(() if ignores else (signal.SIGHUP,))):
            signal.signal(name, lambda *_: setattr(server, "should_exit", True))
        shown = f"[{address}]" if ":" in address else address
        started(f"http://{shown}:{listener.getsockname()[1]}", searcher.generation or "")
        server.run(sockets=[listener])


def _config(app: object, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="asyncio",  # uvloop, if it is installed, does not call Listener.accept
        http=functools.partial(Connection, settings=settings),  # type: ignore[arg-type]
        backlog=_BACKLOG,
        log_config=None,  # cli.py sets up logging
        access_log=False,  # it would show query strings; guard.py has its own
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )


def _address(host: str) -> str:
    """Return the IP address of a host name."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host}: cannot be resolved. Expected a name or an IP address of this machine."
        ) from error


def _listening(address: str, port: int, connections: int) -> Listener:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=_BACKLOG)
        # Connections inherit this. asyncio sets it only for its own sockets. Without it, a reply
        # in two packets waits 40 ms for the first one's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The system would let it grow to megabytes, of which the limit of unread replies knows
        # nothing.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT)
        return Listener(listener, connection_limit(connections))
    except OSError as error:
        raise DotbogiError(
            f"cannot listen on {address}:{port} ({error.strerror}). "
            "Choose another port with --port; 0 takes a free one."
        ) from error
