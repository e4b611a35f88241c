"""GET / and what belongs to it."""

import asyncio
import functools
import importlib.resources
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response

from dotbogi.search.service.context import Context, InContext
from dotbogi.search.service.errors import ServiceError
from dotbogi.search.service.keys import Role
from dotbogi.search.service.page import paths
from dotbogi.search.service.page.render import html_page, html_reply, key_page, may
from dotbogi.search.service.page.results import MORE, SHOWN, find_results
from dotbogi.search.service.page.sessions import COOKIE
from dotbogi.search.service.page.words import WORDS, language_of

router = APIRouter(include_in_schema=False)


@router.get(paths.HOME)
async def home(request: Request, context: InContext, q: str = "", more: bool = False) -> Response:
    """Return the page, with the answers if something was asked."""
    return await _answered(request, context, "search.html.jinja", q, more)


@router.get(paths.ANSWERS)
async def answers(request: Request, context: InContext, q: str = "") -> Response:
    """Return the part of the page that changes while one types."""
    return await _answered(request, context, "answers.html.jinja", q, False)


async def _answered(
    request: Request, context: Context, template: str, typed: str, more: bool
) -> Response:
    words, settings = WORDS[language_of(request)], context.settings
    count = min(MORE if more else SHOWN, settings.max_k)

    def work() -> Response:
        searcher = context.searcher.pinned()
        with context.metrics.stage("search"):
            results = find_results(searcher.index, typed, count, settings.max_query, words)
        if results.query:
            context.metrics.results([results.hits])
        return html_page(
            request,
            template,
            query=results.query,
            results=results,
            generation=searcher.generation,
            more=more,
            may_be_more=not more and len(results.hits) == count,
            most=settings.max_query,
            may_vote=may(request, Role.FEEDBACK),
            may_see_rounds=context.rounds is not None and may(request, Role.ADMIN),
            entered=bool(settings.keys) and bool(request.cookies.get(COOKIE)),
        )

    return await context.work.run(work)


@router.get(paths.ROUNDS)
async def rounds(request: Request, context: InContext) -> Response:
    """Return the history of generations and rounds."""
    if context.rounds is None:
        raise ServiceError(404, "not_found", "There is no such page.")
    page = await asyncio.to_thread(context.rounds.history, language_of(request))
    return html_reply(page)


@router.get(f"{paths.ROUNDS}/{{run}}")
async def report(run: str, context: InContext) -> Response:
    """Return the report of a run, as it was written when the run ended."""
    found = await asyncio.to_thread(context.rounds.report, run) if context.rounds else None
    if found is None:
        raise ServiceError(404, "no_such_report", "There is no report of such a run.")
    return html_reply(found)


@router.post(paths.ENTER)
async def enter(request: Request, context: InContext) -> Response:
    """Take a key that was typed, and begin a session with it."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    given, wanted = form.get("key", [""])[0].strip(), form.get("next", [""])[0]
    wanted = paths.shown_after_entering(wanted)
    key = context.settings.keys.find(given)
    if key is None:
        return key_page(request, wanted, 401, "key_wrong")
    response = _redirect(wanted)
    response.set_cookie(
        COOKIE,
        context.sessions.begin(key),
        httponly=True,
        samesite="lax",
        secure=_is_https(request),
    )
    return response


@router.get(paths.ENTER)
async def entrance(request: Request) -> Response:
    """Return to the page, which asks for a key: a link on it chooses a language at this address."""
    return _redirect(f"{paths.HOME}?lang={language_of(request)}")


@router.post(paths.LEAVE)
async def leave(request: Request) -> Response:
    """End a session."""
    response = _redirect(f"{paths.HOME}?lang={language_of(request)}")
    response.delete_cookie(COOKIE)
    return response


def _redirect(path: str) -> Response:
    return Response(status_code=303, headers={"Location": path})


def _is_https(request: Request) -> bool:
    """Tell whether the browser's connection is encrypted, as the proxy before this one says."""
    return request.headers.get("x-forwarded-proto", request.url.scheme) == "https"


def _static(request: Request) -> Response:
    path = request.url.path
    content = _read(path.rpartition("/")[2])
    return Response(content, headers={"Cache-Control": "no-cache"}, media_type=paths.STATIC[path])


@functools.cache
def _read(name: str) -> bytes:
    return (importlib.resources.files(__package__) / "static" / name).read_bytes()


for _path in paths.STATIC:
    router.add_api_route(_path, _static, methods=["GET"])
