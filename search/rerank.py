"""How well texts that are not in the collection answer a query."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Answer, Collection
from indexes.text import clean
from indexes.views import dense_texts
from search.encoders import StaticEncoder
from search.index import SearchIndex
from search.maxsim import MaxSim


def relevance(index: SearchIndex, query: str, texts: Sequence[str]) -> list[float]:
    """Return a score from 0 to 1 for each text, by the parts of the hybrid that need no index.

    That is the cosine of the query with the text or its best sentence, counted from the mean
    cosine of the collection's answers; with a static model it is averaged with MaxSim.
    Each question of the bundled sample's every fifth against its answer and 19 others: MRR .80
    where the others are random, .48 where they are the nearest; by the cosine alone .76 and .44.
    """
    answers = [Answer(str(place), clean(text)) for place, text in enumerate(texts)]
    query = clean(query)
    floor = index.weights.floor
    scores = np.clip((_cosines(index, query, answers) - floor) / (1 - floor), 0, 1)
    if isinstance(index.encoder, StaticEncoder):
        maxsim = MaxSim(index.encoder, {answer.id: answer.text for answer in answers})
        scores = (scores + maxsim.scores(query, [answer.id for answer in answers])) / 2
    return [float(score) for score in scores.round(9)]


def _cosines(index: SearchIndex, query: str, answers: list[Answer]) -> NDArray[np.float64]:
    rows, owners = dense_texts(Collection(answers, []))["answer"]
    cosines = index.encoder.encode_answers(rows) @ index.encoder.encode_queries([query])[0]
    best = np.full(len(answers), -1.0)
    np.maximum.at(best, owners, cosines)
    return best
