"""A part of the bundled sample, exported for an engine, and what dotbogi itself finds in it."""

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from conftest import LetterEncoder

from dotbogi.indexes.collection import Collection, build_collection
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.search import IndexConfig, Searcher
from dotbogi.search.engines import EngineQueries, export_to
from dotbogi.search.fitted import Fitted
from dotbogi.search.fusion import FusionWeights, fuse
from dotbogi.search.index import build_index
from dotbogi.search.ranking import find_candidates

# All parts count, unlike in the defaults.
WEIGHTS = FusionWeights(
    bm25_answer=0.5, bm25_question=0.7, bm25_joined=2, bm25_best=1, dense_answer=0.4,
    dense_question=0.6, dense_best=3, dense_whole=2,
)  # fmt: skip


@dataclass
class Exported:
    """An export, with a searcher that has the same index open."""

    folder: Path
    searcher: Searcher
    queries: list[str]  # some of the known questions, shortened

    def read(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def opened(self) -> EngineQueries:
        return EngineQueries.open(self.folder, self.searcher)

    def fused(self, query: str) -> dict[str, float]:
        """Return dotbogi's hybrid scores, best first."""
        index = self.searcher.index
        ranked = fuse(find_candidates(index, [query])[0], weights=index.fitted.weights)
        return {candidate.answer_id: candidate.score for candidate in ranked}

    def signals(self, query: str) -> dict[str, dict[str, float]]:
        """Return the scores of each signal, best first."""
        return {
            name: {candidate.answer_id: candidate.score for candidate in ranking}
            for name, ranking in self.searcher.rankings([query])[0].items()
        }


def sample_part(answers: int, questions: int) -> Collection:
    """Return the first answers of the sample, each with its first questions."""
    whole, _ = build_collection(read_table(SAMPLE_PATH))
    kept = whole.answers[:answers]
    few = [
        question
        for answer in kept
        for question in islice((q for q in whole.questions if q.answer_id == answer.id), questions)
    ]
    return Collection(kept, few)


def exported(
    engine: Any, out: Path, collection: Collection, weights: FusionWeights = WEIGHTS
) -> Exported:
    fitted = Fitted(weights=weights)
    index = build_index(collection, LetterEncoder(), IndexConfig(tolerance="none"), fitted=fitted)
    export_to(engine, index, "000001", out)
    rng = np.random.default_rng(0)
    drawn = rng.permutation(len(collection.questions))[:20]
    texts = [collection.questions[row].text for row in drawn]
    return Exported(out, Searcher(index, "000001"), [text[: 2 + len(text) // 2] for text in texts])
