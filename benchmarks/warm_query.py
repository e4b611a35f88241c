"""One warm query over 10,000 answers on one thread: median, least and 90th percentile.

    OMP_NUM_THREADS=1 python benchmarks/warm_query.py DATA

The answers are those of chatbot.csv, with all its known questions, and of welfare_qa.csv up to
10,000; 300 questions of chatbot.csv are asked through `Searcher.search`, encoding included.
"""

import argparse
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from public_data import collection_of
from starter import CACHE

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Answer, Collection
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import CachedEncoder, OnnxEncoder, open_encoder
from dotbogi.search.index import index_encoded
from dotbogi.search.known_questions import fit_on_known_questions
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.search.searcher import Searcher

ANSWERS = 10_000
QUERIES = 300
WARM_UP = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    chatbot, welfare = collection_of("chatbot", data), collection_of("welfare_qa", data)
    more = [Answer(f"welfare {answer.id}", answer.text) for answer in welfare.answers]
    answers = [*chatbot.answers, *more[: ANSWERS - len(chatbot.answers)]]
    answers.sort(key=lambda answer: answer.id)
    collection = Collection(answers, chatbot.questions)
    cache = Cache(CACHE)
    with tempfile.TemporaryDirectory() as folder:
        enter_model(ModelConfig(), Path(folder), [])
        encoder = open_encoder(Path(folder))
        assert isinstance(encoder, OnnxEncoder)
        encoded = EncodedCollection.of(
            collection, CachedEncoder(encoder, cache), IndexConfig(), cache
        )
        index = index_encoded(encoded, fitted=fit_on_known_questions(encoded))
        searcher = Searcher(replace(index, encoder=encoder))  # one that keeps nothing
        drawn = random.Random(0).sample(collection.questions, QUERIES + WARM_UP)
        asked = [f"{question.text} 좀" for question in drawn]  # nobody has analysed these
        for text in asked[:WARM_UP]:
            searcher.search(text)
        seconds = []
        for text in asked[WARM_UP:]:
            began = time.perf_counter()
            encoder.encode_queries([text])
            encoded_at = time.perf_counter()
            encoder._recent.cache_clear()  # it keeps the vectors of recent queries
            searched_at = time.perf_counter()
            searcher.search(text)
            seconds.append((encoded_at - began, time.perf_counter() - searched_at))
    encoding, whole = (1000 * np.asarray(column) for column in zip(*seconds, strict=True))
    print(f"{len(collection.answers)} answers, {len(collection.questions)} known questions")
    print(
        f"a query: median {np.median(whole):.1f} ms, least {whole.min():.1f}, "
        f"90% within {np.quantile(whole, 0.9):.1f}; of it encoding {np.median(encoding):.1f}"
    )


if __name__ == "__main__":
    main()
