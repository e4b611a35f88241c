"""POST /v1/search and GET /v1/answers/{id}."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response

from dotbogi.indexes.hits import Hit
from dotbogi.search.explain import Explanation, explain_hits
from dotbogi.search.searcher import Searcher
from dotbogi.search.service.bounds import check_search
from dotbogi.search.service.context import InContext
from dotbogi.search.service.errors import ServiceError
from dotbogi.search.service.replies import json_reply
from dotbogi.search.service.schemas import (
    AnswerReply,
    SearchBody,
    SearchMany,
    SearchOne,
    SearchReply,
)

router = APIRouter()

_EXAMPLES: list[Any] = [{"query": "배가 고파요", "k": 3}, {"queries": ["환불", "배송"], "k": 1}]


@router.post("/v1/search", response_model=SearchReply)
async def search(
    body: Annotated[SearchBody, Body(examples=_EXAMPLES)], context: InContext
) -> Response:
    """Find the answers to one query or to several."""
    queries = check_search(body, context.settings)

    def work() -> Response:
        searcher = context.searcher.pinned()
        with context.metrics.stage("search"):
            hits_by_query = _search(searcher, queries, body)
        context.metrics.results(hits_by_query)
        reasons = {}
        if body.explain:
            with context.metrics.stage("explain"):
                reasons = _explained(searcher, queries, hits_by_query, body)
        with context.metrics.stage("write"):
            results = [
                {"hits": [_shown(hit, reasons.get((number, hit.answer_id))) for hit in hits]}
                for number, hits in enumerate(hits_by_query)
            ]
            return json_reply({"results": results}, searcher.generation)

    return await context.work.run(work)


def _search(
    searcher: Searcher, queries: list[str], body: SearchOne | SearchMany
) -> list[list[Hit]]:
    return searcher.search_many(
        queries, body.k, where=body.where, min_confidence=body.min_confidence
    )


def _explained(
    searcher: Searcher,
    queries: list[str],
    hits_by_query: list[list[Hit]],
    body: SearchOne | SearchMany,
) -> dict[tuple[int, str], Explanation]:
    return {
        (number, hit.answer_id): reason
        for number, (query, hits) in enumerate(zip(queries, hits_by_query, strict=True))
        for hit, reason in zip(
            hits, explain_hits(searcher, query, hits, where=body.where), strict=True
        )
    }


def _shown(hit: Hit, reason: Explanation | None) -> dict[str, Any]:
    return {
        "answer_id": hit.answer_id,
        "text": hit.text,
        "score": hit.score,
        "confidence": hit.confidence,
        "question": hit.question,
        "metadata": dict(hit.metadata),
        "signals": {name: evidence._asdict() for name, evidence in hit.signals.items()},
        "explanation": asdict(reason) if reason else None,
    }


@router.get("/v1/answers/{answer_id:path}", response_model=AnswerReply)
async def answer(answer_id: Annotated[str, Path(max_length=200)], context: InContext) -> Response:
    """Return one answer of the published generation."""
    searcher = context.searcher.pinned()
    match = searcher.index.answers.get(answer_id)
    if match is None:
        raise ServiceError(404, "no_such_answer", "The generation has no answer with this id.")
    content = {"id": match.id, "text": match.text, "metadata": dict(match.metadata)}
    return json_reply(content, searcher.generation)
