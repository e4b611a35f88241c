"""What a request says about where it comes from, before anybody asks for a key."""

import ipaddress

from starlette.requests import Request

from dotbogi.search.service.errors import ServiceError


def check_framing(request: Request) -> None:
    """Refuse a request that a proxy might take for two, and end its connection.

    Raises:
        ServiceError: it states both a length and an encoding that has its own end.
    """
    if "content-length" in request.headers and "transfer-encoding" in request.headers:
        raise ServiceError(
            400, "bad_request", "Content-Length and Transfer-Encoding exclude each other.",
            {"Connection": "close"},
        )  # fmt: skip


def check_host(request: Request) -> None:
    """Refuse a request by a name that is not this machine's: for a service without keys.

    Raises:
        ServiceError: another site's name may point here (DNS rebinding).
    """
    if not _is_loopback(request.headers.get("host", "")):
        raise ServiceError(
            421, "wrong_host", "Without keys, only requests to localhost are answered. Set keys."
        )


def check_site(request: Request, has_keys: bool) -> None:
    """Refuse what another site's page sends to change something; programs send neither header.

    Raises:
        ServiceError: the request is a browser's, on behalf of another site.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
    if site is not None:
        is_other = site not in ("same-origin", "none")
    else:
        # An old browser, or no browser. Behind a proxy, Host may be any name, but then there are
        # keys, which another site's page does not have.
        host = request.headers.get("host", "").lower()
        is_other = (
            not has_keys and origin is not None and origin.lower().partition("://")[2] != host
        )
    if is_other:
        raise ServiceError(403, "cross_site", "Pages of other sites may not change anything here.")


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]")
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
