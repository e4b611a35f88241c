"""Edits of the right answers as a pool of negatives."""

from collections.abc import Iterator

import numpy as np

from indexes.collection import Collection
from indexes.dense import Vectors
from indexes.text import same_text_key
from search.encoders import Encoder
from training.edits import Edit, Editor
from training.negatives.negative import MiningConfig
from training.negatives.pools import Block, Pool
from training.negatives.sampling import order_keys


class EditPool:
    """The edits of every train pair's right answer, with their vectors.

    Topics and predicates that edits put in come from the train side alone. An edit that says the
    same as a held-out answer is left out.

    Args:
        pool: the train side.
        collection: all of it; what is not in the pool is held out.
        encoder: the mining model.
        config: its sampling and seed.
    """

    def __init__(
        self, pool: Pool, collection: Collection, encoder: Encoder, config: MiningConfig
    ) -> None:
        self._pool, self._config = pool, config
        texts = [answer.text for answer in pool.candidates]
        questions = [question.text for question in pool.questions]
        editor = Editor([*texts, *questions], seed=config.seed)
        sources = sorted({pool.column[question.answer_id] for question in pool.questions})
        held_out = {same_text_key(answer.text) for answer in collection.answers} - {*pool.by_key}
        self._edits: dict[int, list[tuple[Edit, str, int]]] = {}  # with key and row of the vector
        rows: dict[str, int] = {}
        for column, edits in zip(
            sources, editor.edits_many([texts[column] for column in sources]), strict=True
        ):
            keyed = {same_text_key(edit.text): edit for edit in reversed(edits)}
            self._edits[column] = [
                (edit, key, rows.setdefault(edit.text, len(rows)))
                for key, edit in keyed.items()
                if key not in held_out
            ]
        self._vectors: Vectors = encoder.encode_answers(list(rows))

    def drawn(
        self, block: Block, row: int, earlier: set[str], rng: np.random.Generator
    ) -> Iterator[tuple[Edit, str, float]]:
        """Yield the usable edits of a question's right answer as (edit, key, cosine), best first.

        An edit that equals an answer is usable if that answer still is: not a right one of the
        question, and not among its negatives.

        Args:
            block: with the question.
            row: of the question in the block.
            earlier: keys of edits that are not wanted again.
            rng: for sampling.
        """
        number = block.numbers[row]
        found = [
            entry
            for entry in self._edits[self._pool.column[self._pool.questions[number].answer_id]]
            if entry[1] not in earlier and self._pool.is_usable(block, row, entry[1])
        ]
        if not found:
            return
        vectors = self._vectors[[place for _, _, place in found]]
        cosines = vectors @ self._pool.question_vectors[number]
        positives = np.full(len(found), block.positives[row], np.float32)
        keys = order_keys(self._config.sampling, cosines, cosines, positives, rng)
        for place in np.argsort(-keys, kind="stable").tolist():
            yield *found[place][:2], float(cosines[place])
