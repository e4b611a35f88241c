"""POST /v1/embeddings in OpenAI's format, POST /v1/rerank in Cohere's."""

import base64
import uuid
from typing import Any

import numpy as np
from fastapi import APIRouter, Response

from dotbogi.indexes.dense import Vectors
from dotbogi.search.rerank import relevance
from dotbogi.search.service.bounds import check_embeddings, check_rerank
from dotbogi.search.service.context import InContext
from dotbogi.search.service.errors import ServiceError
from dotbogi.search.service.replies import json_reply
from dotbogi.search.service.schemas import EmbeddingsBody, EmbeddingsReply, RerankBody, RerankReply

router = APIRouter()


@router.post("/v1/embeddings", response_model=EmbeddingsReply)
async def embeddings(body: EmbeddingsBody, context: InContext) -> Response:
    """Encode texts with the published model: unit vectors."""
    texts = check_embeddings(body, context.settings)

    def work() -> Response:
        searcher = context.searcher.pinned()
        encoder = searcher.index.encoder
        if body.dimensions not in (None, encoder.dim):
            raise ServiceError(
                409, "dimensions", f"The model's vectors have {encoder.dim} dimensions only."
            )
        with context.metrics.stage("encode"):
            vectors = searcher.encode(texts, kind=body.kind)
            tokens = encoder.count_tokens(texts)
        content = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": position, "embedding": vector}
                for position, vector in enumerate(_written(vectors, body.encoding_format))
            ],
            "model": f"dotbogi-{searcher.generation}",
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return json_reply(content, searcher.generation)

    return await context.work.run(work)


def _written(vectors: Vectors, encoding_format: str) -> list[Any]:
    if encoding_format == "float":
        return list(vectors.tolist())
    return [base64.b64encode(row.astype(np.dtype("<f4")).tobytes()).decode() for row in vectors]


@router.post("/v1/rerank", response_model=RerankReply)
async def rerank(body: RerankBody, context: InContext) -> Response:
    """Order the caller's own documents by how well each answers the query."""
    check_rerank(body, context.settings)

    def work() -> Response:
        searcher = context.searcher.pinned()
        with context.metrics.stage("rerank"):
            scores = relevance(searcher.index, body.query, body.documents)
        best = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
        content = {
            "id": uuid.uuid4().hex,
            "results": [{"index": i, "relevance_score": scores[i]} for i in best[: body.top_n]],
            "meta": {"api_version": {"version": "2"}},
        }
        return json_reply(content, searcher.generation)

    return await context.work.run(work)
