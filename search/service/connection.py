"""One connection of a client, with deadlines for what the client has to do."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from dotbogi.search.service.settings import Settings

# uvicorn writes a line for every invalid request: anybody could fill the disk. Errors stay.
_quiet = logging.getLogger("uvicorn.error.connection")
_quiet.setLevel(logging.ERROR)


class Connection(H11Protocol):
    """uvicorn's protocol, with an end to its patience.

    Until the first head is complete, and again after every reply, a timer runs; a byte now and
    then does not stop it. (The guard limits the time for a body.) Another one runs while bytes of a
    reply wait for their reader. The next request of the connection begins after they are taken.
    """

    def __init__(self, *args: Any, settings: Settings, **named: Any) -> None:
        super().__init__(*args, **named)
        self.logger = _quiet
        self._settings = settings
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._is_answered = False  # but the reply is not taken yet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # pause_writing tells of any unread byte
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, which would keep the connection in memory."""
        self._stop_waiting()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has arrived; once a head is complete, wait no longer for it."""
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, unless it has come already."""
        self._is_answered = self.flow.write_paused
        if self._is_answered:
            return  # until resume_writing
        super().on_response_complete()
        if not self._is_answering():
            self._await_head()

    def pause_writing(self) -> None:
        """Begin to wait for the caller to read; make room if too much waits like this."""
        super().pause_writing()
        self._taken()
        self._unread = self.loop.call_later(self._settings.reply_seconds, self.transport.abort)
        _cut_unread(self.connections, self._settings.max_unread)

    def resume_writing(self) -> None:
        """Go on with the next request after the whole reply is taken."""
        super().resume_writing()
        self._taken()
        if self._is_answered:
            self.on_response_complete()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head = self.loop.call_later(self._settings.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _taken(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _cut_unread(connections: Iterable[object], most: int) -> None:
    """Cut the connections that have not read for longest, until the others hold `most` bytes."""
    waiting = [
        (each._unread.when(), each.transport)
        for each in connections
        if isinstance(each, Connection) and each._unread is not None
    ]
    unread = sum(transport.get_write_buffer_size() for _, transport in waiting)
    for _, transport in sorted(waiting, key=lambda each: each[0]):
        if unread <= most:
            return
        unread -= transport.get_write_buffer_size()
        transport.abort()
