"""Errors of the service: one small format that never repeats the input."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dotbogi.indexes.errors import DotbogiError, NothingIndexedError, UsageError
from dotbogi.search.service.schemas import BODIES

_LONGEST = 500  # characters of a message
_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}

_FIELDS = frozenset(name for body in BODIES for name in body.model_fields)

logger = logging.getLogger(__name__)


class ServiceError(Exception):
    """The error response to a request. Its message never quotes the request."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def error_response(error: ServiceError, request_id: str) -> JSONResponse:
    """Return the response {"error": {"code", "message", "request_id"}}."""
    message = " ".join(error.message.split())[:_LONGEST]
    content = {"error": {"code": error.code, "message": message, "request_id": request_id}}
    return JSONResponse(content, error.status, headers=error.headers)


def internal_error() -> ServiceError:
    """Return the error for a failure of the service itself."""
    return ServiceError(500, "internal", "The service failed; see its log.")


def nothing_indexed() -> ServiceError:
    """Return the error for a service without a published generation."""
    return ServiceError(
        503, "nothing_indexed", "Nothing is indexed here yet.", {"Retry-After": "5"}
    )


def add_handlers(app: FastAPI, refusal: Callable[[ServiceError, Request], Response]) -> None:
    """Answer every error that a route raises with `refusal`."""

    async def handle(request: Request, error: Exception) -> Response:
        return refusal(_as_service_error(error), request)

    for kind in (ServiceError, RequestValidationError, HTTPException, DotbogiError):
        app.add_exception_handler(kind, handle)


def _as_service_error(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, RequestValidationError):
        return _validation_error(error)
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "refused")
        return ServiceError(error.status_code, code, _PHRASES.get(code, code), error.headers)
    if isinstance(error, NothingIndexedError):
        return nothing_indexed()
    if isinstance(error, UsageError):  # its message may quote the request
        logger.warning("search refused a request: %s", type(error).__name__)
        return ServiceError(422, "invalid", "The search cannot use this request.")
    logger.error("%s", error)
    return ServiceError(
        503, "unavailable", "The service cannot do this now; see its log.",
        {"Retry-After": "5"},
    )  # fmt: skip


_PHRASES = {
    "bad_request": "The body cannot be read.",
    "not_found": "There is no such page.",
    "method_not_allowed": "The method is not allowed; see the header Allow.",
    "too_large": "The body is too large.",
}


def _validation_error(error: RequestValidationError) -> ServiceError:
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return ServiceError(400, "invalid_json", "The body is not valid JSON.")
    lines = [_problem(problem) for problem in problems[:3]]
    more = f"; {len(problems) - 3} more" if len(problems) > 3 else ""
    return ServiceError(422, "invalid", "; ".join(lines) + more)


def _problem(problem: Mapping[str, Any]) -> str:
    """Return a field and what is wrong with it, without names that the caller made up."""
    path = [str(part) for part in problem["loc"][1:] if isinstance(part, int) or part in _FIELDS]
    return f"{'.'.join(path) or 'body'}: {_message(problem)}"


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown field"
    return str(problem["msg"])
