"""One request for a file: HTTPS, checked redirects, and faults told apart by whether they pass."""

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
_SLOWEST = 100  # bytes a second over the timeout; a slower server counts as hanging
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class PassingError(Exception):
    """A fault that may be gone at the next attempt; its text says what happened."""


class RangeError(PassingError):
    """The server has no bytes from the offset that was asked for."""


def check_address(url: str, referrer: str | None = None) -> None:
    """Refuse an address that is not HTTPS; plain HTTP is for this machine alone.

    Args:
        url: where to go.
        referrer: the address that redirects there; from HTTPS it never goes back to HTTP.
    """
    address = urlsplit(url)
    plain = address.scheme == "http" and address.hostname in _LOCAL
    if address.scheme != "https" and (not plain or (referrer or "").startswith("https:")):
        via = f"{referrer} redirects to " if referrer else ""
        raise DotbogiError(f"{via}{url}: not HTTPS. Expected an address that starts with https://")


@contextlib.contextmanager
def open_url(url: str, headers: Mapping[str, str], timeout: float) -> Iterator[HTTPResponse]:
    """Ask for a file and give the answer, whose status is one of success.

    Raises:
        PassingError: no answer in `timeout` seconds, or one that may be another later.
        DotbogiError: an answer that will stay so, or nobody to answer.
    """
    check_address(url)
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        response: Any = urllib.request.build_opener(_Redirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code == 416:
            raise RangeError("the server has less of it than has come before") from error
        if error.code in _PASSING:
            raise PassingError(answer) from error
        if 300 <= error.code < 400:
            answer = "redirected in a circle, too often, or away from HTTPS"
        raise DotbogiError(f"{url}: {answer}.") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise PassingError(f"no answer ({_reason(error.reason)})") from error
        raise DotbogiError(
            f"{url}: cannot be reached ({error.reason}). Check the network, or name a mirror with "
            "DOTBOGI_MIRROR."
        ) from error
    except (OSError, HTTPException) as error:
        raise PassingError(f"no answer ({_reason(error)})") from error
    with response:
        yield response


def chunks(response: HTTPResponse, timeout: float) -> Iterator[bytes]:
    """Yield what comes, until the connection ends.

    Raises:
        PassingError: it was cut where that can be seen, or nothing to speak of came for `timeout`
            seconds.
    """
    since, came = time.monotonic(), 0
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except TimeoutError as error:
            raise PassingError(f"nothing came for {timeout:g} seconds") from error
        except (OSError, HTTPException) as error:
            raise PassingError(f"cut off ({_reason(error)})") from error
        if not chunk:
            return
        yield chunk
        came += len(chunk)
        waited = time.monotonic() - since
        if waited > timeout:
            if came < _SLOWEST * waited:
                raise PassingError(f"less than {_SLOWEST} bytes a second came")
            since, came = time.monotonic(), 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, and none to an address that would not have been asked at first."""

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
