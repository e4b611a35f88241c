"""What the routes share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from search.feedback import FeedbackStore
from search.searcher import Searcher
from search.service.metrics import Metrics
from search.service.settings import Settings
from search.service.work import Work


@dataclass(frozen=True, slots=True)
class Context:
    """One running service."""

    searcher: Searcher
    feedback: FeedbackStore
    settings: Settings
    metrics: Metrics
    work: Work  # searches
    writing: Work  # feedback, so that a slow disk holds up no search


async def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


InContext = Annotated[Context, Depends(_context)]
