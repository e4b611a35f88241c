"""Sessions of people who entered a key: a signed cookie, so that the key itself is not stored."""

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
        number = self._keys.index(key)  # not its name, which may not be ASCII
        payload = f"{number}.{int(time.time()) + _SECONDS}"
        return f"{payload}.{self._signature(payload)}"

    def find(self, cookie: str) -> Key | None:
        """Return the key that a cookie stands for; None if the cookie is invalid or too old."""
        payload, _, signature = cookie.rpartition(".")
        # As bytes: compare_digest refuses strings that are not ASCII.
        if not hmac.compare_digest(
            signature.encode("utf-8", "surrogatepass"), self._signature(payload).encode()
        ):
            return None
        number, _, until = payload.partition(".")
        return self._keys[int(number)] if int(until) > time.time() else None

    def _signature(self, payload: str) -> str:
        text = payload.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()
