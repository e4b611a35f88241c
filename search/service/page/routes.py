"""The routes of the page: GET / and those that belong to it."""

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
    """Return the page, with answers if there is a query."""
    return await _answered(request, context, "search.html.jinja", q, more)


@router.get(paths.ANSWERS)
async def answers(request: Request, context: InContext, q: str = "") -> Response:
    """Return the part of the page that changes while the user types."""
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
    page = await asyncio.to_thread(context.rounds.report, run) if context.rounds else None
    if page is None:
        raise ServiceError(404, "no_such_report", "There is no report of this run.")
    return html_reply(page)


@router.get(paths.DOCS)
async def docs(request: Request) -> Response:
    """Return Swagger UI for the OpenAPI document, with its files served here too."""
    return html_page(request, "docs.html.jinja")


@router.post(paths.ENTER)
async def enter(request: Request, context: InContext) -> Response:
    """Check a typed key, and begin a session with it."""
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
    """Redirect to the page, which asks for a key; the key form's language link leads here."""
    return _redirect(f"{paths.HOME}?lang={language_of(request)}")


@router.post(paths.LEAVE)
async def leave(request: Request, context: InContext) -> Response:
    """End a session, here and in the browser."""
    context.sessions.end(request.cookies.get(COOKIE, ""))
    response = _redirect(f"{paths.HOME}?lang={language_of(request)}")
    response.delete_cookie(COOKIE)
    return response


def _redirect(path: str) -> Response:
    return Response(status_code=303, headers={"Location": path})


def _is_https(request: Request) -> bool:
    """Return whether the browser's connection is encrypted, even if it ends at a proxy."""
    return request.headers.get("x-forwarded-proto", request.url.scheme) == "https"


def _static(request: Request) -> Response:
    path = request.url.path
    package = "fastapi_offline" if path in paths.SWAGGER else __package__
    content = _read(package, path.rpartition("/")[2])
    kind = (paths.STATIC | paths.SWAGGER)[path]
    return Response(content, headers={"Cache-Control": "no-cache"}, media_type=kind)


@functools.cache
def _read(package: str, name: str) -> bytes:
    return (importlib.resources.files(package) / "static" / name).read_bytes()


for _path in (*paths.STATIC, *paths.SWAGGER):
    router.add_api_route(_path, _static, methods=["GET"])
