"""`Searcher`: what a backend imports."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from indexes.errors import UsageError
from indexes.hits import Candidate, Evidence, Hit, Ranking
from indexes.store import Workspace
from indexes.text import clean, is_valid_unicode, same_text_key
from indexes.views import SIGNALS, VIEWS
from search.encoders import Encoder
from search.fusion import fuse
from search.index import SearchIndex, open_index

CANDIDATES = 100  # answers a signal puts forward


class Searcher:
    """Finds the answers to queries in one open generation; safe to use from many threads."""

    def __init__(self, index: SearchIndex, generation: str | None = None) -> None:
        self.index = index
        self.generation = generation  # its name; None for an index that was never published
        self._twins: dict[str, set[int]] = defaultdict(set)
        for row, question in enumerate(index.collection.questions):
            self._twins[same_text_key(question.text)].add(row)

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

    def search(self, query: str, k: int = 10) -> list[Hit]:
        """Return the `k` best answers to a query, best first."""
        return self.search_many([query], k)[0]

    def search_many(self, queries: Sequence[str], k: int = 10) -> list[list[Hit]]:
        """Return the `k` best answers to each query, best first.

        Raises:
            UsageError: `k` is not positive, or a query is not valid Unicode.
        """
        if k < 1:
            raise UsageError(f"k is {k}; expected 1 or more.")
        return [
            [self._hit(candidate, signals) for candidate in self.fuse(signals)[:k]]
            for signals in self.rankings(queries, n=max(CANDIDATES, k))
        ]

    def rankings(
        self, queries: Sequence[str], n: int = CANDIDATES, *, hide_twins: bool = False
    ) -> list[dict[str, Ranking]]:
        """Return, for each query, the `n` best answers of every signal.

        Args:
            queries: as typed; cleaned as the collection's texts were.
            n: answers a signal.
            hide_twins: a known question that is the query itself finds nothing: for measuring
                with queries that are in the index.
        """
        if not queries:
            return []
        if not all(map(is_valid_unicode, queries)):
            raise UsageError("the query is not valid Unicode (a lone surrogate).")
        cleaned = [clean(query) for query in queries]
        hidden: Sequence[Container[int]] | None = None
        if hide_twins:
            hidden = [self._twins.get(same_text_key(query), ()) for query in cleaned]
        tokens = self.index.analyzer.tokenize(cleaned)
        vectors = self.index.encoder.encode_queries(cleaned)
        found: dict[str, list[Ranking]] = {}
        for name in VIEWS:
            view = self.index.views[name]
            hidden_here = hidden if name == "question" else None
            found[f"bm25.{name}"] = view.search_bm25(tokens, n, hidden_here)
            found[f"dense.{name}"] = view.search_dense(vectors, n, hidden_here)
        return [
            {signal: found[signal][number] for signal in SIGNALS} for number in range(len(cleaned))
        ]

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
