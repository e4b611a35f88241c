"""The page's addresses, and who may see them."""

from urllib.parse import quote, urlsplit

from dotbogi.search.service.keys import Role

HOME, ROUNDS, ANSWERS = "/", "/rounds", "/page/answers"
ENTER, LEAVE = "/page/enter", "/page/leave"
STATIC = {  # address → content type
    "/page/page.css": "text/css; charset=utf-8",
    "/page/page.js": "text/javascript; charset=utf-8",
    "/page/icon.svg": "image/svg+xml",
}
OPEN = frozenset({ENTER, LEAVE, *STATIC})  # without a key, which they ask for or which none has

# What a run's report shows, the questions of users among it, is for whoever owns the collection.
ROLES = {ROUNDS: Role.ADMIN}
ROUTES = (HOME, ROUNDS, f"{ROUNDS}/{{run}}", ANSWERS, ENTER, LEAVE, *STATIC)


def is_page(path: str) -> bool:
    """Tell whether a path is shown to people, who enter their key on the page."""
    return path in (HOME, ROUNDS, ANSWERS) or path.startswith(f"{ROUNDS}/")


def shown_after_entering(address: str) -> str:
    """Return the address that was wanted, if it is one of the page's; or else its front page.

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
