"""`Searcher`: what a backend imports."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.hits import Hit, Ranking
from dotbogi.indexes.metadata import Where
from dotbogi.indexes.store import Workspace
from dotbogi.search.encoders import Encoder
from dotbogi.search.index import SearchIndex, open_index
from dotbogi.search.ranking import CANDIDATES, clean_texts, find_hits, find_rankings
from dotbogi.search.watch import Watcher

MinConfidence = float | Literal["auto"] | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers to some queries, all of one generation."""

    generation: str | None  # None for an index that was never published
    results: list[list[Hit]]  # one list a query, best first


@dataclass(frozen=True, slots=True)
class _State:
    """What is open. Replaced as a whole: a search takes it once, and keeps it to its end."""

    index: SearchIndex
    generation: str | None


class Searcher:
    """Finds the answers to queries in the open generation; safe to use from many threads.

    It may be opened before a fork: the processes share the memory of what was open, each moves to
    new generations by itself, and each watches if the one they come from did.
    """

    def __init__(
        self,
        index: SearchIndex,
        generation: str | None = None,
        *,
        workspace: Workspace | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        self._state = _State(index, generation)
        self._workspace = workspace
        self._encoder = encoder
        self._watcher: Watcher | None = None
        self._reloading = threading.Lock()
        _searchers.add(self)

    @classmethod
    def open(
        cls, workspace: str | Path, *, encoder: Encoder | None = None, watch: bool = False
    ) -> "Searcher":
        """Open the published generation of a workspace, its files checked.

        Args:
            workspace: its folder.
            encoder: a loaded model to use in place of the generation's own copy.
            watch: look once a second, in a thread, whether another generation is published, and
                move to it by `reload`. One that cannot be opened is logged once and tried again;
                the one before goes on answering.

        Raises:
            DotbogiError: nothing is indexed there, or (DamagedError) a file is not what was
                published, or (ModelMismatchError) the encoder is not the index's model.
        """
        place = Workspace(workspace)
        generation = place.current()
        index = open_index(generation, encoder)
        searcher = cls(index, generation.name, workspace=place, encoder=encoder)
        if watch:
            searcher._watcher = Watcher(searcher.reload, place.folder)
            searcher._watcher.start()
        return searcher

    @property
    def index(self) -> SearchIndex:
        """What is searched at this moment."""
        return self._state.index

    @property
    def generation(self) -> str | None:
        """The name of what is searched at this moment; None if it was never published."""
        return self._state.generation

    def pinned(self) -> "Searcher":
        """Return a searcher that stays with the generation of this moment, for several calls."""
        state = self._now()
        return Searcher(state.index, state.generation)

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        where: Where | None = None,
        min_confidence: MinConfidence = None,
    ) -> list[Hit]:
        """Return the `k` best answers to a query, best first; see `search_many`."""
        return self.search_many([query], k, where=where, min_confidence=min_confidence)[0]

    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        where: Where | None = None,
        min_confidence: MinConfidence = None,
    ) -> list[list[Hit]]:
        """Return the `k` best answers to each query, best first.

        Args:
            queries: as typed.
            k: answers a query.
            where: metadata that an answer must have: a value for each field, or several of which
                any will do. `{"category": ["배송", "환불"], "lang": "ko"}`. A field or value that
                no answer has finds nothing.
            min_confidence: a query whose first answer is right with a lower probability has no
                good answer: its list is empty. "auto" is the generation's own threshold, which
                93 of 100 right first answers reached where it was fitted.

        Raises:
            UsageError: `k` is not positive, a query is not valid Unicode, or `where` or
                `min_confidence` is not of the expected kind.
        """
        return self.reply(queries, k, where=where, min_confidence=min_confidence).results

    async def asearch(
        self,
        query: str,
        k: int = 10,
        *,
        where: Where | None = None,
        min_confidence: MinConfidence = None,
    ) -> list[Hit]:
        """Do what `search` does in a thread of asyncio's pool, so that the event loop goes on."""
        import asyncio  # whoever awaits has it already; a single query need not wait for it

        return await asyncio.to_thread(
            self.search, query, k, where=where, min_confidence=min_confidence
        )

    def reply(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        where: Where | None = None,
        min_confidence: MinConfidence = None,
    ) -> Reply:
        """Do what `search_many` does and name the generation that all the answers are from."""
        if k < 1:
            raise UsageError(f"k is {k}; expected 1 or more.")
        state = self._now()
        least = _least(state.index, min_confidence)
        hits = find_hits(state.index, queries, k, where=where, min_confidence=least)
        return Reply(state.generation, hits)

    def encode(
        self, texts: Sequence[str], kind: Literal["query", "answer"] = "query"
    ) -> NDArray[np.float32]:
        """Return texts × dim unit rows as dense search compares them; zeros for an empty text.

        That is after centring, and after what training learned: whoever ranks by their products
        ranks as dense search does.

        Args:
            texts: cleaned as the collection's were.
            kind: with the model's prompt for queries (and known questions) or for answers.
        """
        if kind not in ("query", "answer"):
            raise UsageError(f'kind is {kind!r}; expected "query" or "answer".')
        cleaned = clean_texts(texts)
        vectors = self._now().index.vectors
        return (vectors.encode_queries if kind == "query" else vectors.encode_answers)(cleaned)

    def reload(self) -> bool:
        """Move to the published generation if it is another one; return whether it was.

        It is opened beside the old one, which answers until then. Searches that have begun end
        with what they began with; memory is given back when the last of them has.

        Raises:
            DotbogiError: it cannot be opened; the old one stays. Or: this searcher was not made
                by `open`.
        """
        if self._workspace is None:
            raise UsageError("this searcher has no workspace to reload from; use Searcher.open.")
        with self._reloading:
            if self._workspace.current_name() == self.generation:
                return False
            generation = self._workspace.current()
            encoder, loaded = self._encoder, self.index.encoder
            if encoder is None and loaded.fingerprint == generation.manifest["model_fingerprint"]:
                encoder = loaded  # the same model is not loaded twice
            self._state = _State(open_index(generation, encoder), generation.name)
        return True

    def close(self) -> None:
        """Stop watching; what is open can still be searched."""
        if self._watcher is not None:
            self._watcher.stop()

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def rankings(
        self, queries: Sequence[str], n: int = CANDIDATES, *, where: Where | None = None
    ) -> list[dict[str, Ranking]]:
        """Return, for each query, the `n` best answers of every signal."""
        return find_rankings(self._now().index, queries, n, where)

    def _now(self) -> _State:
        if self._watcher is not None:
            self._watcher.start()  # anew, where a fork has left it behind
        return self._state

    def _after_fork(self) -> None:
        self._reloading = threading.Lock()  # the thread that held it is gone
        if self._watcher is not None:
            self._watcher.after_fork()


def _least(index: SearchIndex, wanted: MinConfidence) -> float | None:
    """Return the confidence that a first answer needs; None where any will do."""
    if wanted == "auto":
        return index.fitted.calibration.threshold
    if wanted is not None and (isinstance(wanted, str) or not 0 <= wanted <= 1):
        raise UsageError(f'min_confidence is {wanted!r}; expected 0 to 1, or "auto".')
    return wanted


_searchers: WeakSet[Searcher] = WeakSet()


def _after_fork() -> None:
    for searcher in _searchers:
        searcher._after_fork()


os.register_at_fork(after_in_child=_after_fork)
