"""One connection of a client, with deadlines for what the client has to do."""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from dotbogi.search.service.settings import Settings

# uvicorn writes a line for every invalid request: anybody could fill the disk. Errors stay.
_quiet = logging.getLogger("uvicorn.error.connection")
_quiet.setLevel(logging.ERROR)


class Connection(H11Protocol):
    """uvicorn's protocol, which waits without end for a request's head.

    Until the first head is complete, and again after every reply, a timer runs; a byte now and
    then does not stop it. The guard limits the time for a body.
    """

    def __init__(self, *args: Any, settings: Settings, **named: Any) -> None:
        super().__init__(*args, **named)
        self.logger = _quiet
        self._settings = settings
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, which would keep the connection in memory."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has arrived; once a head is complete, wait no longer for it."""
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, unless it has come already."""
        super().on_response_complete()
        if not self._is_answering():
            self._await_head()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head = self.loop.call_later(self._settings.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
