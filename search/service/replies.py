"""JSON replies that name their generation."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Response

GENERATION = "X-Dotbogi-Generation"


def json_reply(content: Mapping[str, Any], generation: str | None, status: int = 200) -> Response:
    """Return a reply with its generation in the body and in a header.

    Call it on a worker thread if the reply may be large: it would block the event loop.
    """
    named = {"generation": generation or "", **content}
    body = json.dumps(named, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(body, status, {GENERATION: generation or ""}, "application/json")
