"""A warm hybrid query beside what people would glue together, by the same tokens and vectors.

    OMP_NUM_THREADS=1 python benchmarks/query_speed.py [--answers 20000 100000] [--txtai]

Over synthetic collections (benchmarks/synthetic.py), with and without as many known questions, each
query is searched by each in turn, on one thread, and 64 at a time; the time is the processor's.
The texts are analysed anew each time by all; the vectors of queries are given, so encoding takes no
time, and tolerance is off, since the others have none.

glue: bm25s over answers with their known questions, the highest 100 picked by partition; FAISS flat
over the vectors of answers and questions; RRF; texts of the best ten.
rank-bm25: the same with rank-bm25 instead of bm25s.
txtai (--txtai, `pip install -r benchmarks/requirements.txt`): its hybrid index of the same tokens,
joined by spaces, and of one vector an answer, with its defaults.

Writes benchmarks/results/query_speed.json.
"""

import argparse
import gc
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bm25s
import faiss
import numpy as np
from bm25s.tokenization import Tokenized
from rank_bm25 import BM25Okapi
from synthetic import Drawn, Synthetic

from dotbogi.indexes.analyzer import Analyzer, _lemmas, morphemes
from dotbogi.indexes.lexical import K1, B
from dotbogi.indexes.views import owners_of_questions
from dotbogi.search.encoded import EncodedCollection
from dotbogi.search.index import SearchIndex, index_encoded
from dotbogi.search.ranking import find_hits

RESULTS = Path(__file__).parent / "results" / "query_speed.json"
QUERIES, WARM_UP, BATCH, DEPTH, K = 320, 20, 64, 100, 10
SLOW = 10  # queries that rank-bm25 is asked

Search = Callable[[Sequence[str]], Any]


class Glue:
    """What a good engineer writes: one BM25, one flat index, reciprocal ranks."""

    def __init__(self, encoded: EncodedCollection, index: SearchIndex, *, slow: bool) -> None:
        self._index, self._answers = index, encoded.collection.answers
        rows = encoded._joined_tokens() if encoded.question_tokens else encoded.answer_tokens
        self._analyzer = Analyzer()
        self._slow = BM25Okapi(rows, k1=K1, b=B) if slow else None
        if not slow:
            numbers: dict[str, int] = {}
            ids = [[numbers.setdefault(token, len(numbers)) for token in row] for row in rows]
            self._bm25 = bm25s.BM25(method="lucene", k1=K1, b=B)
            tokenized = Tokenized(ids=ids, vocab=numbers)
            self._bm25.index(tokenized, create_empty_token=False, show_progress=False)
        vectors = [
            index.geometry.answers(encoded.answer_vectors),
            index.geometry.queries(encoded.question_vectors),
        ]
        self._owners = [*range(len(vectors[0])), *owners_of_questions(encoded.collection)]
        self._flat = faiss.IndexFlatIP(vectors[0].shape[1])
        self._flat.add(np.concatenate(vectors))

    def search(self, texts: Sequence[str]) -> list[list[tuple[float, str]]]:
        """Return the scores and texts of the best answers to each query."""
        tokens = self._analyzer.tokenize_queries(texts)
        vectors = self._index.vectors.encode_queries(texts)
        _, near = self._flat.search(vectors, DEPTH)
        return [self._merge(row, found) for row, found in zip(tokens, near.tolist(), strict=True)]

    def _merge(self, tokens: list[str], near: list[int]) -> list[tuple[float, str]]:
        scores = self._slow.get_scores(tokens) if self._slow else self._bm25.get_scores(tokens)
        matched = np.flatnonzero(scores)
        if len(matched) > DEPTH:
            matched = matched[np.argpartition(scores[matched], len(matched) - DEPTH)[-DEPTH:]]
        ranked = matched[np.argsort(-scores[matched])].tolist()
        total: dict[int, float] = {}
        for rank, answer in enumerate(ranked, 1):
            total[answer] = total.get(answer, 0) + 1 / (60 + rank)
        owners = dict.fromkeys(self._owners[row] for row in near)
        for rank, answer in enumerate(owners, 1):
            total[answer] = total.get(answer, 0) + 1 / (60 + rank)
        best = sorted(total, key=lambda answer: (-total[answer], answer))[:K]
        return [(total[answer], self._answers[answer].text) for answer in best]


def txtai_of(encoded: EncodedCollection, index: SearchIndex, queries: dict[str, Any]) -> Search:
    """Return the search of txtai's hybrid index over answers with their known questions."""
    from txtai import Embeddings

    analyzer = Analyzer()

    def joined(texts: Sequence[str]) -> list[str]:
        return [" ".join(tokens) for tokens in analyzer.tokenize_queries(texts)]

    rows = encoded._joined_tokens() if encoded.question_tokens else encoded.answer_tokens
    texts = [f"{' '.join(row)} {number}" for number, row in enumerate(rows)]
    sums = encoded.answer_vectors.copy()
    if encoded.collection.questions:
        np.add.at(sums, owners_of_questions(encoded.collection), encoded.question_vectors)
    vectors = dict(zip(texts, sums, strict=True))
    vectors |= dict(zip(joined(list(queries)), queries.values(), strict=True))
    embeddings = Embeddings(
        method="external",
        transform=lambda asked: np.stack([vectors[text] for text in asked]),
        hybrid=True,
        content=False,
    )
    embeddings.index((number, text, None) for number, text in enumerate(texts))
    return lambda asked: embeddings.batchsearch(joined(asked), K)


def times_of(
    searches: dict[str, Search], texts: Sequence[str], at_once: int
) -> dict[str, list[float]]:
    """Return the milliseconds of each query by each search, asked in turns."""
    times: dict[str, list[float]] = {name: [] for name in searches}
    for start in range(0, len(texts) - at_once + 1, at_once):
        asked = texts[start : start + at_once]
        for name, search in searches.items():
            if name == "rank-bm25" and len(times[name]) >= SLOW:
                continue
            morphemes.cache_clear()
            _lemmas.cache_clear()
            began = time.process_time()
            search(asked)
            times[name].append(1000 * (time.process_time() - began) / at_once)
    return times


def measure(answers: int, *, known: bool, with_txtai: bool) -> dict[str, Any]:
    """Return the times over one collection."""
    source = Synthetic()
    encoded = source.collection(answers, known=known)
    config = replace(encoded.config, tolerance="none")
    queries = source.queries(QUERIES + WARM_UP)
    encoded = replace(encoded, config=config, encoder=Drawn(source.dim, queries))
    index = index_encoded(encoded)
    index.prepare()
    faiss.omp_set_num_threads(1)
    searches: dict[str, Search] = {
        "dotbogi": lambda texts: find_hits(index, texts, K),
        "glue": Glue(encoded, index, slow=False).search,
        "rank-bm25": Glue(encoded, index, slow=True).search,
    }
    if with_txtai:
        searches["txtai"] = txtai_of(encoded, index, queries)
    texts = list(queries)
    for search in searches.values():
        search(texts[:1])
    for name in searches.keys() - {"rank-bm25"}:
        for text in texts[:WARM_UP]:
            searches[name]([text])
    gc.freeze()
    result: dict[str, Any] = {"answers": answers, "known": answers if known else 0}
    for label, at_once in (("single", 1), ("batch", BATCH)):
        times = times_of(searches, texts[WARM_UP:], at_once)
        result[label] = {
            name: dict(zip(("p50", "p95", "p99"), np.percentile(found, (50, 95, 99)), strict=True))
            for name, found in times.items()
        }
        ours = result[label]["dotbogi"]["p50"]
        ratios = {n: round(ours / p["p50"], 3) for n, p in result[label].items() if n != "dotbogi"}
        result[label]["ratio"] = ratios
        shown = ", ".join(f"{name} {p['p50']:.2f}" for name, p in list(result[label].items())[:-1])
        print(
            f"{answers} answers, {result['known']} known, {label}: {shown} ms; {ratios}", flush=True
        )
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--answers", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--txtai", action="store_true")
    arguments = parser.parse_args()
    found = [
        measure(answers, known=known, with_txtai=arguments.txtai)
        for answers in arguments.answers
        for known in (False, True)
    ]
    machine = f"{platform.processor() or platform.machine()}, one thread"
    result = {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "sizes": found}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
