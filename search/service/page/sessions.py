"""Sessions of people who entered a key: a signed cookie, so that the key itself is not stored."""

import secrets

from itsdangerous import BadData, TimestampSigner

from dotbogi.search.service.keys import Key, Keys

COOKIE = "dotbogi"
_SECONDS = 12 * 60 * 60


class Sessions:
    """The sessions of one process; they end with it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.keys
        self._signer = TimestampSigner(secrets.token_bytes(32))

    def begin(self, key: Key) -> str:
        """Return the value of a cookie that stands for this key."""
        # The key's number, because its name may not be ASCII.
        return self._signer.sign(str(self._keys.index(key))).decode()

    def find(self, cookie: str) -> Key | None:
        """Return the key that a cookie stands for; None if the cookie is invalid or too old."""
        try:
            return self._keys[int(self._signer.unsign(cookie, max_age=_SECONDS))]
        except (BadData, UnicodeEncodeError):
            return None
