"""Sessions of people who entered a key: a signed cookie, so that the key itself is not stored."""

import secrets

from itsdangerous import BadData, TimestampSigner

from dotbogi.search.service.keys import Key, Keys

COOKIE = "dotbogi"
_SECONDS = 12 * 60 * 60
_ENDED = 10_000  # sessions that are remembered as ended


class Sessions:
    """The sessions of one process; they end with it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.keys
        self._start()

    def _start(self) -> None:
        self._signer = TimestampSigner(secrets.token_bytes(32))
        self._ended: set[str] = set()

    def begin(self, key: Key) -> str:
        """Return the value of a cookie that stands for this key."""
        # The key's number, because its name may not be ASCII.
        return self._signer.sign(f"{self._keys.index(key)}-{secrets.token_hex(16)}").decode()

    def find(self, cookie: str) -> Key | None:
        """Return the key that a cookie stands for; None if it is invalid, too old, or ended."""
        try:
            session = self._signer.unsign(cookie, max_age=_SECONDS).decode()
        except (BadData, UnicodeEncodeError):
            return None
        if session in self._ended:
            return None
        return self._keys[int(session.partition("-")[0])]

    def end(self, cookie: str) -> None:
        """Make a cookie invalid, also for whoever has copied it."""
        if self.find(cookie) is None:
            return
        self._ended.add(self._signer.unsign(cookie).decode())
        if len(self._ended) > _ENDED:
            self._start()  # ends all sessions rather than forgetting which have ended
