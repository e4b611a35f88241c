"""An encoder that looks in a workspace's cache first."""

from collections.abc import Sequence

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.dense import Vectors
from dotbogi.search.encoders.encoder import Encoder


class CachedEncoder:
    """Encodes only texts that the cache does not have, and adds their vectors to it."""

    def __init__(self, encoder: Encoder, cache: Cache) -> None:
        self._encoder, self._cache = encoder, cache
        self.dim, self.fingerprint = encoder.dim, encoder.fingerprint
        self.count_tokens = encoder.count_tokens

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt."""
        name = f"{self.fingerprint}.query"
        return self._cache.vectors(name, texts, self._encoder.encode_queries, self.dim)

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""
        name = f"{self.fingerprint}.answer"
        return self._cache.vectors(name, texts, self._encoder.encode_answers, self.dim)
