"""What search finds after `index` alone: the figures of README and docs/models.md.

    python benchmarks/starter.py [--data DATA] [--corpora CORPORA] [--model starter] [--set NAME]

- sample: one phrasing of each answer of the bundled sample (seed 0), the rest known.
- welfare: every question of welfare_qa.csv over all its answers, none known.
- chatbot: a fifth of the questions of chatbot.csv (seed 0), the others known.
- banking77: the test questions, to names of intents, with the train questions known.
- titles: titles to bodies of four sets of technical Korean, 2,000 pairs each, none known.

Each prints every part of the hybrid by itself, and the hybrid's paired gain over BM25 (joined).
DATA and CORPORA are described in benchmarks/README.md; without them only the sample is run. Vectors
and tokens are kept in build/benchmark-cache.
"""

import argparse
import csv
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from public_data import collection_of

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, build_collection
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.indexes.text import clean, same_text_key
from dotbogi.search.candidates import PARTS
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import Encoder, open_encoder
from dotbogi.search.fusion import FusionWeights, fuse
from dotbogi.search.index import index_encoded
from dotbogi.search.known_questions import Query, fit_on_known_questions, queries_of
from dotbogi.search.models import ModelConfig, check_model, enter_model
from dotbogi.search.ranking import find_candidates
from dotbogi.training.measure.bootstrap import paired_bootstrap
from dotbogi.training.measure.metrics import recall_at, reciprocal_rank_at

CACHE = Path("build/benchmark-cache")
TITLES = ("ms_windows_ko", "ms_intune_ko", "ms_learn_ko", "android_strings_ko")
PAIRS = 2000  # of each set of titles


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="starter", help="as dotbogi index takes it")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--corpora", type=Path, help="folder of the pair files")
    parser.add_argument("--set", dest="only", action="append", help="only this one")
    arguments = parser.parse_args()
    config = ModelConfig(name=arguments.model)
    check_model(config)
    with tempfile.TemporaryDirectory() as folder:
        sample = build_collection(read_table(SAMPLE_PATH))[0]
        enter_model(config, Path(folder), [answer.text for answer in sample.answers])
        encoder = open_encoder(Path(folder))
        for name, collection, queries in _sets(sample, arguments.data, arguments.corpora):
            if not arguments.only or name in arguments.only:
                report(name, collection, queries, encoder)


def _sets(
    sample: Collection, data: Path | None, corpora: Path | None
) -> Iterator[tuple[str, Collection, list[Query]]]:
    """Yield name, collection with its known questions, and the queries."""
    yield "sample", *apart(sample, one_of_each(sample))
    if data:
        welfare = collection_of("welfare_qa", data)
        yield "welfare", *apart(welfare, welfare.questions)
        chatbot = collection_of("chatbot", data)
        fifth = random.Random(0).sample(chatbot.questions, len(chatbot.questions) // 5)
        yield "chatbot", *apart(chatbot, fifth)
        banking = collection_of("banking77", data)
        with (data / "banking77" / "test.csv").open(encoding="utf-8", newline="") as file:
            rows = [(clean(row["text"]), row["category"]) for row in csv.DictReader(file)]
        test = [KnownQuestion(text, intent) for text, intent in rows]
        yield "banking77", banking, queries_of(test)
    for name in TITLES if corpora else ():
        assert corpora
        yield name, *_titles(corpora / f"{name}.parquet")


def one_of_each(collection: Collection) -> list[KnownQuestion]:
    """Return one known question of every answer, by seed 0."""
    rng = random.Random(0)
    of_answer: dict[str, list[KnownQuestion]] = defaultdict(list)
    for question in collection.questions:
        of_answer[question.answer_id].append(question)
    return [rng.choice(questions) for questions in of_answer.values()]


def apart(collection: Collection, asked: Sequence[KnownQuestion]) -> tuple[Collection, list[Query]]:
    """Return the collection without the questions that are asked, and these as queries."""
    keys = {same_text_key(question.text) for question in asked}
    known = [q for q in collection.questions if same_text_key(q.text) not in keys]
    right = [q for q in collection.questions if same_text_key(q.text) in keys]
    return Collection(collection.answers, known), queries_of(right)


def _titles(path: Path) -> tuple[Collection, list[Query]]:
    """Return bodies as answers and their titles as queries; each text once."""
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read(columns=["a", "b"])
    pairs: dict[str, str] = {}
    for title, body in zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True):
        if title not in pairs and body not in pairs.values():
            pairs[title] = body
    drawn = list(pairs.items())
    random.Random(0).shuffle(drawn)
    drawn = drawn[:PAIRS]
    answers = [Answer(f"a{number:05}", body) for number, (_, body) in enumerate(drawn)]
    queries = [Query(f"q{n}", title, {f"a{n:05}": 1}) for n, (title, _) in enumerate(drawn)]
    return Collection(answers, []), queries


def report(name: str, collection: Collection, queries: list[Query], encoder: Encoder) -> None:
    """Print the figures of one set."""
    encoded = EncodedCollection.of(collection, encoder, IndexConfig(), Cache(CACHE))
    fitted = fit_on_known_questions(encoded)
    weights = fitted.weights
    index = index_encoded(encoded, fitted=fitted)
    print(
        f"\n{name}: {len(queries)} queries, {len(collection.answers)} answers, "
        f"{len(collection.questions)} known questions; weights: {weights.source}"
    )
    found = find_candidates(index, [query.text for query in queries])
    alone = {part: _only(part) for part in PARTS}
    figures: dict[str, list[float]] = {}
    for system, of_system in {**alone, "defaults": FusionWeights(), "hybrid": weights}.items():
        ids = [[c.answer_id for c in fuse(f, weights=of_system)] for f in found]
        pairs = [(ranking, query.grades) for ranking, query in zip(ids, queries, strict=True)]
        figures[system] = [reciprocal_rank_at(10, *pair) for pair in pairs]
        hits = [np.mean([recall_at(k, *pair) for pair in pairs]) for k in (1, 5)]
        share = "" if system in ("defaults", "hybrid") else f"weight {getattr(weights, system):.2f}"
        print(
            f"  {system:15} MRR@10 {np.mean(figures[system]):.4f}  hit@1 {hits[0]:.3f}  "
            f"hit@5 {hits[1]:.3f}  {share}"
        )
    best = max(alone, key=lambda part: float(np.mean(figures[part])))
    for other in dict.fromkeys(("bm25_joined", best)):
        gain = paired_bootstrap(figures["hybrid"], figures[other], seed=0)
        print(f"  hybrid over {other}: MRR@10 {gain}", flush=True)


def _only(part: str) -> FusionWeights:
    return FusionWeights(**{**dict.fromkeys(PARTS, 0.0), part: 1.0})


if __name__ == "__main__":
    main()
