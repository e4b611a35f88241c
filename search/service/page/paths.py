"""The page's addresses, and who may see them."""

from search.service.keys import Role

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
