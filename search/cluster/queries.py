"""Batch search on a Ray cluster: workers get a copy of the generation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.store import Generation
from dotbogi.search.batch import Asked, search_block
from dotbogi.search.cluster.bundle import Bundle
from dotbogi.search.cluster.crew import Crew, Work
from dotbogi.search.index import open_index
from dotbogi.search.searcher import Searcher


@dataclass(frozen=True, slots=True)
class SearchRecipe:
    """What the workers need: the files of a generation, and how queries are searched."""

    files: Bundle
    manifest: Mapping[str, Any]
    name: str
    asked: Asked
    fingerprint: str

    @classmethod
    def of(cls, generation: Generation, asked: Asked) -> "SearchRecipe":
        """Read a generation whose files have been checked."""
        settings = json.dumps([generation.manifest, asdict(asked)], sort_keys=True, default=str)
        return cls(
            Bundle.of(generation.folder), generation.manifest, generation.name, asked,
            f"found {settings}",
        )  # fmt: skip

    def open(self) -> Work:
        """Return the function that searches for a block of queries."""
        folder = self.files.unpack()
        searcher = Searcher(open_index(Generation(Path(folder.name), self.manifest)), self.name)

        def work(queries: Sequence[str]) -> list[str]:
            assert folder  # lives as long as the index
            return search_block(searcher, self.asked, queries)

        return work


def search_on_ray(
    blocks: Path,
    generation: Generation,
    searcher: Searcher,
    asked: Asked,
    queries: Sequence[Sequence[str]],
    *,
    progress: bool = False,
) -> Iterator[list[str]]:
    """Yield the lines of each block of queries; see `batch.search_blocks`.

    Args:
        blocks: folder of the finished blocks.
        generation: the one that is searched.
        searcher: has it open.
        asked: how queries are searched.
        queries: in blocks.
        progress: show a bar.
    """
    probe = ["배고프다"]
    expected = search_block(searcher, asked, probe)
    recipe = SearchRecipe.of(generation, asked)
    with Crew(recipe, blocks, probe, expected, progress=progress) as crew:
        yield from crew.do(queries, [list(block) for block in queries])
