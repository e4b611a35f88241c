"""Mining negatives beside the packages for it: processor time a question, and peak memory.

    OMP_NUM_THREADS=1 python benchmarks/mining_speed.py [--answers 100000] [--questions 10000]

Over a synthetic collection (benchmarks/synthetic.py) whose tokens and vectors are given, so that
nobody analyses or encodes. Each miner runs in a process of its own, on one thread, and reports what
it adds to the memory of the collection. Needs Linux.

bm25: `dotbogi mine --negatives bm25:4`, its index included; bm25s retrieving 50 answers of each
question in one call, its index included; rank-bm25 for ten questions, its index not included.
model: `--negatives model:4`; sentence-transformers' mine_hard_negatives with four negatives.
Without bounds, both take the nearest wrong answers: the share that is equal is printed too.

Writes benchmarks/results/mining_speed.json.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from synthetic import Synthetic

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.lexical import K1, B, Tokens, _numbered
from dotbogi.training.negatives.mining import mine
from dotbogi.training.negatives.negative import MiningConfig

RESULTS = Path(__file__).parent / "results" / "mining_speed.json"
WINDOW, NEGATIVES, SLOW = 50, 4, 10


class Drawn:
    """A collection and what an encoder and an analyzer would make of its texts."""

    def __init__(self, answers: int, questions: int) -> None:
        source = Synthetic()
        pairs = source.pairs(answers)
        asked = np.stack([pairs[:questions, 0], source.pairs(questions)[:, 0]], axis=1)
        self.answers = source.texts(pairs)
        self.questions = [f"{text}?" for text in source.texts(asked)]
        self.tokens = source.tokens(pairs)
        self.query_tokens = source.tokens(asked, of_queries=True)
        self.vectors = source.vectors(pairs)
        self.query_vectors = source.vectors(asked, of_queries=True)
        rows = zip(map(str, range(10**8, 10**8 + answers)), self.answers, strict=True)
        listed = [Answer(id_, text) for id_, text in rows]
        pairs_of_texts = zip(self.questions, listed, strict=False)
        known = [KnownQuestion(text, answer.id, split="train") for text, answer in pairs_of_texts]
        self.collection = Collection(listed, known)
        self.mined: set[tuple[str, str]] = set()  # questions and negatives

    def encode_answers(self, _: Sequence[str]) -> Vectors:
        """Return the vectors of all answers."""
        return self.vectors

    def encode_queries(self, _: Sequence[str]) -> Vectors:
        """Return the vectors of all questions."""
        return self.query_vectors

    def tokenize(self, _: Sequence[str]) -> Tokens:
        """Return the tokens of all answers."""
        return self.tokens

    def tokenize_queries(self, _: Sequence[str]) -> Tokens:
        """Return the tokens of all questions."""
        return self.query_tokens


def ours(drawn: Drawn, source: str) -> int:
    """Mine as the command does."""
    config = MiningConfig(quotas={source: NEGATIVES}, bound=None)
    drawn.mined = {(n.question, n.text) for n in mine(drawn.collection, drawn, drawn, config).all()}
    return len(drawn.questions)


def bm25s_in_batch(drawn: Drawn) -> int:
    """Retrieve the window of each question."""
    import bm25s
    from bm25s.tokenization import Tokenized

    numbered = _numbered(drawn.tokens)
    scorer = bm25s.BM25(method="lucene", k1=K1, b=B)
    scorer.index(numbered, create_empty_token=False, show_progress=False)
    known = numbered.vocab
    ids = [[known[t] for t in row if t in known] for row in drawn.query_tokens]
    scorer.retrieve(Tokenized(ids=ids, vocab=known), k=WINDOW, show_progress=False)
    return len(drawn.questions)


def sentence_transformers(drawn: Drawn) -> int:
    """Mine with the package that most people use."""
    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    class Given(SentenceTransformer):
        def __init__(self) -> None:
            super().__init__(modules=[torch.nn.Identity()], device="cpu")

        def encode(self, texts: Any, **_: Any) -> Any:
            texts = list(texts)
            return np.stack([vectors[text] for text in texts])

        encode_query = encode_document = encode

    texts = [*drawn.questions, *drawn.answers]
    rows = np.concatenate([drawn.query_vectors, drawn.vectors])
    vectors = dict(zip(texts, rows, strict=True))
    pairs = {"query": drawn.questions, "answer": drawn.answers[: len(drawn.questions)]}
    found = mine_hard_negatives(
        Dataset.from_dict(pairs),
        Given(),
        corpus=drawn.answers,
        range_max=WINDOW,
        num_negatives=NEGATIVES,
        verbose=False,
    )
    drawn.mined = set(zip(found["query"], found["negative"], strict=True))
    return len(drawn.questions)


def rank_bm25(drawn: Drawn) -> Callable[[], int]:
    """Return what scores ten questions, with the index made before."""
    from rank_bm25 import BM25Okapi

    scorer = BM25Okapi(drawn.tokens, k1=K1, b=B)

    def search() -> int:
        for row in drawn.query_tokens[:SLOW]:
            np.argsort(-scorer.get_scores(row))[:WINDOW]
        return SLOW

    return search


MINERS: dict[str, Callable[[Drawn], int]] = {
    "dotbogi bm25": lambda drawn: ours(drawn, "bm25"),
    "bm25s": bm25s_in_batch,
    "dotbogi model": lambda drawn: ours(drawn, "model"),
    "mine_hard_negatives": sentence_transformers,
}


def measure(miner: str, answers: int, questions: int) -> None:
    """Run one miner in this process, and print its cost as JSON."""
    faiss.omp_set_num_threads(1)
    drawn = Drawn(answers, questions)
    job = rank_bm25(drawn) if miner == "rank-bm25" else lambda: MINERS[miner](drawn)
    if miner == "mine_hard_negatives":  # not the time of its import
        import sentence_transformers.util  # noqa: F401
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the peak
    before = memory("VmRSS")
    began = time.process_time()
    asked = job()
    seconds = time.process_time() - began
    more = memory("VmHWM") - before
    print(json.dumps({"ms": round(1000 * seconds / asked, 3), "mb": round(more)}))


def equal(drawn: Drawn) -> float:
    """Return the share of our negatives by the model that mine_hard_negatives takes too."""
    ours(drawn, "model")
    own = drawn.mined
    sentence_transformers(drawn)
    return round(len(own & drawn.mined) / len(own), 4)


def memory(name: str) -> float:
    """Return a line of /proc/self/status in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def main() -> None:
    """Measure all miners, each in its own process, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--miner", help="measure this one alone, in this process")
    arguments = parser.parse_args()
    if arguments.miner == "equal":
        print(json.dumps(equal(Drawn(arguments.answers, arguments.questions))))
        return
    if arguments.miner:
        measure(arguments.miner, arguments.answers, arguments.questions)
        return
    found = {}

    def run(miner: str, questions: int) -> Any:
        command = [sys.executable, __file__, "--miner", miner]
        command += ["--answers", str(arguments.answers), "--questions", str(questions)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(ran.stdout.splitlines()[-1])

    for miner in [*MINERS, "rank-bm25"]:
        found[miner] = run(miner, arguments.questions)
        print(f"{miner}: {found[miner]['ms']} ms a question, {found[miner]['mb']} MB", flush=True)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.processor() or platform.machine()}, one thread",
        "answers": arguments.answers,
        "questions": arguments.questions,
        "miners": found,
        "equal": run("equal", min(1_000, arguments.questions)),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
