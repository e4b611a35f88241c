"""The service as an ASGI app."""

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from dotbogi.search.feedback import FeedbackStore
from dotbogi.search.searcher import Searcher
from dotbogi.search.service import feedback_routes, operation_routes, search_routes, vector_routes
from dotbogi.search.service.bounds import write_bounds
from dotbogi.search.service.context import Context, RoundsPages
from dotbogi.search.service.errors import add_handlers
from dotbogi.search.service.guard import OPEN, Guard
from dotbogi.search.service.metrics import Metrics
from dotbogi.search.service.page import paths
from dotbogi.search.service.page import routes as page_routes
from dotbogi.search.service.page.render import refusal
from dotbogi.search.service.page.sessions import Sessions
from dotbogi.search.service.schemas import ErrorReply
from dotbogi.search.service.settings import Settings
from dotbogi.search.service.work import Work

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is not JSON, or its length is ambiguous"},
    401: {"description": "The key is missing or wrong"},
    403: {"description": "The role of the key is too low, or another site sent this"},
    404: {"description": "Not found"},
    405: {"description": "The method is not allowed"},
    408: {"description": "The body took too long to arrive"},
    409: {"description": "Not possible in the current state of the workspace"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is not application/json"},
    421: {"description": "Without keys, only requests to localhost are answered"},
    422: {"description": "The request does not match this schema, or is over a limit"},
    429: {"description": "Too many requests or wrong keys; Retry-After says when to try again"},
    500: {"description": "The service failed"},
    503: {"description": "Temporarily unavailable"},
}


def create_app(
    searcher: Searcher,
    feedback: FeedbackStore,
    settings: Settings,
    rounds: RoundsPages | None = None,
) -> FastAPI:
    """Return the service for an open searcher and feedback store; the caller closes both.

    `rounds` renders the pages under /rounds; without it, they do not exist.
    """
    metrics, sessions = Metrics(), Sessions(settings.keys)
    work = Work("search", settings.threads, settings, metrics)
    writing = Work("feedback", 1, settings, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        work.close()
        writing.close()

    app = FastAPI(
        title="dotbogi",
        version=version("dotbogi"),
        description="Finds the right answer to a question.",
        openapi_url=None,  # the service has its own, which needs a key
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses={
            status: {"model": ErrorReply, **described} for status, described in _ERRORS.items()
        },
    )
    app.state.context = Context(
        searcher, feedback, settings, metrics, work, writing, sessions, rounds
    )
    for routes in (search_routes, vector_routes, feedback_routes, operation_routes, page_routes):
        app.include_router(routes.router)
    add_handlers(app, refusal)
    app.state.document = document = _document(app, settings)
    app.add_middleware(
        Guard, settings=settings, sessions=sessions, metrics=metrics,
        routes=[*document["paths"], *paths.ROUTES], generation=lambda: searcher.generation or "",
    )  # fmt: skip
    return app


def _document(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document, with the limits of these settings and the need for a key."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document["components"]
    write_bounds(components["schemas"], settings)
    if settings.keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["security"] = [] if path in OPEN else [{"key": []}]
    return document
