"""The search over HTTP. Needs the extra `serve`."""

from search.service.app import create_app
from search.service.keys import Keys, Role, read_keys
from search.service.server import serve
from search.service.settings import Settings

__all__ = ["Keys", "Role", "Settings", "create_app", "read_keys", "serve"]
