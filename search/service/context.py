"""The state that the routes share."""

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
    """Renders the results of training as HTML; implemented outside of search."""

    def history(self, language: Literal["ko", "en"]) -> str:
        """Return the page of all generations and rounds."""

    def report(self, run: str) -> str | None:
        """Return the report page of a run; None if there is none."""


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of one running service."""

    searcher: Searcher
    feedback: FeedbackStore
    settings: Settings
    metrics: Metrics
    work: Work  # searches
    writing: Work  # feedback, separate so that a slow disk delays no search
    sessions: Sessions
    rounds: RoundsPages | None  # None: there are no such pages


async def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


InContext = Annotated[Context, Depends(_context)]
