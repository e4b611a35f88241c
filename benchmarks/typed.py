"""Queries as people type them: what tolerance finds, by kind and by step, and what it costs.

    python benchmarks/typed.py [DATA] [--part dev|test] [--queries 1500]

Queries of benchmarks/typed.csv over the bundled sample: first answers that are right with and
without tolerance, by kind; then with one step alone, and with all but one. With DATA, questions of
public sets as they stand, each searched in an index without its fold (hit@1 and MRR@10 with and
without), the processor time of a search with and without, each query alone and nothing kept from
another, and how many queries get a correction.
"""

import argparse
import csv
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from public_data import SETS, collection_of

from dotbogi.indexes import analyzer
from dotbogi.indexes.analyzer import morphemes
from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Collection, build_collection
from dotbogi.indexes.korean.spelling import spelled
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import CachedEncoder, open_encoder
from dotbogi.search.index import SearchIndex, index_encoded
from dotbogi.search.known_questions import fit_on_known_questions, folds_of
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.search.ranking import find
from dotbogi.search.typed import NONE, STEPS, TOLERANCE

ROOT = Path(__file__).parent.parent
TYPED = ROOT / "benchmarks" / "typed.csv"
CACHE = Cache(ROOT / "build" / "benchmark-cache")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--part", choices=["dev", "test"], default="dev")
    parser.add_argument("--queries", type=int, default=1500, help="of each public set")
    arguments = parser.parse_args()
    with TYPED.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == arguments.part]
    encoded = encode(build_collection(read_table(SAMPLE_PATH))[0])
    print(f"bundled sample, {len(rows)} queries as typed ({arguments.part}), hit@1")
    measure_typed(encoded, rows)
    for name in SETS if arguments.data else ():
        measure_clean(name, encode(collection_of(name, arguments.data)), arguments.queries)


def encode(collection: Collection) -> EncodedCollection:
    """Return a collection as the starter reads it."""
    with tempfile.TemporaryDirectory() as folder:
        enter_model(ModelConfig(), Path(folder), [])
        encoder = CachedEncoder(open_encoder(Path(folder)), CACHE)
        return EncodedCollection.of(collection, encoder, IndexConfig(), CACHE)


def measure_typed(encoded: EncodedCollection, rows: Sequence[dict[str, str]]) -> None:
    """Print the share of right first answers by kind and by step."""
    fitted = fit_on_known_questions(encoded)

    def right(tolerance: str) -> list[bool]:
        config = replace(encoded.config, tolerance=tolerance)
        index = index_encoded(replace(encoded, config=config), fitted=fitted)
        found = find(index, [row["query"] for row in rows])
        return [
            bool(f.ranked) and f.ranked[0].answer_id == row["answer_id"]
            for f, row in zip(found, rows, strict=True)
        ]

    without, with_all = right(NONE), right(TOLERANCE)
    kinds = Counter(row["kind"] for row in rows)
    for kind in [*sorted(kinds), None]:
        chosen = [i for i, row in enumerate(rows) if kind in (None, row["kind"])]
        before, after = (np.mean([marks[i] for i in chosen]) for marks in (without, with_all))
        gain = f"{before:.3f} → {after:.3f} {after - before:+.3f}"
        print(f"{kind or 'all':13} {len(chosen):4} {gain}")
    for step in STEPS:
        alone = np.mean(right(step)) - np.mean(without)
        others = ",".join(other for other in STEPS if other != step)
        lost = np.mean(right(others)) - np.mean(with_all)
        print(f"{step:13} alone {alone:+.3f}, without it {lost:+.3f}")


def measure_clean(name: str, encoded: EncodedCollection, most: int) -> None:
    """Print what tolerance does to questions as they stand, and what it costs."""
    marks: dict[str, list[float]] = {f"{t} {m}": [] for t in ("off", "on") for m in ("hit", "mrr")}
    corrected, count = 0, 0
    seconds = {"off": 0.0, "on": 0.0}
    for fold in folds_of(encoded, 5, 0):
        index = index_encoded(fold.rest, fitted=fit_on_known_questions(fold.rest))
        queries = random.Random(0).sample(fold.queries, min(most // 5, len(fold.queries)))
        texts = [query.text for query in queries]
        assert index.corrector
        corrected += sum(bool(index.corrector.corrections(text)) for text in texts)
        count += len(texts)
        states = {"off": replace(index, corrector=None), "on": index}
        for state, of_state in states.items():
            for query, found in zip(queries, find(of_state, texts), strict=True):
                ids = [candidate.answer_id for candidate in found.ranked[:10]]
                right = [rank for rank, id_ in enumerate(ids, 1) if query.grades.get(id_, 0) > 0]
                marks[f"{state} hit"].append(bool(right) and right[0] == 1)
                marks[f"{state} mrr"].append(1 / right[0] if right else 0.0)
            seconds[state] += seconds_of(of_state, texts)
    means = {key: float(np.mean(values)) for key, values in marks.items()}
    print(
        f"{name}, {count} questions: hit@1 {means['off hit']:.4f} → {means['on hit']:.4f}, "
        f"MRR@10 {means['off mrr']:.4f} → {means['on mrr']:.4f}; "
        f"{1000 * seconds['off'] / count:.2f} → {1000 * seconds['on'] / count:.2f} ms, "
        f"{corrected / count:.0%} get a correction",
        flush=True,
    )


def seconds_of(index: SearchIndex, texts: Sequence[str]) -> float:
    """Return the processor time of searching for each text alone, with nothing kept.

    It is the encoder's time too: of the query, and of what it is corrected to.
    """
    encoder = index.encoder
    assert isinstance(encoder, CachedEncoder)
    uncached = replace(index, encoder=encoder._encoder)
    seconds = 0.0
    for text in texts:
        for kept in (morphemes, analyzer._lemmas, spelled, encoder._encoder._recent):
            kept.cache_clear()
        began = time.process_time()
        find(uncached, [text])
        seconds += time.process_time() - began
    return seconds


if __name__ == "__main__":
    main()
