"""The requests for one query: an export's templates, filled."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.files import reading
from dotbogi.indexes.json_files import read_json
from dotbogi.search.engines import opensearch, qdrant
from dotbogi.search.engines.contents import numbers
from dotbogi.search.ranking import clean_texts
from dotbogi.search.searcher import Searcher

_EXPORT_AGAIN = "Export again: dotbogi export OUT --to ENGINE"
_MAKERS = {"qdrant": qdrant.query_values, "opensearch": opensearch.query_values}
_MOST_BYTES = 1 << 30


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with its placeholders replaced; one is a whole text such as "{{vector}}".

    >>> fill({"query": "{{tokens}}", "limit": 1}, {"tokens": {"indices": [3]}})
    {'query': {'indices': [3]}, 'limit': 1}
    """
    if isinstance(template, dict):
        return {name: fill(entry, values) for name, entry in template.items()}
    if isinstance(template, list):
        return [fill(entry, values) for entry in template]
    if isinstance(template, str) and template.startswith("{{"):
        return values[template[2:-2]]
    return template


@dataclass(frozen=True, slots=True)
class EngineQueries:
    """Makes the values for an export's templates; queries are encoded by a searcher."""

    searcher: Searcher
    engine: str
    vocabulary: Mapping[str, int]  # of Qdrant's sparse vectors

    @classmethod
    def open(cls, folder: str | Path, searcher: Searcher) -> "EngineQueries":
        """Open an export.

        Args:
            folder: what `dotbogi export --to` has written.
            searcher: has the exported generation open, and stays with it.

        Raises:
            DamagedError: a file of the export cannot be read.
            UsageError: the searcher's vectors or tokens are not those of the export.
        """
        path, pinned = Path(folder) / "export.json", searcher.pinned()
        facts = read_json(path, _EXPORT_AGAIN)
        with reading(path, _EXPORT_AGAIN):
            engine = str(facts["engine"])
            exported = facts["vectors_fingerprint"], facts["analyzer_fingerprint"]
            if engine not in _MAKERS:
                raise ValueError("another engine")
        opened = pinned.index.vectors.fingerprint, pinned.index.analyzer.fingerprint
        if opened != exported:
            raise UsageError(
                f"{folder}: exported from generation {facts['generation']}; generation "
                f"{pinned.generation} has other vectors or tokens. {_EXPORT_AGAIN}"
            )
        words = Path(folder) / "vocabulary.json"
        tokens = read_json(words, _EXPORT_AGAIN, most_bytes=_MOST_BYTES) if words.is_file() else []
        return cls(pinned, engine, {token: number for number, token in enumerate(tokens)})

    def values(self, query: str) -> dict[str, Any]:
        """Return what the placeholders of the templates stand for, for one query.

        Raises:
            UsageError: the query is not valid Unicode.
        """
        index = self.searcher.index
        vector = numbers(index.vectors.encode_queries(clean_texts([query]))[0])
        counts = Counter(index.analyzer.tokenize_queries(clean_texts([query]))[0])
        return _MAKERS[self.engine](vector, counts, self.vocabulary)
