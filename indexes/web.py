"""Request one file over HTTPS, and tell temporary failures from permanent ones."""

import contextlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Any
from urllib.parse import urlsplit

from dotbogi.indexes.errors import DotbogiError

_CHUNK = 1 << 16
_SLOWEST = 100  # bytes per second, measured over the timeout; a slower server counts as hanging
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class PassingError(Exception):
    """A temporary failure: the next attempt may succeed. Its text says what happened."""


class RangeError(PassingError):
    """The server has no bytes at the requested offset."""


def check_address(url: str, referrer: str | None = None) -> None:
    """Refuse an address that is not HTTPS; plain HTTP is allowed for this machine only.

    Args:
        url: the address to open.
        referrer: the address that redirects to it; HTTPS must not redirect to HTTP.

    Raises:
        DotbogiError: the address is refused.
    """
    address = urlsplit(url)
    plain = address.scheme == "http" and address.hostname in _LOCAL
    if address.scheme != "https" and (not plain or (referrer or "").startswith("https:")):
        via = f"{referrer} redirects to " if referrer else ""
        raise DotbogiError(f"{via}{url}: not HTTPS. Expected an address that starts with https://")


@contextlib.contextmanager
def open_url(url: str, headers: Mapping[str, str], timeout: float) -> Iterator[HTTPResponse]:
    """Request a file and yield the response if its status is a success.

    Raises:
        PassingError: no response within `timeout` seconds, or a temporary failure.
        DotbogiError: a permanent failure, or the server cannot be reached.
    """
    check_address(url)
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - HTTPS: just checked
    try:
        response: Any = urllib.request.build_opener(_Redirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code == 416:
            raise RangeError("the server has fewer bytes than were received before") from error
        if error.code in _TEMPORARY:
            raise PassingError(answer) from error
        if 300 <= error.code < 400:
            answer = "redirected in a loop, too often, or away from HTTPS"
        raise DotbogiError(f"{url}: {answer}.") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise PassingError(f"no answer ({_reason(error.reason)})") from error
        raise DotbogiError(
            f"{url}: cannot be reached ({error.reason}). Check the network, or set a mirror in "
            "DOTBOGI_MIRROR."
        ) from error
    except (OSError, HTTPException) as error:
        raise PassingError(f"no answer ({_reason(error)})") from error
    with response:
        yield response


def chunks(response: HTTPResponse, timeout: float) -> Iterator[bytes]:
    """Yield the body of a response in chunks until the connection ends.

    Raises:
        PassingError: the connection broke, or almost nothing arrived for `timeout` seconds.
    """
    since, received = time.monotonic(), 0
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except TimeoutError as error:
            raise PassingError(f"nothing arrived for {timeout:g} seconds") from error
        except (OSError, HTTPException) as error:
            raise PassingError(f"cut off ({_reason(error)})") from error
        if not chunk:
            return
        yield chunk
        received += len(chunk)
        waited = time.monotonic() - since
        if waited > timeout:
            if received < _SLOWEST * waited:
                raise PassingError(f"fewer than {_SLOWEST} bytes per second arrived")
            since, received = time.monotonic(), 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, and only to addresses that `check_address` allows."""

    max_redirections = 5
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        try:
            check_address(newurl, req.full_url)
        except DotbogiError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _reason(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
