"""`--model scratch`: an untrained static-embedding model made for one collection."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from search.encoders import UNTRAINED_MARK
from search.static import save_static_model, train_unigram

DIM = 256
VOCABULARY = 8_000  # pieces at most; a small collection yields fewer


def save_scratch_model(texts: Sequence[str], folder: Path, *, seed: int = 0) -> None:
    """Write a StaticEmbedding folder whose Unigram pieces come from `texts`, with random vectors.

    A piece's vector is as long as the piece is informative, −log p(piece): before training,
    cosine then is a soft count of shared pieces in which rare ones weigh more, as in BM25.
    Training gives the pieces their meaning. The same texts and seed give the same folder.

    Args:
        texts: the collection's answers and known questions.
        folder: where to write; created.
        seed: of the random vectors.
    """
    letters = {letter for text in texts for letter in text}
    tokenizer = train_unigram(texts, vocabulary=max(VOCABULARY, len(letters) + VOCABULARY // 2))
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    information = -np.asarray([log_probability for _, log_probability in pieces], np.float32)
    information[0] = information[1:].min()  # of what is unknown, nothing is known
    weights = np.random.default_rng(seed).standard_normal((len(pieces), DIM), dtype=np.float32)
    weights *= (information / information.max())[:, None]
    save_static_model(folder, tokenizer, weights, {UNTRAINED_MARK: True})
