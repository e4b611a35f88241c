"""Search for many queries, block by block: one line of JSON for each query."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.files import open_regular
from dotbogi.indexes.hits import Hit
from dotbogi.indexes.metadata import Where
from dotbogi.search.searcher import MinConfidence, Searcher

_BLOCK = 512  # queries that are searched together


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How queries are searched; see `Searcher.search_many`."""

    k: int
    where: Where | None = None
    min_confidence: MinConfidence = None


# Searches for blocks of queries, and returns the lines of each.
SearchBlocks = Callable[[Searcher, Asked, Sequence[Sequence[str]]], Iterable[list[str]]]


def read_queries(path: Path) -> list[str]:
    """Return the lines of a text file in UTF-8.

    Raises:
        UsageError: it is no such file.
    """
    try:
        with open_regular(path) as file:
            text = file.read().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--from {path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--from {path}: not in UTF-8. Expected one query per line.") from error
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def blocks_of(queries: Sequence[str]) -> list[Sequence[str]]:
    """Return the queries in the blocks in which they are searched."""
    return [queries[start : start + _BLOCK] for start in range(0, len(queries), _BLOCK)]


def search_blocks(
    searcher: Searcher, asked: Asked, blocks: Sequence[Sequence[str]]
) -> Iterable[list[str]]:
    """Yield the lines of each block: the query, the generation, and the hits as JSON."""
    for block in blocks:
        yield search_block(searcher, asked, block)


def search_block(searcher: Searcher, asked: Asked, queries: Sequence[str]) -> list[str]:
    """Return one line for each query."""
    reply = searcher.reply(queries, asked.k, where=asked.where, min_confidence=asked.min_confidence)
    lines = (
        {"query": query, "generation": reply.generation, "hits": [*map(hit_as_json, hits)]}
        for query, hits in zip(queries, reply.results, strict=True)
    )
    return [json.dumps(line, ensure_ascii=False) for line in lines]


def hit_as_json(hit: Hit) -> dict[str, Any]:
    """Return a hit as JSON shows it."""
    evidence: Mapping[str, Any] = {name: each._asdict() for name, each in hit.signals.items()}
    return {**asdict(hit), "signals": evidence}
