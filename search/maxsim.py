"""Late interaction: does each word of the query have a near one in the answer?"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.dense import Vectors
from search.encoders import StaticEncoder, unit_rows

MAXSIM = "maxsim.answer"  # the signal's name
_QUERY_PIECES = 128  # of a longer query, the first
_ANSWER_PIECES = 1024

Pieces = NDArray[np.int64]


class MaxSim:
    """Scores answers by the pieces of a static model: ColBERT's MaxSim (Khattab, Zaharia 2020).

    score = Σ w_q · max_a cos(q, a) / Σ w_q over the query's pieces q and the answer's pieces a.
    w_q is the length of q's vector: training makes vectors of telling words long and those of
    particles short. One vector of a long answer is the mean of all it says; here each word of
    the query finds its own place in it.

    It orders candidates that other signals found; there is no index of it. Safe to use from many
    threads.
    """

    def __init__(self, encoder: StaticEncoder, answers: Mapping[str, str]) -> None:
        self._encoder, self._answers = encoder, answers  # texts by id
        self._pieces: dict[str, Pieces] = {}  # of the answers met so far

    def scores(self, query: str, answer_ids: Sequence[str]) -> NDArray[np.float64]:
        """Return a score from 0 to 1 for each of these answers."""
        asked = self._encoder.query_pieces([query])[0][:_QUERY_PIECES]
        found = np.zeros(len(answer_ids))
        pieces = self._pieces_of(answer_ids)
        filled = np.asarray([len(part) > 0 for part in pieces], bool)
        if not len(asked) or not filled.any():
            return found
        rows = self._encoder.piece_vectors(asked)
        weights = np.linalg.norm(rows, axis=1).astype(np.float64)
        distinct, place = np.unique(
            np.concatenate([part for part in pieces if len(part)]), return_inverse=True
        )
        cosines: Vectors = unit_rows(rows) @ unit_rows(self._encoder.piece_vectors(distinct)).T
        starts = np.concatenate([[0], np.cumsum([len(part) for part in pieces if len(part)])[:-1]])
        nearest = np.maximum.reduceat(np.maximum(cosines, 0)[:, place], starts, axis=1)
        if total := weights.sum():
            found[filled] = np.minimum(weights @ nearest / total, 1.0)
        return found

    def _pieces_of(self, answer_ids: Sequence[str]) -> list[Pieces]:
        new = [answer_id for answer_id in answer_ids if answer_id not in self._pieces]
        texts = [self._answers[answer_id] for answer_id in new]
        for answer_id, pieces in zip(new, self._encoder.answer_pieces(texts), strict=True):
            self._pieces[answer_id] = pieces[:_ANSWER_PIECES]
        return [self._pieces[answer_id] for answer_id in answer_ids]
