"""Render the page's templates as HTML replies that load nothing from other sites."""

import base64
import hashlib
import re
from typing import Any
from urllib.parse import urlencode

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request

from dotbogi.search.service.errors import ServiceError, error_response
from dotbogi.search.service.keys import Role
from dotbogi.search.service.page import paths
from dotbogi.search.service.page.words import WORDS, language_of

_POLICY = (
    "default-src 'self'; style-src 'self'{styles}; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_KEPT = {"q": "query", "more": "more"}  # parameters that the link to the other language keeps
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)

_templates = Environment(
    loader=PackageLoader("dotbogi.search.service.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html_page(request: Request, template: str, status: int = 200, **names: Any) -> Response:
    """Render a template in the reader's language."""
    language = language_of(request)
    other = "en" if language == "ko" else "ko"
    query = {"lang": other, **{key: names[name] for key, name in _KEPT.items() if names.get(name)}}
    page = _templates.get_template(template).render(
        language=language,
        other=other,
        other_query=urlencode(query),
        words=WORDS[language],
        percent=percent,
        **names,
    )
    return html_reply(page, status)


def html_reply(page: str, status: int = 200) -> Response:
    """Return HTML with a security policy that allows only this service and the page's styles."""
    digests = (hashlib.sha256(style.encode()).digest() for style in _STYLE.findall(page))
    styles = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    headers = {
        "Content-Security-Policy": _POLICY.format(styles=styles),
        "Referrer-Policy": "no-referrer",  # the address contains the query
    }
    return Response(page, status, headers, "text/html; charset=utf-8")


def refusal(error: ServiceError, request: Request) -> Response:
    """Return an error as JSON, or as a page for people; for 401 and 403 it asks for a key."""
    accepts = request.headers.get("accept", "")
    path = request.scope["path"]
    for_people = path in (paths.ENTER, paths.LEAVE) or (
        request.method == "GET" and (paths.is_page(path) or "text/html" in accepts)
    )
    if not for_people:
        return error_response(error, request.state.request_id)
    if error.status in (401, 403):
        wanted = paths.shown_after_entering(f"{path}?{request.url.query}")
        return key_page(request, wanted, error.status, "key_low" if error.code == "role" else None)
    words = WORDS[language_of(request)]
    text = words.get(f"error_{error.code}") or words.get(f"error_{error.status}")
    response = html_page(request, "problem.html.jinja", error.status, problem=text)
    response.headers.update(error.headers or {})
    return response


def key_page(request: Request, wanted: str, status: int, problem: str | None) -> Response:
    """Return the page that asks for a key; `problem` names the text that says what was wrong."""
    words = WORDS[language_of(request)]
    text = words[problem] if problem else None
    response = html_page(request, "key.html.jinja", status, wanted=wanted, problem=text)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def may(request: Request, role: Role) -> bool:
    """Return whether the caller has a role; without keys, everybody has all of them."""
    held: Role = request.state.role
    return held >= role


def percent(share: float) -> int:
    """Return a share in whole percent; only exactly 0 and 1 give 0 and 100.

    >>> percent(0.834), percent(0.999), percent(1.0)
    (83, 99, 100)
    """
    return round(100 * share) if share in (0, 1) else min(99, max(1, round(100 * share)))
