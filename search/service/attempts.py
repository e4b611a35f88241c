"""Wrong keys, counted by address, and the log lines that they may cause."""

import ipaddress
import math
import time
from collections import OrderedDict

from starlette.requests import Request

_SECONDS = 60.0  # in which an address may send so many wrong keys
_ADDRESSES = 10_000  # remembered; those that have been quiet for longest are forgotten
_LINES = 10  # a second


class Attempts:
    """How many wrong keys each address has sent lately; for the event loop only.

    A count shrinks steadily, by the whole limit in a minute. At the limit no key is looked at, not
    even a right one: a guess that is answered differently would be a guess that is tested.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address → count, time

    def wait(self, request: Request) -> int:
        """Return the seconds until this caller may try a key; 0 for now."""
        excess = self._count(_address(request)) - self._limit + 1
        return math.ceil(excess * _SECONDS / self._limit) if excess > 0 else 0

    def failed(self, request: Request) -> None:
        """Count a wrong key of this caller."""
        address = _address(request)
        self._counts[address] = (self._count(address) + 1, time.monotonic())
        self._counts.move_to_end(address)
        if len(self._counts) > _ADDRESSES:
            self._counts.popitem(last=False)

    def _count(self, address: str) -> float:
        count, since = self._counts.get(address, (0.0, 0.0))
        return max(0.0, count - (time.monotonic() - since) * self._limit / _SECONDS)


def _address(request: Request) -> str:
    """Return the caller's address, or the network of an IPv6 address, which one caller has whole.

    A proxy on this machine says whom it speaks for; what others say about themselves counts for
    nothing.
    """
    given = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(given)
        forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if address.is_loopback and forwarded:
            address = ipaddress.ip_address(forwarded)
    except ValueError:
        return given
    if address.version == 6:
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)


class Lines:
    """Admits a few log lines a second; the metrics count every request."""

    def __init__(self) -> None:
        self._second, self._written = 0, 0

    def admits(self) -> bool:
        """Return whether one more line may be written now."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        self._written += 1
        return self._written <= _LINES
