"""Is the learned fusion worth it? Test MRR@10 of every part, of rank fusion and of the hybrid.

For each set: split as `dotbogi train` does, index all answers with the train-side questions, fit
weights and confidence on the development queries, and search the test queries once.

    OMP_NUM_THREADS=1 python benchmarks/fusion.py DATA [--set chatbot] [--base] [--seed 42]

An adapter is learned on the starter's vectors first (in-batch negatives alone, defaults of
`dotbogi train`); with --base it is not. Rank fusion is that of all six signals with k 60 (Cormack
et al. 2009), and of joined BM25 (twice), the better BM25 view and the better dense view with k 10,
the best of those tried. Differences are the hybrid's, with 95% paired bootstrap intervals. Writes
benchmarks/results/fusion-SET.json.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from public_data import SETS, collection_of

from indexes.cache import Cache
from indexes.collection import Collection
from indexes.hits import Ranking
from indexes.views import SIGNALS, owners_of_questions
from search.encoded import EncodedCollection, IndexConfig
from search.encoders import CachedEncoder, open_encoder
from search.fusion import PARTS, FusionWeights, best_of, fuse
from search.geometry import Geometry
from search.index import index_encoded
from search.known_questions import queries_of
from search.models import ModelConfig, enter_model
from search.publish import all_texts
from search.searcher import Searcher
from training.fit.adapter import AdapterConfig, learn_adapter
from training.measure.bootstrap import paired_bootstrap
from training.measure.evaluation import evaluate_fitted
from training.measure.metrics import reciprocal_rank_at
from training.measure.reliability import ConfidenceQuality
from training.split import split_collection

RESULTS = Path(__file__).parent / "results"
CACHE = Path(__file__).parent.parent / "build" / "benchmarks"  # of vectors and tokens


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--base", action="store_true", help="the starter as it comes")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    for name in arguments.set or SETS:
        collection = split_collection(collection_of(name, arguments.data), seed=arguments.seed)
        encoded = encode(collection.only(["train"]))
        geometry = encoded.geometry() if arguments.base else learned(encoded, arguments.seed)
        found = measure(collection, encoded, geometry)
        found |= {"adapter": not arguments.base, "seed": arguments.seed}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"fusion-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        show(name, found)


def encode(train: Collection) -> EncodedCollection:
    """Return a collection as the starter reads it."""
    cache = Cache(CACHE)
    with tempfile.TemporaryDirectory() as folder:
        enter_model(ModelConfig(), Path(folder), all_texts(train))
        encoder = CachedEncoder(open_encoder(Path(folder)), cache)
        return EncodedCollection.of(train, encoder, IndexConfig(), cache)


def learned(encoded: EncodedCollection, seed: int) -> Geometry:
    """Return the means and the adapter learned from all known questions."""
    means = encoded.geometry()
    adapter, _ = learn_adapter(
        means.queries(encoded.question_vectors),
        np.asarray(owners_of_questions(encoded.collection), np.int64),
        means.answers(encoded.answer_vectors),
        config=AdapterConfig(seed=seed),
    )
    return replace(means, adapter=adapter)


def measure(
    collection: Collection, encoded: EncodedCollection, geometry: Geometry
) -> dict[str, object]:
    """Return the figures of one set."""
    index = index_encoded(encoded, geometry=geometry)
    dev = queries_of(collection.only(["dev"]).questions)
    test = queries_of(collection.only(["test"]).questions)
    _, fitted = evaluate_fitted(index, dev, seed=42)
    signals = Searcher(fitted).rankings([query.text for query in test])
    systems = {name: [rank(s) for s in signals] for name, rank in rankers().items()}
    hybrid = [fuse(s, weights=fitted.weights) for s in signals]

    def ranks(rankings: Sequence[Ranking]) -> list[float]:
        pairs = zip(rankings, test, strict=True)
        return [reciprocal_rank_at(10, [c[0] for c in r], q.grades) for r, q in pairs]

    ours = ranks(hybrid)
    assert fitted.calibration is not None
    confidence = [
        fitted.calibration.confidence(q.text, s, r)
        for q, s, r in zip(test, signals, hybrid, strict=True)
    ]
    right = [r[0].answer_id in q.grades for r, q in zip(hybrid, test, strict=True)]
    quality = ConfidenceQuality.of(confidence, right, fitted.calibration.threshold)
    return {
        "queries": len(test),
        "hybrid": float(np.mean(ours)),
        "weights": asdict(fitted.weights),
        "systems": {
            name: {
                "MRR@10": float(np.mean(theirs := ranks(rankings))),
                "hybrid over it": asdict(paired_bootstrap(ours, theirs, seed=0)),
            }
            for name, rankings in systems.items()
        },
        "confidence": asdict(quality),
    }


def rankers() -> dict[str, Callable[[Mapping[str, Ranking]], Ranking]]:
    """Return what the hybrid is compared with, by name: each makes one ranking of the signals."""

    def part(name: str) -> Callable[[Mapping[str, Ranking]], Ranking]:
        alone = FusionWeights(**{each: float(each == name) for each in PARTS})
        return lambda signals: fuse(signals, weights=alone)

    return {
        **{name: part(name) for name in PARTS},
        "dense": lambda signals: fuse(signals, "dense"),
        "RRF of six": lambda signals: rrf([(signals[name], 1) for name in SIGNALS], 60),
        "RRF of three": _rrf_of_three,
        "hybrid, default weights": fuse,
    }


def _rrf_of_three(signals: Mapping[str, Ranking]) -> Ranking:
    bm25 = best_of([signals["bm25.answer"], signals["bm25.question"]])
    return rrf([(signals["bm25.joined"], 2), (bm25, 1), (fuse(signals, "dense"), 1)], 10)


def rrf(rankings: Sequence[tuple[Ranking, float]], k: int) -> Ranking:
    """Return reciprocal rank fusion of weighted rankings."""
    scores: dict[str, float] = defaultdict(float)
    for ranking, weight in rankings:
        for rank, candidate in enumerate(ranking, 1):
            scores[candidate.answer_id] += weight / (k + rank)
    merged = [candidate for ranking, _ in rankings for candidate in ranking]
    return best_of([[c._replace(score=scores[c.answer_id]) for c in merged]])


def show(name: str, found: dict[str, object]) -> None:
    """Print the figures of one set."""
    print(f"\n{name}: {found['queries']} test queries, hybrid MRR@10 {found['hybrid']:.3f}")
    systems: dict[str, dict[str, object]] = found["systems"]  # type: ignore[assignment]
    for system, figures in systems.items():
        gain: dict[str, float] = figures["hybrid over it"]  # type: ignore[assignment]
        print(
            f"  {system:24} {figures['MRR@10']:.3f}   hybrid {gain['mean']:+.3f} "
            f"[{gain['low']:+.3f}, {gain['high']:+.3f}]"
        )
    sure: dict[str, float] = found["confidence"]  # type: ignore[assignment]
    print(
        f"  confidence: ECE {sure['ece']:.3f}, AUROC of right over wrong {sure['auroc']:.3f}, "
        f"at {sure['threshold']:.2f}: coverage {sure['coverage']:.2f}, "
        f"precision {sure['precision']:.2f}"
    )


if __name__ == "__main__":
    main()
