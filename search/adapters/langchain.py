"""Search as a retriever of LangChain. Needs the extra `langchain`."""

from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from dotbogi.indexes.hits import Hit
from dotbogi.indexes.metadata import Where
from dotbogi.search.searcher import MinConfidence, Searcher


class DotbogiRetriever(BaseRetriever):
    """Returns answers as documents, best first.

    A document has the answer's id and text. Its metadata is the answer's, overridden by `score`,
    `confidence` (first hit only), `question` (the known question that matched) and `generation`.
    `invoke(query, k=3)` sets `k`, `where` or `min_confidence` for one call.
    """

    searcher: Searcher
    k: int = 10
    where: Where | None = None
    min_confidence: MinConfidence = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **changed: Any
    ) -> list[Document]:
        pinned = self.searcher.pinned()  # so that `generation` is the one searched
        hits = pinned.search(query, **self._settings(changed))
        return [_document(hit, pinned.generation) for hit in hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **changed: Any
    ) -> list[Document]:
        pinned = self.searcher.pinned()
        hits = await pinned.asearch(query, **self._settings(changed))
        return [_document(hit, pinned.generation) for hit in hits]

    def _settings(self, changed: dict[str, Any]) -> dict[str, Any]:
        own = {"k": self.k, "where": self.where, "min_confidence": self.min_confidence}
        return {**own, **changed}


def _document(hit: Hit, generation: str | None) -> Document:
    facts = {"score": hit.score, "confidence": hit.confidence, "question": hit.question}
    metadata = {**hit.metadata, **facts, "corrected": hit.corrected, "generation": generation}
    return Document(page_content=hit.text, id=hit.answer_id, metadata=metadata)
