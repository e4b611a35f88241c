"""Who has entered a key on the page: a signed cookie, so that the key itself is kept nowhere."""

import hashlib
import hmac
import secrets
import time

from dotbogi.search.service.keys import Key, Keys

COOKIE = "dotbogi"
_SECONDS = 12 * 60 * 60


class Sessions:
    """The sessions of one process; they end with it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.keys
        self._secret = secrets.token_bytes(32)

    def begin(self, key: Key) -> str:
        """Return the value of a cookie that stands for this key."""
        number = self._keys.index(key)  # its name may not be ASCII
        said = f"{number}.{int(time.time()) + _SECONDS}"
        return f"{said}.{self._signature(said)}"

    def find(self, cookie: str) -> Key | None:
        """Return whose cookie this is; None if it is not one of ours, or too old."""
        said, _, signature = cookie.rpartition(".")
        # As bytes: compare_digest refuses other characters than ASCII in texts.
        if not hmac.compare_digest(
            signature.encode("utf-8", "surrogatepass"), self._signature(said).encode()
        ):
            return None
        number, _, until = said.partition(".")
        return self._keys[int(number)] if int(until) > time.time() else None

    def _signature(self, said: str) -> str:
        text = said.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()
