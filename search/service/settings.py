"""The settings of a service."""

from dataclasses import dataclass, field

from dotbogi.search.service.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The limits and the keys of a service."""

    keys: Keys = field(default_factory=Keys)  # none: all is open, but only on loopback
    failed_keys: int = 100  # wrong keys that an address may send in a minute; then it gets 429
    threads: int = 2  # searches at a time
    max_waiting: int = 64  # searches waiting for a thread; one more gets a 429
    max_wait: int = 20  # seconds that a search waits for a thread; then it gets a 503
    max_requests: int = 256  # open at a time, including those whose body is still arriving
    max_connections: int = 512  # open at a time; fewer if there are not descriptors for them
    head_seconds: float = 10.0  # for the head of a request to arrive, from the connection or reply
    reply_seconds: float = 30.0  # for a reply to be taken by its caller
    max_unread: int = 64_000_000  # bytes of replies that wait to be taken, of all callers
    max_body: int = 1_000_000  # bytes
    body_seconds: float = 10.0  # for the whole body to arrive
    max_query: int = 1_000  # characters
    max_text: int = 10_000  # characters of a text to embed, or of a document to rank
    max_batch: int = 256  # queries, texts or documents per request
    max_k: int = 100
    max_cost: int = 20_000  # of a request; see bounds.py
