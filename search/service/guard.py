"""Middleware before the routes: checks keys and limits, writes the log, answers every request."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dotbogi.search.service.attempts import Attempts, Lines
from dotbogi.search.service.callers import check_framing, check_host, check_site
from dotbogi.search.service.errors import ServiceError, internal_error
from dotbogi.search.service.keys import Key, Role
from dotbogi.search.service.metrics import Metrics
from dotbogi.search.service.page import paths
from dotbogi.search.service.page.render import refusal
from dotbogi.search.service.page.sessions import COOKIE, Sessions
from dotbogi.search.service.replies import GENERATION
from dotbogi.search.service.settings import Settings
from dotbogi.search.service.work import busy

OPEN = frozenset({"/healthz", "/readyz"}) | paths.OPEN  # need no key
_ROLES = {"/v1/feedback": Role.FEEDBACK, "/admin/reload": Role.ADMIN, **paths.ROLES}
_FORM = "application/x-www-form-urlencoded"  # another site's page can send this type too
_FORMS = frozenset({paths.ENTER, paths.LEAVE})
_DRAIN_SECONDS = 5.0  # a refused body is read this long, so that its sender sees the reply
_DRAIN_BYTES = 100_000_000
_STRANGERS = 16  # keyless forms read at a time; the same limit for refused bodies
_MAX_FORM = 32_000  # bytes: a key, and the address of the page to return to, encoded twice
_FORM_SECONDS = 2.0

logger = logging.getLogger(__name__)


def role_of(path: str) -> Role:
    """Return the role that a path requires; unknown paths require READ."""
    return _ROLES.get(paths.ROUNDS if path.startswith(f"{paths.ROUNDS}/") else path, Role.READ)


class _Slots:
    """A bounded counter of requests in progress, for the event loop only."""

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

    It runs before the body is parsed. Without a key, it reads only the small form for entering
    one. It limits the length of every body, whether or not the length is stated.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, sessions: Sessions, metrics: Metrics,
        routes: Sequence[str], generation: Callable[[], str],
    ) -> None:  # fmt: skip
        self._app, self._settings, self._sessions = app, settings, sessions
        self._metrics, self._routes, self._generation = metrics, routes, generation
        self._requests = _Slots(settings.max_requests)  # of authorised callers
        self._forms, self._refused = _Slots(_STRANGERS), _Slots(_STRANGERS)
        self._attempts, self._lines = Attempts(settings.failed_keys), Lines()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
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
        except Exception:  # any: the caller gets an answer, and the log a traceback
            logger.exception("request %s failed", scope["state"]["request_id"])
            if not status:
                answer = refusal(internal_error(), Request(scope))
                await answer(scope, receive, sending)
        finally:
            if status == 401 and _gives_key(request := Request(scope)):
                self._attempts.failed(request)
            self._record(scope, status, time.perf_counter() - started)

    def _add_headers(self, message: Message, request_id: str) -> None:
        headers = MutableHeaders(scope=message)
        headers.setdefault(GENERATION, self._generation())
        headers.setdefault("Cache-Control", "no-store")
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Request-Id"] = request_id

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        request.state.role = Role.ADMIN  # unless there are keys; see _check_key
        try:
            self._check_caller(request)
        except ServiceError as error:
            await self._refuse(refusal(error, request), scope, receive, send)
            return
        is_open = request.scope["path"] in OPEN
        if is_open and not _has_body(request):  # nothing to wait for; /healthz always answers
            await self._pass_on(request, receive, send)
            return
        # Callers without a key must not use up the slots of callers with one.
        slots = self._forms if is_open else self._requests
        if slots.full:
            await self._refuse(refusal(busy(1), request), scope, receive, send)
            return
        with slots:
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
        check_framing(request)
        has_keys = bool(self._settings.keys)
        if has_keys and _gives_key(request) and (seconds := self._attempts.wait(request)):
            raise ServiceError(
                429, "too_many_keys", "Too many wrong keys came from this address.",
                {"Retry-After": str(seconds)},
            )  # fmt: skip
        path = request.scope["path"]
        if path not in OPEN:
            if has_keys:
                self._check_key(request, role_of(path))
            else:
                check_host(request)
        check_site(request, has_keys)

    def _check_key(self, request: Request, needed: Role) -> None:
        key = self._key_of(request)
        if key is None:
            raise ServiceError(
                401, "no_key", "An API key is required. Send the header Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        request.state.caller, request.state.role = key.name, key.role
        if key.role < needed:
            raise ServiceError(403, "role", f"The key needs the role {needed.name.lower()}.")

    def _key_of(self, request: Request) -> Key | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._settings.keys.find(given.strip())
        path = request.scope["path"]
        # A session is valid only for what the page itself calls.
        if paths.is_page(path) or path in ("/v1/feedback", "/openapi.json"):
            return self._sessions.find(request.cookies.get(COOKIE, ""))
        return None

    async def _body(self, request: Request, receive: Receive) -> bytes | None:
        """Return the whole body; None if the caller has disconnected."""
        is_form = request.scope["path"] in _FORMS
        limit = _MAX_FORM if is_form else self._settings.max_body
        too_large = ServiceError(413, "too_large", f"The body has more than {limit} bytes.")
        length = request.headers.get("content-length", "0")
        if len(length) > 15 or int(length) > limit:  # h11 has checked that it is a number
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
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise ServiceError(408, "too_slow", "The body took too long to arrive.") from None
        return bytes(body)

    async def _refuse(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an error response, and read the rest of the request, up to a limit.

        If a connection is closed with unread bytes, it is reset, and the caller never sees the
        response.
        """
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        waits = b"expect" in dict(scope["headers"])  # for a "100 Continue" that it does not get
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
        if self._settings.keys and "caller" not in state and not self._lines.admits():
            return  # strangers could fill the disk
        # No path, query string or header: they may contain a key or a user's query.
        logger.log(
            level, "%s %s %s %.1f ms key=%s request=%s",
            scope["method"], route, status or "gone", 1000 * seconds,
            state.get("caller", "-"), state["request_id"],
        )  # fmt: skip

    def _route(self, path: str) -> str:
        """Return the route as the OpenAPI document names it, for refused requests too."""
        if path in self._routes:
            return path
        templates = (route for route in self._routes if "{" in route)
        return next((r for r in templates if path.startswith(r.partition("{")[0])), "other")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body already read, and then what follows it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _gives_key(request: Request) -> bool:
    path = request.scope["path"]
    if path in OPEN:
        return path == paths.ENTER and request.method == "POST"
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(given.strip())


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
