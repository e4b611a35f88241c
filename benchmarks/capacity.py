"""What an answer costs: bytes on disk and in memory, processor seconds to index, time of a query.

    OMP_NUM_THREADS=1 python benchmarks/capacity.py

Writes results/capacity.json, from which benchmarks/capacity_plan.py computes docs/capacity.md.
The texts are made of the bundled sample's words and sentences, so that all differ. All of them are
analysed; the starter encodes 600, which gives its speed, and the others have random vectors: what
is in a vector changes neither its size nor the time of a search. All times are of the processor,
because the machine is shared; on one thread that is the time of a query on an idle machine.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from negatives import machine

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, build_collection
from dotbogi.indexes.dense import DenseIndex, DenseKind
from dotbogi.indexes.lexical import BM25Index
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.indexes.views import BM25_VIEWS, DENSE_VIEWS
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import open_encoder, unit_rows
from dotbogi.search.index import index_encoded, save_index
from dotbogi.search.models import ModelConfig, enter_model

RESULT = Path(__file__).parent / "results" / "capacity.json"
SIZES = (2_000, 5_000, 10_000, 20_000)  # answers
QUESTIONS = 2  # known questions per answer
ENCODED = 300  # answers, and as many questions
QUERIES, WARM_UP = 100, 10


class RandomEncoder:
    """Vectors of no meaning, at once; queries are encoded by the real model."""

    def __init__(self, real: Any) -> None:
        self.dim, self.fingerprint, self._real = real.dim, "random", real
        self._rng = np.random.default_rng(0)

    def encode_answers(self, texts: Sequence[str]) -> Any:
        """Return random unit rows."""
        return unit_rows(self._rng.standard_normal((len(texts), self.dim), np.float32))

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Return the model's vector of a single text, and random ones of several."""
        return self._real.encode_queries(texts) if len(texts) == 1 else self.encode_answers(texts)


def made_collection(answers: int) -> Collection:
    """Return answers of two of the sample's sentences, and questions of its words."""
    sample, _ = build_collection(read_table(SAMPLE_PATH))
    rng = random.Random(0)
    sentences = [answer.text for answer in sample.answers]
    words = [word for question in sample.questions for word in question.text.split()]
    lengths = [len(question.text.split()) for question in sample.questions]

    def question() -> str:
        return " ".join(rng.choices(words, k=rng.choice(lengths) + 1))

    made = [
        Answer(f"{number:08}", f"{rng.choice(sentences)} {question()} {rng.choice(sentences)}")
        for number in range(answers)
    ]
    asked = [KnownQuestion(question(), answer.id) for answer in made for _ in range(QUESTIONS)]
    return Collection(made, asked)


def processor_seconds(act: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long something takes, and its result."""
    began = time.process_time()
    result = act()
    return time.process_time() - began, result


def per_thousand(seconds: float, count: int) -> float:
    """Return the seconds for a thousand."""
    return round(1000 * seconds / count, 4)


def measure_size(encoded: EncodedCollection, place: Path, asked: Sequence[str]) -> dict[str, Any]:
    """Return the bytes of a generation's parts, its memory, and the times of queries."""
    index = index_encoded(encoded)
    folder = place / str(len(encoded.collection.answers))
    folder.mkdir()
    save_index(index, folder)
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            part = path.relative_to(folder).parts[0].partition(".")[0]
            sizes[part] = sizes.get(part, 0) + path.stat().st_size
    child = [sys.executable, __file__, "--resident", str(folder)]
    resident = json.loads(subprocess.run(child, check=True, capture_output=True).stdout)
    return {
        "answers": len(encoded.collection.answers),
        "questions": len(encoded.collection.questions),
        "bytes": dict(sorted(sizes.items())),
        "postings": _postings(index),
        "resident": resident,
        "milliseconds": query_times(index, asked),
    }


def _postings(index: Any) -> dict[str, int]:
    """Return how many BM25 scores the views hold."""
    counts = {view: int(index.views[view].bm25.weights()[1].nnz) for view in BM25_VIEWS}
    return {"all": sum(counts.values()), "joined": counts["joined"]}


def resident(folder: Path) -> int:
    """Return the bytes of memory that an open generation takes, beside the model."""
    from dotbogi.indexes.collection import open_collection

    (BM25Index.build([["가"]]), DenseIndex.build(np.ones((1, 8), np.float32)))  # imports
    before = _memory()
    collection = open_collection(folder)
    rows = {"question": len(collection.questions)}
    count = len(collection.answers)
    kept = [
        *(BM25Index.open(folder / f"bm25.{v}", "bm25s", rows.get(v, count)) for v in BM25_VIEWS),
        *(DenseIndex.open(folder / f"dense.{v}.faiss", "exact") for v in DENSE_VIEWS),
        {answer.id: answer for answer in collection.answers},
    ]
    after = _memory()
    assert len(kept) == len(BM25_VIEWS) + len(DENSE_VIEWS) + 1
    return after - before


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def query_times(index: Any, asked: Sequence[str]) -> dict[str, float]:
    """Return the median of each step of a query, in milliseconds of the processor."""
    from dotbogi.search.searcher import Searcher

    searcher, views = Searcher(index), index.views
    steps: dict[str, list[float]] = {name: [] for name in ("encode", "bm25", "dense", "search")}
    for number, text in enumerate(asked):
        tokens = index.analyzer.tokenize_queries([text])
        began = [time.process_time()]
        vectors = index.vectors.encode_queries([text])
        began.append(time.process_time())
        for view in BM25_VIEWS:
            views[view].best_bm25(tokens, 100)
        began.append(time.process_time())
        for view in DENSE_VIEWS:
            views[view].best_dense(vectors, 100)
        began.append(time.process_time())
        searcher.search(f"{text} 좀")  # nobody has analysed this one
        began.append(time.process_time())
        if number >= WARM_UP:
            for name, seconds in zip(steps, np.diff(began), strict=True):
                steps[name].append(1000 * float(seconds))
    return {name: round(float(np.median(values)), 3) for name, values in steps.items()}


def measure_dense(vectors: Any, kind: DenseKind) -> dict[str, float]:
    """Return the cost of one FAISS index over all these vectors."""
    seconds, index = processor_seconds(lambda: DenseIndex.build(vectors, kind))
    times = []
    for query in vectors[:QUERIES]:
        began = time.process_time()
        index.search(query[None], 100)
        times.append(1000 * (time.process_time() - began))
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index.faiss")
        size = (Path(folder) / "index.faiss").stat().st_size
    return {
        "vectors": len(vectors),
        "seconds_per_1000": per_thousand(seconds, len(vectors)),
        "bytes_per_vector": round(size / len(vectors), 1),
        "milliseconds": round(float(np.median(times)), 3),
    }


def main() -> None:
    """Measure and write."""
    whole = made_collection(max(SIZES))
    config = IndexConfig(tolerance="none")  # corrections are steps of several searches
    analyzer = Analyzer()
    answers = [answer.text for answer in whole.answers]
    questions = [question.text for question in whole.questions]
    analyzer.tokenize(answers[:20])  # loads Kiwi
    of_answers, answer_tokens = processor_seconds(lambda: analyzer.tokenize(answers))
    of_questions, question_tokens = processor_seconds(lambda: analyzer.tokenize(questions))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "model").mkdir()
        enter_model(ModelConfig(), place / "model", answers[:128])
        real = open_encoder(place / "model")
        real.encode_queries(questions[:8])
        encoding_answers, _ = processor_seconds(lambda: real.encode_answers(answers[:ENCODED]))
        encoding, _ = processor_seconds(lambda: real.encode_queries(questions[:ENCODED]))
        encoder = RandomEncoder(real)
        vectors = encoder.encode_answers(answers)
        question_vectors = encoder.encode_answers(questions)
        step = len(questions) // (QUERIES + WARM_UP)
        asked = [" ".join(text.split()[::-1]) for text in questions[::step]]
        sizes = []
        for count in SIZES:
            encoded = EncodedCollection(
                collection=Collection(whole.answers[:count], whole.questions[: count * QUESTIONS]),
                encoder=encoder,
                config=config,
                answer_tokens=answer_tokens[:count],
                question_tokens=question_tokens[: count * QUESTIONS],
                answer_vectors=vectors[:count],
                question_vectors=question_vectors[: count * QUESTIONS],
                stand_ins=vectors[:100],
            )
            building, _ = processor_seconds(encoded.bm25)
            sizes.append(measure_size(encoded, place, asked))
            print(json.dumps(sizes[-1]))
    found = {
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "letters": {
            "answer": round(float(np.mean([*map(len, answers)])), 1),
            "question": round(float(np.mean([*map(len, questions)])), 1),
        },
        "dim": encoder.dim,
        "seconds_per_1000": {
            "analyse answers": per_thousand(of_answers, len(answers)),
            "analyse questions": per_thousand(of_questions, len(questions)),
            "encode answers": per_thousand(encoding_answers, ENCODED),
            "encode questions": per_thousand(encoding, ENCODED),
            "build BM25, per answer": per_thousand(building, max(SIZES)),
        },
        "dense": {
            "exact": measure_dense(vectors, "exact"),
            "hnsw": measure_dense(vectors[: SIZES[2]], "hnsw"),
        },
        "sizes": sizes,
    }
    RESULT.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--resident"]:
        print(resident(Path(sys.argv[2])))
    else:
        main()
