"""`Searcher`, the class that a backend imports."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import DotbogiError, NothingIndexedError, UsageError
from dotbogi.indexes.hits import Hit, Ranking
from dotbogi.indexes.metadata import Where
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.search.encoders import Encoder
from dotbogi.search.index import SearchIndex, open_index
from dotbogi.search.ranking import CANDIDATES, clean_texts, find_hits, find_rankings
from dotbogi.search.watch import Watcher

Problem = Literal["workspace_missing", "current_damaged", "generation_damaged"]
MinConfidence = float | Literal["auto"] | None
Move = Callable[[SearchIndex, str], SearchIndex]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers to some queries, all from one generation."""

    generation: str | None  # None for an index that was never published
    results: list[list[Hit]]  # one list per query, best first


@dataclass(frozen=True, slots=True)
class _State:
    """The open index. Replaced as a whole: a search reads it once and uses it to the end."""

    index: SearchIndex
    generation: str | None


class Searcher:
    """Finds the answers to queries in the open generation; safe to use from many threads.

    It may be opened before a fork. The processes share the memory of the open generation. Each
    moves to new generations by itself, and watches for them if its parent did.
    """

    def __init__(
        self,
        index: SearchIndex | None,
        generation: str | None = None,
        *,
        workspace: Workspace | None = None,
        encoder: Encoder | None = None,
        move: Move | None = None,
    ) -> None:
        self._state = _State(index, generation) if index is not None else None
        self._workspace = workspace
        self._encoder = encoder
        self._move = move
        self._watcher: Watcher | None = None
        self._stays = False
        self._reloading = threading.Lock()
        self._failed: str | None = None  # the published generation, if it could not be opened
        _searchers.add(self)

    @classmethod
    def open(
        cls,
        workspace: str | Path,
        *,
        encoder: Encoder | None = None,
        watch: bool = False,
        allow_empty: bool = False,
        move: Move | None = None,
    ) -> "Searcher":
        """Open the published generation of a workspace after checking its files.

        Args:
            workspace: path of the workspace folder.
            encoder: a loaded copy of the generation's model, to use instead of loading it.
            watch: check once a second, in a thread, whether another generation is published, and
                move to it by `reload`. If it cannot be opened, that is logged once, the
                previous one keeps answering, and opening is tried again later.
            allow_empty: also open a workspace in which nothing is indexed yet. Searches raise
                NothingIndexedError until `reload` finds the first generation.
            move: takes each generation that was opened, with its name, to where it is searched,
                such as to the shards of a cluster; None: it is searched here.

        Raises:
            NothingIndexedError: nothing is indexed there.
            DamagedError: a file is missing or differs from what was published.
            ModelMismatchError: the encoder is not the index's model.
        """
        searcher = cls(None, workspace=Workspace(workspace), encoder=encoder, move=move)
        searcher._stays = watch
        if not searcher.reload() and not allow_empty:
            searcher._now()  # raises
        if watch:
            searcher._watcher = Watcher(searcher.reload, Path(workspace))
            searcher._watcher.start()
        return searcher

    @property
    def index(self) -> SearchIndex:
        """The index that is searched now."""
        return self._now().index

    @property
    def generation(self) -> str | None:
        """The name of the generation that is searched now; None if it was never published."""
        return self._state.generation if self._state else None

    def pinned(self) -> "Searcher":
        """Return a searcher that stays with the current generation, for several calls."""
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
            k: answers per query.
            where: metadata that an answer must have: for each field one value, or several, any of
                which matches: `{"category": ["배송", "환불"], "lang": "ko"}`. A field or value that
                no answer has matches nothing.
            min_confidence: from 0 to 1. A query has no hits if its first answer is less likely
                than this to be right. "auto" is the generation's threshold, which 93 of 100 right
                first answers reached when it was fitted.

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
        """Run `search` in asyncio's thread pool, without blocking the event loop."""
        import asyncio  # here, because `search` does not need it

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
        """Return the results of `search_many`, with the generation that the answers are from.

        Raises:
            UsageError: as for `search_many`.
        """
        if k < 1:
            raise UsageError(f"k is {k}; expected 1 or more.")
        state = self._now()
        threshold = _threshold(state.index, min_confidence)
        hits = find_hits(state.index, queries, k, where=where, min_confidence=threshold)
        return Reply(state.generation, hits)

    def encode(
        self, texts: Sequence[str], kind: Literal["query", "answer"] = "query"
    ) -> NDArray[np.float32]:
        """Return texts × dim unit rows, as used in dense search; zeros for an empty text.

        They are centred and adapted, so their inner products rank texts as dense search does.

        Args:
            texts: as typed; they are cleaned like the texts of the collection.
            kind: which of the model's prompts to use; "query" is for known questions too.

        Raises:
            UsageError: `kind` is unknown, or a text is not valid Unicode.
        """
        if kind not in ("query", "answer"):
            raise UsageError(f'kind is {kind!r}; expected "query" or "answer".')
        cleaned = clean_texts(texts)
        vectors = self._now().index.vectors
        return (vectors.encode_queries if kind == "query" else vectors.encode_answers)(cleaned)

    def reload(self) -> bool:
        """Move to the published generation; return whether it is a different one.

        The old one keeps answering while the new one is opened. Searches in progress finish on the
        old one; its memory is freed after the last of them.

        Raises:
            UsageError: this searcher was not made by `open`.
            DotbogiError: the generation cannot be opened; the old one stays.
        """
        if self._workspace is None:
            raise UsageError("this searcher has no workspace to reload from; use Searcher.open.")
        with self._reloading:
            name = self._workspace.current_name()
            if name == self.generation:
                return False
            try:
                self._state = self._opened(self._workspace.current())
            except Exception:
                self._failed = name
                raise
        return True

    def _opened(self, generation: Generation) -> _State:
        encoder, state = self._encoder, self._state
        if encoder is None and state is not None:
            loaded = state.index.encoder
            if loaded.fingerprint == generation.manifest["model_fingerprint"]:
                encoder = loaded  # the same model is not loaded twice
        index = open_index(generation, encoder)
        if self._move:
            index = self._move(index, generation.name)
        elif self._stays:
            index.prepare()
        return _State(index, generation.name)

    def problem(self) -> Problem | None:
        """Return what is wrong on the disk with the published generation; the open one answers.

        A generation that is being opened is no problem.
        """
        if self._workspace is None:
            return None
        if not self._workspace.folder.is_dir():
            return "workspace_missing"
        try:
            name = self._workspace.current_name()
        except DotbogiError:
            return "current_damaged"
        if name is None:
            return "current_damaged" if self.generation else None
        is_there = (self._workspace.generations_folder / name).is_dir()
        return "generation_damaged" if name == self._failed or not is_there else None

    def knows(self, generation: str) -> bool:
        """Return whether a generation of this name has been published, even if it was deleted."""
        if generation == self.generation:
            return True
        names = [self.generation or "0", *(self._workspace.names() if self._workspace else ())]
        number = int(generation) if generation.isdecimal() else 0
        return 1 <= number <= max(map(int, names)) and generation == f"{number:06}"

    def close(self) -> None:
        """Stop watching; the open generation can still be searched."""
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
            self._watcher.start()  # again after a fork, which does not copy threads
        if self._state is None:
            folder = self._workspace.folder if self._workspace else ""
            raise NothingIndexedError(
                f"{folder}: nothing is indexed here yet. Run: dotbogi index TABLE "
                f"--workspace {folder}"
            )
        return self._state

    def _after_fork(self) -> None:
        self._reloading = threading.Lock()  # the thread that held it is not in this process
        if self._watcher is not None:
            self._watcher.after_fork()


def _threshold(index: SearchIndex, wanted: MinConfidence) -> float | None:
    """Return the confidence that a first answer needs; None if it needs none."""
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
