"""What mined negatives are worth: one round from the starter with each recipe, on three sets.

Every fit starts from the starter, with the defaults of `dotbogi train`, on the split of seed 42;
the seeds are those of mining and fit. The best epoch is chosen on development queries, and so are
the hybrid's weights. The gain over in-batch negatives alone is paired by test query, each query's
reciprocal rank being its mean over the seeds.

    OMP_NUM_THREADS=1 python benchmarks/negatives.py DATA [--set chatbot]

Writes each set's figures into benchmarks/results/negatives-SET.json, and from all that are there
docs/negatives_table.md. About half an hour a set and core.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from public_data import SETS, collection_of

from indexes.analyzer import Analyzer
from indexes.cache import Cache
from indexes.collection import Collection
from search.encoders import Encoder, open_encoder
from search.index import build_index
from search.models import ModelConfig, save_model
from search.searcher import Searcher
from training.bootstrap import paired_bootstrap
from training.evaluation import dense_mrr, evaluate, evaluate_fitted, queries_of
from training.finetune import finetune
from training.fit import fit_config
from training.negatives import MiningConfig, mine, parse_quotas
from training.rows import training_rows
from training.split import split_collection

RECIPES = (
    "",
    "random:1",
    "bm25:1",
    "model:1",
    "bm25:1,model:1",
    "edit:1",
    "bm25:1,model:1,edit:1,random:1",
)
SEEDS = (0, 1, 2)
METHODS = ("dense", "hybrid")
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


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
        (RESULTS / f"negatives-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    stored = {
        name: json.loads(path.read_text())
        for name in SETS
        if (path := RESULTS / f"negatives-{name}.json").is_file()
    }
    (ROOT / "docs/negatives_table.md").write_text(table(stored), encoding="utf-8")


def measure_set(name: str, whole: Collection) -> dict[str, Any]:
    """Return the figures of one set by recipe."""
    collection = split_collection(whole, seed=42)
    analyzer = RememberingAnalyzer()
    found: dict[str, Any] = {}
    test: dict[str, dict[str, list[list[float]]]] = {}
    with tempfile.TemporaryDirectory() as place:
        save_model(ModelConfig(), [], Path(place) / "base")
        base = open_encoder(Path(place) / "base")
        for recipe in RECIPES:
            of_recipe: dict[str, Any] = {"dev": {}, "test": {}, "minutes": [], "yields": []}
            test[recipe] = {method: [] for method in METHODS}
            for seed in SEEDS:
                one = measure(collection, recipe, seed, base, Path(place), analyzer)
                for part in ("dev", "test"):
                    for method in METHODS:
                        of_recipe[part].setdefault(method, []).append(one[part][method])
                for method in METHODS:
                    test[recipe][method].append(one["ranks"][method])
                of_recipe["minutes"].append(one["minutes"])
                of_recipe["yields"].append(one["yields"])
                print(name, recipe or "in-batch", seed, one["dev"], one["test"], flush=True)
            if recipe:
                of_recipe["gain"] = {m: _gain(test[recipe][m], test[""][m]) for m in METHODS}
            found[recipe] = of_recipe
    return found


def _gain(ours: Sequence[list[float]], theirs: Sequence[list[float]]) -> dict[str, float]:
    return asdict(paired_bootstrap(np.mean(ours, axis=0), np.mean(theirs, axis=0), seed=0))


def measure(
    collection: Collection,
    recipe: str,
    seed: int,
    base: Encoder,
    place: Path,
    analyzer: Analyzer,
) -> dict[str, Any]:
    """Mine, train and measure once."""
    train = collection.only(["train"])
    dev = queries_of(collection.only(["dev"]).questions)
    test = queries_of(collection.only(["test"]).questions)
    started = time.monotonic()
    negatives, yields = [], {}
    if recipe:
        config = MiningConfig(quotas=parse_quotas(recipe), seed=seed)
        mined = mine(collection, base, analyzer, config)
        negatives, yields = list(mined.all()), mined.counts
    with tempfile.TemporaryDirectory() as folder:
        finetune(
            place / "base",
            training_rows(collection, negatives),
            fit_config("static", {"seed": seed}),
            Path(folder),
            evaluate=dense_mrr(train, dev),
        )
        encoder = open_encoder(Path(folder) / "model")
    minutes = (time.monotonic() - started) / 60
    cache = Cache(place / "cache")
    index = build_index(train, encoder, cache=cache)
    cache.keep_only([index.analyzer.fingerprint])
    on_dev, fitted = evaluate_fitted(index, dev, seed=42)
    on_test = evaluate(Searcher(fitted), test)
    return {
        "dev": {method: on_dev.mean(method, "MRR@10") for method in METHODS},
        "test": {method: on_test.mean(method, "MRR@10") for method in METHODS},
        "ranks": {method: on_test.scores[method]["MRR@10"] for method in METHODS},
        "minutes": minutes,
        "yields": yields,
    }


def table(stored: dict[str, Any]) -> str:
    """Return a Markdown page: mean ± standard deviation over the seeds."""
    lines = [
        "# Negatives, measured",
        "",
        "MRR@10 after one round from the starter; mean ± standard deviation of three seeds; gains",
        "over in-batch negatives on test, with 95% paired bootstrap intervals. Made by",
        "`benchmarks/negatives.py`, which says how. What it means: [negatives.md](negatives.md).",
        "With a transformer: not measured.",
    ]
    for name, of_set in stored.items():
        lines += [
            "",
            f"## {name}",
            "",
            "| negatives | dev dense | dev hybrid | test dense | test hybrid | gain, dense "
            "| gain, hybrid | minutes |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for recipe, found in of_set.items():
            cells = [_spread(found[part][method]) for part in ("dev", "test") for method in METHODS]
            gains = [_interval(found["gain"][m]) if recipe else "" for m in METHODS]
            minutes = f"{np.mean(found['minutes']):.1f}"
            row = [recipe or "in-batch alone", *cells, *gains, minutes]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def _interval(gain: dict[str, float]) -> str:
    return f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"


if __name__ == "__main__":
    main()
