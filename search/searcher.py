"""`Searcher`: what a backend imports."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from indexes.errors import UsageError
from indexes.hits import Candidate, Evidence, Hit, Ranking
from indexes.store import Workspace
from indexes.text import clean, is_valid_unicode, same_text_key
from indexes.views import BM25_VIEWS, DENSE_VIEWS, SIGNALS
from search.encoders import Encoder
from search.fusion import fuse
from search.index import SearchIndex, open_index
from search.maxsim import MAXSIM, MaxSim

CANDIDATES = 100  # answers a signal puts forward
_BATCH = 512  # queries searched together; bounds the memory


class Searcher:
    """Finds the answers to queries in one open generation; safe to use from many threads."""

    def __init__(self, index: SearchIndex, generation: str | None = None) -> None:
        self.index = index
        self.generation = generation  # its name; None for an index that was never published

    @classmethod
    def open(cls, workspace: str | Path, *, encoder: Encoder | None = None) -> "Searcher":
        """Open the published generation of a workspace, its files checked.

        Args:
            workspace: its folder.
            encoder: a loaded model to use in place of the generation's own copy.

        Raises:
            DotbogiError: nothing is indexed there, or (DamagedError) a file is not what was
                published, or (ModelMismatchError) the encoder is not the index's model.
        """
        generation = Workspace(workspace).current()
        return cls(open_index(generation, encoder), generation.name)

    def search(self, query: str, k: int = 10, *, min_confidence: float | None = None) -> list[Hit]:
        """Return the `k` best answers to a query, best first; see `search_many`."""
        return self.search_many([query], k, min_confidence=min_confidence)[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, min_confidence: float | None = None
    ) -> list[list[Hit]]:
        """Return the `k` best answers to each query, best first.

        Args:
            queries: as typed.
            k: answers a query.
            min_confidence: a query whose first answer is right with a lower probability has no
                good answer: its list is empty.

        Raises:
            UsageError: `k` is not positive, a query is not valid Unicode, or a confidence is
                asked for that was never calibrated.
        """
        if k < 1:
            raise UsageError(f"k is {k}; expected 1 or more.")
        if min_confidence is not None:
            self._check_confidence(min_confidence)
        found = self.rankings(queries, n=max(CANDIDATES, k))
        return [
            self._hits(query, signals, k, min_confidence)
            for query, signals in zip(queries, found, strict=True)
        ]

    def _check_confidence(self, wanted: float) -> None:
        if not 0 <= wanted <= 1:
            raise UsageError(f"min_confidence is {wanted}; expected 0 to 1.")
        if self.index.calibration is None:
            raise UsageError(
                f"generation {self.generation} has no calibrated confidence. "
                "Fit it on known questions (some 300 or more): dotbogi train"
            )

    def _hits(
        self, query: str, signals: Mapping[str, Ranking], k: int, min_confidence: float | None
    ) -> list[Hit]:
        ranked = self._ranked(query, signals)
        confidence = self.confidence(query, signals, ranked)
        if confidence is not None and min_confidence is not None and confidence < min_confidence:
            return []
        hits = [self._hit(candidate, signals) for candidate in ranked[:k]]
        return [replace(hit, confidence=confidence) for hit in hits[:1]] + hits[1:]

    def confidence(
        self, query: str, signals: Mapping[str, Ranking], ranked: Ranking
    ) -> float | None:
        """Return P(the first answer is right); None before `train` has calibrated it."""
        if self.index.calibration is None:
            return None
        return self.index.calibration.confidence(clean(query), signals, ranked)

    def _ranked(self, query: str, signals: Mapping[str, Ranking]) -> Ranking:
        """Merge the signals; the answer of a known question comes first to that very question."""
        fused = self.fuse(signals)
        key = same_text_key(query)
        return sorted(fused, key=lambda c: c.question is None or same_text_key(c.question) != key)

    def rankings(self, queries: Sequence[str], n: int = CANDIDATES) -> list[dict[str, Ranking]]:
        """Return, for each query, the `n` best answers of every signal.

        Args:
            queries: as typed; cleaned as the collection's texts were.
            n: answers a signal.
        """
        if not all(map(is_valid_unicode, queries)):
            raise UsageError("the query is not valid Unicode (a lone surrogate).")
        cleaned = [clean(query) for query in queries]
        found: list[dict[str, Ranking]] = []
        for start in range(0, len(cleaned), _BATCH):
            found += self._rankings(cleaned[start : start + _BATCH], n)
        return found

    def _rankings(self, cleaned: Sequence[str], n: int) -> list[dict[str, Ranking]]:
        tokens = self.index.analyzer.tokenize_queries(cleaned)
        vectors = self.index.encoder.encode_queries(cleaned)
        vectors[[not query for query in cleaned]] = 0  # a prompt alone is not a query
        views = self.index.views
        found = {f"bm25.{name}": views[name].search_bm25(tokens, n) for name in BM25_VIEWS}
        found |= {f"dense.{name}": views[name].search_dense(vectors, n) for name in DENSE_VIEWS}
        signals = [{name: found[name][i] for name in SIGNALS} for i in range(len(cleaned))]
        if self.index.maxsim is not None:
            for query, of_query in zip(cleaned, signals, strict=True):
                of_query[MAXSIM] = self._maxsim(self.index.maxsim, query, of_query)
        return signals

    def _maxsim(self, maxsim: MaxSim, query: str, signals: Mapping[str, Ranking]) -> Ranking:
        """Order every answer that the other signals found."""
        found = sorted({c.answer_id for ranking in signals.values() for c in ranking})
        scores = maxsim.scores(query, found).round(9).tolist()
        ranking = [Candidate(a, score) for a, score in zip(found, scores, strict=True)]
        return sorted(ranking, key=lambda candidate: (-candidate.score, candidate.answer_id))

    def fuse(self, signals: Mapping[str, Ranking], method: str = "hybrid") -> Ranking:
        """Merge one query's signals with the weights of this index."""
        return fuse(signals, method, self.index.weights)

    def _hit(self, candidate: Candidate, signals: Mapping[str, Ranking]) -> Hit:
        answer = self.index.answers[candidate.answer_id]
        evidence = {
            signal: Evidence(rank, found.score)
            for signal, ranking in signals.items()
            for rank, found in enumerate(ranking, 1)
            if found.answer_id == candidate.answer_id
        }
        return Hit(
            answer_id=answer.id,
            text=answer.text,
            score=candidate.score,
            signals=evidence,
            question=candidate.question,
            metadata=answer.metadata,
        )
