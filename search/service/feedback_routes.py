"""POST /v1/feedback."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from dotbogi.search.feedback import Feedback
from dotbogi.search.service.bounds import check_feedback
from dotbogi.search.service.context import InContext
from dotbogi.search.service.errors import ServiceError
from dotbogi.search.service.replies import json_reply
from dotbogi.search.service.schemas import FeedbackBody, FeedbackReply

router = APIRouter()


@router.post(
    "/v1/feedback",
    response_model=FeedbackReply,
    status_code=201,
    responses={200: {"model": FeedbackReply, "description": "It was stored already."}},
)
async def feedback(body: FeedbackBody, context: InContext) -> Response:
    """Store a user's verdict on an answer; it is on the disk before the reply."""
    check_feedback(body, context.settings)
    searcher = context.searcher.pinned()
    match = searcher.index.answers.get(body.answer_id)
    if match is None:
        raise ServiceError(404, "no_such_answer", "The generation has no answer with this id.")
    if not context.searcher.knows(body.generation):
        raise ServiceError(404, "no_such_generation", "There has been no such generation.")
    entry = Feedback(
        id=body.id,
        client=body.client,
        query=body.query,
        shown=tuple(body.shown),
        answer_id=match.id,  # the client may have seen it under a former id
        verdict=body.verdict,
        generation=body.generation,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )

    def work() -> bool:
        with context.metrics.stage("feedback"):
            return context.feedback.add(entry)

    stored = await context.writing.run(work)
    return json_reply({"stored": stored}, searcher.generation, 201 if stored else 200)
