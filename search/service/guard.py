"""What stands before the routes: keys, bounds, the log, and an answer whatever happens."""

import asyncio
import contextlib
import ipaddress
import logging
import time
import uuid
from collections.abc import Callable, Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dotbogi.search.service.errors import ServiceError, internal_error
from dotbogi.search.service.keys import Key, Role
from dotbogi.search.service.metrics import Metrics
from dotbogi.search.service.page import paths
from dotbogi.search.service.page.render import refusal
from dotbogi.search.service.page.sessions import COOKIE, Sessions
from dotbogi.search.service.replies import GENERATION
from dotbogi.search.service.settings import Settings
from dotbogi.search.service.work import busy

OPEN = frozenset({"/healthz"}) | paths.OPEN  # without a key
_ROLES = {"/v1/feedback": Role.FEEDBACK, "/admin/reload": Role.ADMIN, **paths.ROLES}
_FORM = "application/x-www-form-urlencoded"  # of which another site's page can send one too
_FORMS = frozenset({paths.ENTER, paths.LEAVE})
_DRAIN_SECONDS = 5.0  # a refused body is read on for, so that its sender sees the answer
_DRAIN_BYTES = 100_000_000
_STRANGERS = 16  # forms, which need no key, that are read at a time; and refused bodies
_MAX_FORM = 32_000  # bytes: a key, and the address of what was asked, encoded twice
_FORM_SECONDS = 2.0

logger = logging.getLogger(__name__)


def role_of(path: str) -> Role:
    """Return the role that a path asks for; a path that nobody knows asks for a key too."""
    return _ROLES.get(paths.ROUNDS if path.startswith(f"{paths.ROUNDS}/") else path, Role.READ)


class _Room:
    """A bounded count of what is under way, on the event loop alone."""

    def __init__(self, size: int) -> None:
        self._size, self._taken = size, 0

    @property
    def full(self) -> bool:
        return self._taken >= self._size

    def __enter__(self) -> None:
        self._taken += 1

    def __exit__(self, *_: object) -> None:
        self._taken -= 1


class Guard:
    """ASGI middleware around all routes.

    It comes before the body is parsed: who has no key cannot make the service read one, but for
    the small form that a key is entered with, and no body is longer than allowed, whether it says
    its length or not.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, sessions: Sessions, metrics: Metrics,
        routes: Sequence[str], generation: Callable[[], str],
    ) -> None:  # fmt: skip
        self._app, self._settings, self._sessions = app, settings, sessions
        self._metrics, self._routes, self._generation = metrics, routes, generation
        self._requests = _Room(settings.max_requests)  # whose caller may make them
        self._forms, self._refused = _Room(_STRANGERS), _Room(_STRANGERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        scope.setdefault("state", {})["request_id"] = uuid.uuid4().hex
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, scope["state"]["request_id"])
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        except (
            Exception
        ):  # whatever a route raises, the caller gets an answer, and the log the trace
            logger.exception("request %s failed", scope["state"]["request_id"])
            if not status:
                answer = refusal(internal_error(), Request(scope))
                await answer(scope, receive, sending)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _add_headers(self, message: Message, request_id: str) -> None:
        headers = MutableHeaders(scope=message)
        headers.setdefault(GENERATION, self._generation())
        headers.setdefault("Cache-Control", "no-store")
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Request-Id"] = request_id

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        request.state.role = Role.ADMIN  # where there are no keys
        try:
            self._check_caller(request)
        except ServiceError as error:
            await self._refuse(refusal(error, request), scope, receive, send)
            return
        is_open = request.scope["path"] in OPEN
        if is_open and not _has_body(request):  # nothing to wait for; /healthz answers always
            await self._pass_on(request, receive, send)
            return
        # Whoever has no key must not use up the room of those who have one.
        room = self._forms if is_open else self._requests
        if room.full:
            await self._refuse(refusal(busy(1), request), scope, receive, send)
            return
        with room:
            await self._pass_on(request, receive, send)

    async def _pass_on(self, request: Request, receive: Receive, send: Send) -> None:
        try:
            body = await self._body(request, receive)
        except ServiceError as error:
            await self._refuse(refusal(error, request), request.scope, receive, send)
            return
        if body is not None:
            await self._app(request.scope, _replay(body, receive), send)

    def _check_caller(self, request: Request) -> None:
        path = request.scope["path"]
        if path in OPEN:
            return
        if self._settings.keys:
            self._check_key(request, role_of(path))
        elif not _is_loopback(request.headers.get("host", "")):
            # A page of another site whose name was made to point here (DNS rebinding).
            raise ServiceError(
                421, "wrong_host", "Without keys only localhost is answered. Configure keys."
            )

    def _check_key(self, request: Request, needed: Role) -> None:
        key = self._key_of(request)
        if key is None:
            raise ServiceError(
                401, "no_key", "A key is needed: Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        request.state.caller, request.state.role = key.name, key.role
        if key.role < needed:
            raise ServiceError(403, "role", f"The key's role is too low; {needed.name.lower()} is.")

    def _key_of(self, request: Request) -> Key | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._settings.keys.find(given.strip())
        path = request.scope["path"]
        if paths.is_page(path) or path == "/v1/feedback":  # what the page calls, and no more
            return self._sessions.find(request.cookies.get(COOKIE, ""))
        return None

    async def _body(self, request: Request, receive: Receive) -> bytes | None:
        """Return the whole body; None if the caller has gone."""
        is_form = request.scope["path"] in _FORMS
        most = _MAX_FORM if is_form else self._settings.max_body
        too_large = ServiceError(413, "too_large", f"The body has more than {most} bytes.")
        length = request.headers.get("content-length", "0")
        if len(length) > 15 or int(length) > most:  # h11 has checked that it is a number
            raise too_large
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        expected = _FORM if is_form else "application/json"
        if kind != expected and _has_body(request):
            raise ServiceError(415, "not_json", f"Expected Content-Type: {expected}")
        body = bytearray()
        try:
            async with asyncio.timeout(_FORM_SECONDS if is_form else self._settings.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            raise ServiceError(408, "too_slow", "The body took too long to arrive.") from None
        return bytes(body)

    async def _refuse(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a refusal, and read on what its caller is still sending; not all has been read.

        A connection closed with bytes unread is reset, and the caller would never see the answer.
        """
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        waits = b"expect" in dict(scope["headers"])  # for a leave that it does not get
        if not waits and not self._refused.full:
            with self._refused, contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route(scope["path"])
        if status:
            self._metrics.request(route, status, seconds)
        level = logging.DEBUG if route in OPEN or route == "/metrics" else logging.INFO
        state = scope["state"]
        # No path, query string or header: there may be a key, or what a user has asked, in them.
        logger.log(
            level, "%s %s %s %.1f ms key=%s request=%s",
            scope["method"], route, status or "gone", 1000 * seconds,
            state.get("caller", "-"), state["request_id"],
        )  # fmt: skip

    def _route(self, path: str) -> str:
        """Return the route as the OpenAPI document names it, for refused requests too."""
        if path in self._routes:
            return path
        whole = (route for route in self._routes if "{" in route)
        return next((r for r in whole if path.startswith(r.partition("{")[0])), "other")


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]")
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, and then what comes after it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _has_body(request: Request) -> bool:
    return (
        request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    )


async def _drain(receive: Receive) -> None:
    read = 0
    more = True
    while more and read < _DRAIN_BYTES:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
