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
    400: {"description": "Not JSON"},
    401: {"description": "No key, or a wrong one"},
    403: {"description": "The key's role is too low"},
    404: {"description": "Not there"},
    405: {"description": "Another method is needed"},
    408: {"description": "The body was too slow"},
    409: {"description": "Not in the state that the workspace is in"},
    413: {"description": "The body is too large"},
    415: {"description": "Not application/json"},
    421: {"description": "Without keys: not asked as localhost"},
    422: {"description": "Not as described here, or over a limit"},
    429: {"description": "Too much at once; Retry-After says when to come again"},
    500: {"description": "A fault of the service"},
    503: {"description": "Not now"},
}


def create_app(
    searcher: Searcher,
    feedback: FeedbackStore,
    settings: Settings,
    rounds: RoundsPages | None = None,
) -> FastAPI:
    """Return the service over an open searcher and a feedback store, which it does not close.

    `rounds` makes what /rounds shows; without it that page is not there.
    """
    metrics, sessions = Metrics(), Sessions(settings.keys)
    work = Work("search", settings.threads, settings.max_waiting, metrics)
    writing = Work("feedback", 1, settings.max_waiting, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        work.close()
        writing.close()

    app = FastAPI(
        title="dotbogi",
        version=version("dotbogi"),
        description="Finds the right answer to a question.",
        openapi_url=None,  # ours needs a key
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
    """Return the OpenAPI document, with the bounds of these settings and what needs a key."""
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
