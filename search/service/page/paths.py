"""The page's addresses, and who may see them."""

from urllib.parse import quote, urlsplit

from dotbogi.search.service.keys import Role

HOME, ROUNDS, ANSWERS, DOCS = "/", "/rounds", "/page/answers", "/docs"
ENTER, LEAVE = "/page/enter", "/page/leave"
STATIC = {  # address → content type
    "/page/page.css": "text/css; charset=utf-8",
    "/page/page.js": "text/javascript; charset=utf-8",
    "/page/docs.js": "text/javascript; charset=utf-8",
    "/page/icon.svg": "image/svg+xml",
}
SWAGGER = {  # of the package fastapi-offline
    "/page/swagger-ui.css": "text/css; charset=utf-8",
    "/page/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
OPEN = frozenset({ENTER, LEAVE, *STATIC, *SWAGGER})  # need no key

# A run's report shows users' questions, so only the owner of the collection may see it.
ROLES = {ROUNDS: Role.ADMIN}
ROUTES = (HOME, ROUNDS, f"{ROUNDS}/{{run}}", ANSWERS, DOCS, ENTER, LEAVE, *STATIC, *SWAGGER)


def is_page(path: str) -> bool:
    """Return whether a path is a page for people, who enter their key in a form."""
    return path in (HOME, ROUNDS, ANSWERS, DOCS) or path.startswith(f"{ROUNDS}/")


def shown_after_entering(address: str) -> str:
    """Return the wanted address if it is one of the page's, else the front page.

    >>> shown_after_entering("/rounds?lang=en"), shown_after_entering("//example.org/")
    ('/rounds?lang=en', '/')
    >>> shown_after_entering("/?q=배")
    '/?q=%EB%B0%B0'
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return HOME
    if parts.scheme or parts.netloc or parts.path == ANSWERS or not is_page(parts.path):
        return HOME
    return quote(parts.path + (f"?{parts.query}" if parts.query else ""), safe="/?=&%+")
