"""Search as a component of Haystack. Needs the extra `haystack`."""

from typing import Any

from haystack import Document, component, default_to_dict

from dotbogi.search.searcher import MinConfidence, Searcher


@component
class DotbogiRetriever:
    """Returns answers of a workspace as documents, best first; moves to new generations by itself.

    `meta` has the answer's metadata, overridden by `confidence` (first hit only), `question` (the
    known question that matched) and `generation`.
    """

    def __init__(
        self,
        workspace: str,
        top_k: int = 10,
        where: dict[str, Any] | None = None,
        min_confidence: MinConfidence = None,
    ) -> None:
        self.workspace, self.top_k = str(workspace), top_k
        self.where, self.min_confidence = where, min_confidence
        self._searcher: Searcher | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, for `Pipeline.dumps`."""
        names = ("workspace", "top_k", "where", "min_confidence")
        return default_to_dict(self, **{name: getattr(self, name) for name in names})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "DotbogiRetriever":
        """Return a component with these settings, for `Pipeline.loads`."""
        # default_from_dict would mistake a `where` on a field named "type" for an object.
        return cls(**data["init_parameters"])

    def warm_up(self) -> None:
        """Open the workspace if it is not open."""
        self._searcher = self._searcher or Searcher.open(self.workspace, watch=True)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, top_k: int | None = None, where: dict[str, Any] | None = None
    ) -> dict[str, list[Document]]:
        """Find answers; `top_k` and `where`, if given, replace the settings for this run."""
        self.warm_up()
        assert self._searcher
        pinned = self._searcher.pinned()  # so that `generation` is the one searched
        where = self.where if where is None else where
        k = self.top_k if top_k is None else top_k
        hits = pinned.search(query, k, where=where, min_confidence=self.min_confidence)
        documents = []
        for hit in hits:
            facts = {"confidence": hit.confidence, "question": hit.question}
            facts["corrected"] = hit.corrected
            meta = {**hit.metadata, **facts, "generation": pinned.generation}
            documents.append(Document(hit.answer_id, hit.text, meta=meta, score=hit.score))
        return {"documents": documents}
