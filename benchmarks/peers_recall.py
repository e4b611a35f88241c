"""Recall@10 on chatbot.csv beside what people would glue together: the peers of query_speed.py.

    OMP_NUM_THREADS=1 python benchmarks/peers_recall.py DATA [--txtai]

Untouched are 500 questions of a tenth of the table; all others are known questions. Everyone gets
the same tokens and the same vectors of the starter; dotbogi is as after `index`, with weights
fitted on the known questions. An answer counts if it has one of the right texts.

Writes benchmarks/results/peers_recall.json.
"""

import argparse
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from negatives import encode
from public_data import collection_of
from query_speed import Glue, Search, txtai_of

from dotbogi.search.index import index_encoded
from dotbogi.search.known_questions import fit_on_known_questions, folds_of
from dotbogi.search.ranking import find_hits

RESULTS = Path(__file__).parent / "results" / "peers_recall.json"
QUERIES, K = 500, 10


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--txtai", action="store_true")
    arguments = parser.parse_args()
    fold = next(folds_of(encode(collection_of("chatbot", arguments.data)), 10, 0))
    queries = random.Random(0).sample(fold.queries, QUERIES)
    texts = [query.text for query in queries]
    rest = fold.rest
    index = index_encoded(rest, fitted=fit_on_known_questions(rest))
    answers = [answer.text for answer in rest.collection.answers]
    text_of = {answer.id: answer.text for answer in rest.collection.answers}

    def glued(search: Search) -> list[list[str]]:
        return [[text for _, text in found] for found in search(texts)]

    found: dict[str, Callable[[], list[list[str]]]] = {
        "dotbogi": lambda: [[h.text for h in hits] for hits in find_hits(index, texts, K)],
        "glue": lambda: glued(Glue(rest, index, slow=False).search),
        "rank-bm25": lambda: glued(Glue(rest, index, slow=True).search),
    }
    if arguments.txtai:
        vectors = dict(zip(texts, index.vectors.encode_queries(texts), strict=True))
        search = txtai_of(rest, index, vectors)
        found["txtai"] = lambda: [
            [answers[int(number)] for number, _ in hits] for hits in search(texts)
        ]
    recall = {}
    for name, run in found.items():
        right = [
            bool({text_of[id_] for id_ in query.grades} & {*hits[:K]})
            for query, hits in zip(queries, run(), strict=True)
        ]
        recall[name] = round(float(np.mean(right)), 3)
        print(f"{name}: {recall[name]}", flush=True)
    result = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "queries": QUERIES, "recall@10": recall}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
