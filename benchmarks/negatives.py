"""What mined negatives are worth: one round from the starter with each recipe, on three sets.

Every fit is an adapter on the starter's vectors, with the defaults of `dotbogi train`, on the split
of seed 42; the seeds are those of mining and fit. The hybrid's weights are fitted on development
queries. The gain over in-batch negatives alone is paired by test query, each query's reciprocal
rank being its mean over the seeds.

    OMP_NUM_THREADS=1 python benchmarks/negatives.py DATA [--set chatbot]

Writes each set's figures into benchmarks/results/negatives-SET.json, and from all of
adapters that are there docs/negatives_table.md.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from public_data import SETS, collection_of

from indexes.analyzer import Analyzer
from indexes.cache import Cache
from indexes.collection import Collection
from indexes.views import owners_of_questions
from search.encoded import EncodedCollection, IndexConfig
from search.encoders import CachedEncoder, open_encoder
from search.geometry import AdaptedEncoder, Geometry
from search.index import index_encoded
from search.known_questions import queries_of
from search.models import ModelConfig, enter_model
from search.publish import all_texts
from search.searcher import Searcher
from training.fit.adapter import AdapterConfig, learn_adapter
from training.fit.rows import hard_negatives
from training.measure.bootstrap import paired_bootstrap
from training.measure.evaluation import evaluate, evaluate_fitted
from training.negatives import MiningConfig, Negative, mine, parse_quotas
from training.split import split_collection

RECIPES = (
    "",
    "random:1",
    "bm25:1",
    "model:1",
    "bm25:1,model:1",
    "bm25:1,model:1,random:1",
)
SEEDS = (0, 1, 2)
METHODS = ("dense", "hybrid")
PARTS = ("dev", "test")
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CACHE = ROOT / "build" / "benchmarks"  # of vectors and tokens


class RememberingAnalyzer(Analyzer):
    """Analyses each text once in the life of this process."""

    def __init__(self) -> None:
        super().__init__("kiwi")
        self._known: dict[tuple[str, int], list[str]] = {}

    def _tokenize(self, texts: Sequence[str], times: int) -> list[list[str]]:
        new = list(dict.fromkeys(text for text in texts if (text, times) not in self._known))
        self._known |= zip(((t, times) for t in new), super()._tokenize(new, times), strict=True)
        return [self._known[text, times] for text in texts]


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.set or SETS:
        found = measure_set(name, collection_of(name, arguments.data))
        found = {"fit": "adapter", "recipes": found}
        (RESULTS / f"negatives-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    kept = {name: RESULTS / f"negatives-{name}.json" for name in SETS}
    read = {name: json.loads(path.read_text()) for name, path in kept.items() if path.is_file()}
    stored = {n: each["recipes"] for n, each in read.items() if each.get("fit") == "adapter"}
    (ROOT / "docs/negatives_table.md").write_text(table(stored), encoding="utf-8")


def measure_set(name: str, whole: Collection) -> dict[str, Any]:
    """Return the figures of one set by recipe."""
    collection = split_collection(whole, seed=42)
    encoded = encode(collection.only(["train"]))
    analyzer = RememberingAnalyzer()
    found: dict[str, Any] = {}
    ranks: dict[str, dict[str, list[list[float]]]] = {}
    for recipe in RECIPES:
        runs = []
        for seed in SEEDS:
            runs.append(measure(collection, encoded, recipe, seed, analyzer))
            print(name, recipe or "in-batch", seed, runs[-1]["dev"], runs[-1]["test"], flush=True)
        ranks[recipe] = {m: [one["ranks"][m] for one in runs] for m in METHODS}
        found[recipe] = {
            **{part: {m: [one[part][m] for one in runs] for m in METHODS} for part in PARTS},
            "seconds": [one["seconds"] for one in runs],
            "yields": [one["yields"] for one in runs],
        }
        if recipe:
            found[recipe]["gain"] = {m: _gain(ranks[recipe][m], ranks[""][m]) for m in METHODS}
    return found


def encode(train: Collection) -> EncodedCollection:
    """Return a collection as the starter reads it."""
    cache = Cache(CACHE)
    with tempfile.TemporaryDirectory() as folder:
        enter_model(ModelConfig(), Path(folder), all_texts(train))
        encoder = CachedEncoder(open_encoder(Path(folder)), cache)
        return EncodedCollection.of(train, encoder, IndexConfig(), cache)


def _gain(ours: Sequence[list[float]], theirs: Sequence[list[float]]) -> dict[str, float]:
    return asdict(paired_bootstrap(np.mean(ours, axis=0), np.mean(theirs, axis=0), seed=0))


def measure(
    collection: Collection,
    encoded: EncodedCollection,
    recipe: str,
    seed: int,
    analyzer: Analyzer,
) -> dict[str, Any]:
    """Mine, learn and measure once."""
    dev = queries_of(collection.only(["dev"]).questions)
    test = queries_of(collection.only(["test"]).questions)
    started = time.monotonic()
    negatives: list[Negative] = []
    yields: dict[str, Any] = {}
    if recipe:
        config = MiningConfig(quotas=parse_quotas(recipe), seed=seed)
        miner = AdaptedEncoder(encoded.encoder, encoded.geometry())
        mined = mine(collection, miner, analyzer, config)
        negatives, yields = list(mined.all()), mined.counts
    geometry = learned(encoded, negatives, seed)
    seconds = time.monotonic() - started
    on_dev, fitted = evaluate_fitted(index_encoded(encoded, geometry=geometry), dev, seed=42)
    on_test = evaluate(Searcher(fitted), test)
    return {
        "dev": {method: on_dev.mean(method, "MRR@10") for method in METHODS},
        "test": {method: on_test.mean(method, "MRR@10") for method in METHODS},
        "ranks": {method: on_test.scores[method]["MRR@10"] for method in METHODS},
        "seconds": seconds,
        "yields": yields,
    }


def learned(encoded: EncodedCollection, negatives: Sequence[Negative], seed: int) -> Geometry:
    """Return the means and the adapter learned from all known questions that have negatives."""
    means, train = encoded.geometry(), encoded.collection
    kept, rows = hard_negatives(train, negatives)
    owners = np.asarray(owners_of_questions(train), np.int64)
    adapter, _ = learn_adapter(
        means.queries(encoded.question_vectors)[kept],
        owners[kept],
        means.answers(encoded.answer_vectors),
        config=AdapterConfig(seed=seed),
        negatives=rows,
    )
    return replace(means, adapter=adapter)


def table(stored: dict[str, Any]) -> str:
    """Return a Markdown page: mean ± standard deviation over the seeds."""
    lines = [
        "# Negatives, measured",
        "",
        "MRR@10 with an adapter on the starter; mean ± standard deviation of three seeds; gains",
        "over in-batch negatives on test, with 95% paired bootstrap intervals. Made by",
        "`benchmarks/negatives.py`, which says how. What it means: [negatives.md](negatives.md).",
        "With a whole model trained: not measured.",
    ]
    for name, of_set in stored.items():
        lines += [
            "",
            f"## {name}",
            "",
            "| negatives | dev dense | dev hybrid | test dense | test hybrid | gain, dense "
            "| gain, hybrid | seconds |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for recipe, found in of_set.items():
            cells = [_spread(found[part][method]) for part in PARTS for method in METHODS]
            gains = [_interval(found["gain"][m]) if recipe else "" for m in METHODS]
            seconds = f"{np.mean(found['seconds']):.0f}"
            row = [recipe or "in-batch alone", *cells, *gains, seconds]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def _interval(gain: dict[str, float]) -> str:
    return f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"


if __name__ == "__main__":
    main()
