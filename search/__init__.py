"""How a query is answered: `Searcher` is what a backend imports."""

from indexes.hits import Evidence, Hit
from search.index import IndexConfig
from search.models import ModelConfig
from search.publish import index_collection
from search.searcher import Searcher

__all__ = ["Evidence", "Hit", "IndexConfig", "ModelConfig", "Searcher", "index_collection"]
