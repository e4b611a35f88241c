"""What a running service lets in."""

from dataclasses import dataclass, field

from dotbogi.search.service.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The bounds of a service, and who may use it."""

    keys: Keys = field(default_factory=Keys)  # none: everything is open, on loopback only
    threads: int = 2  # searches at a time
    max_waiting: int = 64  # searches that wait for a thread; one more is answered 429
    max_requests: int = 256  # open at a time, those whose body is still on its way included
    max_body: int = 1_000_000  # bytes
    body_seconds: float = 10.0  # for the whole body to arrive
    max_query: int = 1_000  # characters
    max_text: int = 10_000  # characters of a text to embed, or of a document to rank
    max_batch: int = 256  # queries, texts or documents of a request
    max_k: int = 100
