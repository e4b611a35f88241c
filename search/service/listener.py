"""The listening socket, which bounds how many connections are open."""

import contextlib
import os
import resource
import socket
from typing import Any

_KEPT = 96  # descriptors for the rest of the process: index, feedback, log, threads' pipes
_FEWEST = 8


def connection_limit(wanted: int) -> int:
    """Return the number of connections that may be open, so that descriptors are left over."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(_FEWEST, min(wanted, descriptors - _KEPT))


class Listener(socket.socket):
    """A listening socket that accepts connections beyond a limit only to close them.

    asyncio, left alone, tries `accept` thousands of times when no descriptor is left, and each try
    writes a line to the log and sets a timer. This class reports a ConnectionAbortedError instead:
    asyncio takes that for a caller who has hung up, and says nothing.
    """

    def __init__(self, listening: socket.socket, most: int) -> None:
        family, kind, proto = listening.family, listening.type, listening.proto
        super().__init__(family, kind, proto, fileno=listening.detach())
        self._most = most
        self._accepted: set[_Accepted] = set()
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its address.

        Raises:
            ConnectionAbortedError: there are too many; the next one was closed, if there was one.
        """
        try:
            connection, address = super().accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            raise
        except OSError as error:
            self._close_next()
            raise ConnectionAbortedError from error
        if len(self._accepted) >= self._most:
            connection.close()
            raise ConnectionAbortedError
        family, kind, proto = connection.family, connection.type, connection.proto
        accepted = _Accepted(family, kind, proto, fileno=connection.detach())
        accepted.all = self._accepted
        self._accepted.add(accepted)
        return accepted, address

    def _close_next(self) -> None:
        """Without a free descriptor, use the spare one to close the next connection.

        It would otherwise stay in the queue, and the event loop would try again without end.
        """
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        with contextlib.suppress(OSError):
            super().accept()[0].close()
        with contextlib.suppress(OSError):  # another thread was faster; next time
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Stop listening."""
        super().close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


class _Accepted(socket.socket):
    """A connection that leaves the set of all open ones when it is closed."""

    all: "set[_Accepted]"

    def close(self) -> None:
        super().close()
        self.all.discard(self)
