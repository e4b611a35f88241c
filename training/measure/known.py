"""Comparison of a question with the answers and the known questions of a generation."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.hits import Candidate
from dotbogi.indexes.text import same_text_key
from dotbogi.search.explain import lemma
from dotbogi.search.searcher import Searcher

_EMPTY_WORDS = {"하다", "되다"}  # they are in almost every answer


class Near(NamedTuple):
    """A known question, and its cosine with another question."""

    question: str
    cosine: float


class Known:
    """The answers and the known questions of a generation."""

    def __init__(self, searcher: Searcher) -> None:
        self._index = searcher.index
        self._texts = [question.text for question in self._index.collection.questions]
        self._keys = [same_text_key(text) for text in self._texts]
        self._rows: dict[str, list[int]] = defaultdict(list)  # answer → its known questions
        for row, question in enumerate(self._index.collection.questions):
            self._rows[question.answer_id].append(row)
        answers = self._index.views["answer"].answer_ids
        self._positions = {answer_id: row for row, answer_id in enumerate(answers)}

    def answer(self, answer_id: str) -> str:
        """Return an answer's text."""
        return self._index.answers[answer_id].text

    def twin(self, question: str, answer_id: str) -> str | None:
        """Return an answer's known question that is the same as this one."""
        key = same_text_key(question)
        return next((self._texts[r] for r in self._rows[answer_id] if self._keys[r] == key), None)

    def others(self, question: str, answer_id: str) -> list[int]:
        """Return the rows of an answer's known questions that are not the same as this one."""
        key = same_text_key(question)
        return [row for row in self._rows[answer_id] if self._keys[row] != key]

    def nearest(self, question: str, answer_id: str, query: Vectors) -> Near | None:
        """Return an answer's known question that is most alike; not the question itself.

        Args:
            question: as typed.
            answer_id: of the answer.
            query: the question's vector, as a matrix of one row.
        """
        rows = self.others(question, answer_id)
        if not rows:
            return None
        cosines = self._cosines(query, "question", rows)
        best = int(cosines.argmax())
        return Near(self._texts[rows[best]], float(cosines[best]))

    def matched(self, first: Candidate, query: Vectors) -> Near | None:
        """Return the known question that brought the first answer up, if one did."""
        rows = [row for row in self._rows[first.answer_id] if self._texts[row] == first.question]
        if not rows:
            return None
        return Near(self._texts[rows[0]], float(self._cosines(query, "question", rows[:1])[0]))

    def alike(self, right: Vectors, answer_id: str) -> float:
        """Return the cosine of two answers."""
        return float(self._cosines(right, "answer", [self._positions[answer_id]])[0])

    def words_of_first_alone(self, question: str, first: Candidate, right_id: str) -> list[str]:
        """Return the words that a question shares with the first answer alone.

        The known question that matched counts as part of the first answer, and the known questions
        of the right answer as part of that.
        """
        others = [self._texts[row] for row in self.others(question, right_id)]
        texts = [self.answer(first.answer_id), first.question or ""]
        analyzer = self._index.analyzer
        query, *tokens = analyzer.tokenize([question, *texts, self.answer(right_id), *others])
        of_first = {token for text in tokens[:2] for token in text}
        of_right = {token for text in tokens[2:] for token in text}
        shared = dict.fromkeys(t for t in query if t in of_first and t not in of_right)
        words = shared if analyzer.name == "whitespace" else filter(None, map(lemma, shared))
        return [word for word in words if word not in _EMPTY_WORDS]

    def _cosines(self, vector: Vectors, view: str, rows: Sequence[int]) -> Vectors:
        dense = self._index.views[view].dense
        assert dense is not None
        cosines: Vectors = dense.scores(vector, np.asarray(rows, np.int64))[0]
        return cosines
