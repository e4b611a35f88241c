"""Is the learned fusion worth it? Test MRR@10 of every signal, of rank fusion and of the hybrid.

For each set: split as `dotbogi train` does, index all answers with the train-side questions, fit
weights and confidence on the development queries, and search the test queries once.

    OMP_NUM_THREADS=1 python benchmarks/fusion.py DATA [--set chatbot] [--epochs 10] [--seed 42]

With epochs, the starter is fine-tuned first (in-batch and one random negative, defaults of
`dotbogi train`). Rank fusion is that of all five signals with k 60 (Cormack et al. 2009), and of
joined BM25 (twice), the better BM25 view and the better dense view with k 10, the best of those
tried. Differences are the hybrid's, with 95% paired bootstrap intervals. Writes
benchmarks/results/fusion-SET.json.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from public_data import SETS, collection_of

from indexes.collection import Collection
from indexes.hits import Ranking
from indexes.views import BM25, DENSE, SIGNALS
from search.encoders import Encoder, open_encoder
from search.fusion import FusionWeights, best_of, fuse
from search.index import build_index
from search.maxsim import MAXSIM
from search.models import ModelConfig, save_model
from search.searcher import Searcher
from training.bootstrap import paired_bootstrap
from training.evaluation import dense_mrr, evaluate_fitted, queries_of
from training.finetune import finetune
from training.fit import fit_config
from training.metrics import reciprocal_rank_at
from training.reliability import ConfidenceQuality
from training.rows import training_rows
from training.split import split_collection

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--epochs", type=int, default=10, help="0: the starter as it comes")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    for name in arguments.set or SETS:
        collection = split_collection(collection_of(name, arguments.data), seed=arguments.seed)
        found = measure(collection, trained(collection, arguments.epochs, arguments.seed))
        found |= {"epochs": arguments.epochs, "seed": arguments.seed}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"fusion-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        show(name, found)


def trained(collection: Collection, epochs: int, seed: int) -> Encoder:
    """Return the starter, fine-tuned on the train side."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save_model(ModelConfig(), [], folder / "base")
        if not epochs:
            return open_encoder(folder / "base")
        finetune(
            folder / "base",
            training_rows(collection, []),
            fit_config("static", {"seed": seed, "epochs": epochs}),
            folder / "fit",
            evaluate=dense_mrr(
                collection.only(["train"]), queries_of(collection.only(["dev"]).questions)
            ),
        )
        return open_encoder(folder / "fit" / "model")


def measure(collection: Collection, encoder: Encoder) -> dict[str, object]:
    """Return the figures of one set."""
    index = build_index(collection.only(["train"]), encoder)
    dev = queries_of(collection.only(["dev"]).questions)
    test = queries_of(collection.only(["test"]).questions)
    _, fitted = evaluate_fitted(index, dev, seed=42)
    searcher = Searcher(fitted)
    signals = searcher.rankings([query.text for query in test])
    systems: dict[str, list[Ranking]] = {
        name: [of_query[name] for of_query in signals] for name in (*SIGNALS, MAXSIM)
    }
    systems["dense"] = [fuse(of_query, "dense") for of_query in signals]
    systems["RRF of five"] = [rrf([(s[name], 1) for name in SIGNALS], 60) for s in signals]
    systems["RRF of three"] = [
        rrf(
            [
                (s["bm25.joined"], 2),
                (best_of([s[name] for name in BM25[:2]]), 1),
                (best_of([s[name] for name in DENSE]), 1),
            ],
            10,
        )
        for s in signals
    ]
    default = FusionWeights(floor=fitted.weights.floor)
    systems["hybrid, default weights"] = [fuse(s, weights=default) for s in signals]
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
