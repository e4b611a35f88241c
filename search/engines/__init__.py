"""Write a generation for another search engine: Qdrant or OpenSearch."""

from dotbogi.search.engines.queries import EngineQueries, fill
from dotbogi.search.engines.write import ENGINES, EngineExport, EngineName, export_to

__all__ = ["ENGINES", "EngineExport", "EngineName", "EngineQueries", "export_to", "fill"]
