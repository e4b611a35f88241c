"""Search over HTTP. Needs the extra `serve`."""

from dotbogi.search.service.app import create_app
from dotbogi.search.service.keys import Keys, Role, read_keys
from dotbogi.search.service.server import serve
from dotbogi.search.service.settings import Settings

__all__ = ["Keys", "Role", "Settings", "create_app", "read_keys", "serve"]
