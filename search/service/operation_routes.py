"""Routes for operations: /healthz, /readyz, /metrics, /openapi.json and /admin/reload."""

import asyncio
import logging
from typing import Any

from fastapi import APIRouter, Request, Response

from dotbogi.indexes.errors import DotbogiError
from dotbogi.search.service.context import InContext
from dotbogi.search.service.errors import ServiceError, nothing_indexed
from dotbogi.search.service.metrics import CONTENT_TYPE
from dotbogi.search.service.replies import json_reply
from dotbogi.search.service.schemas import ReadyReply, ReloadReply, StateReply

router = APIRouter()

logger = logging.getLogger(__name__)


@router.get("/healthz", response_model=StateReply)
async def healthz(context: InContext) -> Response:
    """Report that the process is alive; needs no key."""
    return json_reply({"status": "ok"}, context.searcher.generation)


@router.get("/readyz", response_model=ReadyReply)
async def readyz(context: InContext) -> Response:
    """Report whether a search would be accepted now, and problems on the disk; needs no key."""
    if context.searcher.generation is None:
        raise nothing_indexed()
    if context.work.full:
        raise ServiceError(503, "busy", "The queue is full.", {"Retry-After": "1"})
    content = {"status": "ready"}
    if problem := await asyncio.to_thread(context.searcher.problem):
        content["problem"] = problem
    return json_reply(content, context.searcher.generation)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(context: InContext) -> Response:
    """Return the counters in Prometheus' text format."""
    return Response(
        context.metrics.text(context.searcher.generation or ""), media_type=CONTENT_TYPE
    )


@router.post("/admin/reload", response_model=ReloadReply)
async def reload(context: InContext) -> Response:
    """Move to the published generation now; searches continue meanwhile."""
    try:
        changed = await asyncio.to_thread(context.searcher.reload)
    except DotbogiError as error:
        logger.exception("reload failed")
        raise ServiceError(
            409, "reload_failed",
            "The published generation cannot be opened; the old one still answers. See the log.",
        ) from error  # fmt: skip
    return json_reply({"changed": changed}, context.searcher.generation)


@router.get("/openapi.json")
async def openapi(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document of this service."""
    document: dict[str, Any] = request.app.state.document
    return document
