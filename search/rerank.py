"""Scores for how well texts outside the collection answer a query."""

from collections.abc import Sequence

import numpy as np

from dotbogi.indexes.text import clean
from dotbogi.search.index import SearchIndex


def relevance(index: SearchIndex, query: str, texts: Sequence[str]) -> list[float]:
    """Return a score from 0 to 1 for each text: its cosine with the query, as in dense search.

    Args:
        index: provides the encoder, the means and the adapter.
        query: as typed.
        texts: the texts to score.
    """
    if not texts:
        return []
    answers = index.vectors.encode_answers([clean(text) for text in texts])
    cosines = answers @ index.vectors.encode_queries([clean(query)])[0]
    return [float(score) for score in np.clip(cosines, 0, 1).round(9)]
