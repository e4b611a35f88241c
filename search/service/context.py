"""What the routes share."""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fastapi import Depends, Request

from dotbogi.search.feedback import FeedbackStore
from dotbogi.search.searcher import Searcher
from dotbogi.search.service.metrics import Metrics
from dotbogi.search.service.page.sessions import Sessions
from dotbogi.search.service.settings import Settings
from dotbogi.search.service.work import Work


class RoundsPages(Protocol):
    """The HTML of what training leaves behind; made by whoever knows of training."""

    def history(self, language: Literal["ko", "en"]) -> str:
        """Return the page of all generations and rounds."""

    def report(self, run: str) -> str | None:
        """Return the report of a run; None if there is none."""


@dataclass(frozen=True, slots=True)
class Context:
    """One running service."""

    searcher: Searcher
    feedback: FeedbackStore
    settings: Settings
    metrics: Metrics
    work: Work  # searches
    writing: Work  # feedback, so that a slow disk holds up no search
    sessions: Sessions
    rounds: RoundsPages | None  # None: the page has none


async def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


InContext = Annotated[Context, Depends(_context)]
