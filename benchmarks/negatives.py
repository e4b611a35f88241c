"""What mined negatives are worth: one adapter on the starter with each recipe, out of fold.

    OMP_NUM_THREADS=1 python benchmarks/negatives.py DATA [--set NAME] [--seeds 3] [--rows N]

As `dotbogi train` does it: questions are in five folds; without each fold in turn negatives are
mined by the base and an adapter is learned with its defaults; up to 700 questions of the fold are
asked, with the hybrid's weights fitted on the other folds. The second round learns from negatives
that the adapter of in-batch negatives alone has mined. Seeds are those of mining and fit. The gain
over in-batch negatives alone is paired by question, each question's reciprocal rank being its mean
over the seeds. Seconds are those of mining and learning, all folds together.

Writes benchmarks/results/negatives-SET.json, and from all that are there docs/negatives_table.md.
--rows takes that many random rows of a set, over all its answers.
"""

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from public_data import SETS as PUBLIC
from public_data import collection_of

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Collection, build_collection
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.indexes.text import same_text_key
from dotbogi.indexes.views import owners_of_questions
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import CachedEncoder, open_encoder
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import index_encoded
from dotbogi.search.known_questions import Fold, Query, ask, folds_of
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.training.fit.adapter import AdapterConfig, learn_adapter
from dotbogi.training.fit.rows import hard_negatives
from dotbogi.training.measure.bootstrap import paired_bootstrap
from dotbogi.training.measure.crossfit import out_of_fold
from dotbogi.training.negatives import MiningConfig, mine, parse_quotas
from dotbogi.training.negatives.known import KnownTexts
from dotbogi.training.split import held_back

SETS = (*PUBLIC, "sample")
IN_BATCH = "in batch alone"
SECOND = "bm25:1,model:1, second round"
RECIPES = (
    IN_BATCH,
    "random:2",
    "bm25:1",
    "model:1",
    "bm25:1,model:1",
    "bm25:1,model:1,random:1",
    SECOND,
)
METHODS = ("dense", "hybrid")
FOLDS = 5
ASKED = 700  # questions of a fold
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CACHE = Cache(ROOT / "build" / "benchmark-cache")  # of vectors and tokens

Figures = dict[str, Any]


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--rows", type=int, help="of a set; all if left out")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.set or SETS:
        collection = open_set(name, arguments.data, arguments.rows)
        found = measure_set(name, Folds.of(encode(collection)), range(arguments.seeds))
        (RESULTS / f"negatives-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    kept = {name: RESULTS / f"negatives-{name}.json" for name in SETS}
    read = {name: json.loads(path.read_text()) for name, path in kept.items() if path.is_file()}
    stored = {name: found for name, found in read.items() if "machine" in found}
    (ROOT / "docs/negatives_table.md").write_text(tables(stored), encoding="utf-8")


def open_set(name: str, data: Path, rows: int | None) -> Collection:
    """Return a set, all of it on the train side, with so many of its known questions."""
    if name == "sample":
        collection = build_collection(read_table(SAMPLE_PATH))[0]
    else:
        collection = collection_of(name, data)
    questions = [replace(question, split="train") for question in collection.questions]
    if rows and rows < len(questions):
        questions = random.Random(0).sample(questions, rows)
    return replace(collection, questions=questions)


def encode(collection: Collection) -> EncodedCollection:
    """Return a collection as the starter reads it."""
    with tempfile.TemporaryDirectory() as folder:
        enter_model(ModelConfig(), Path(folder), [])
        encoder = CachedEncoder(open_encoder(Path(folder)), CACHE)
        return EncodedCollection.of(collection, encoder, IndexConfig(), CACHE)


@dataclass(frozen=True, slots=True)
class Folds:
    """A collection in folds, with what mining needs to know of its texts."""

    encoded: EncodedCollection
    each: list[Fold]
    asked: list[list[Query]]  # of each fold
    tokens: Mapping[str, list[str]]  # of each known question as a query

    @classmethod
    def of(cls, encoded: EncodedCollection) -> "Folds":
        """Divide a collection and analyse its questions."""
        texts = [question.text for question in encoded.collection.questions]
        tokens = dict(zip(texts, Analyzer().tokenize_queries(texts), strict=True))
        each = list(folds_of(encoded, FOLDS, 0))
        rng = random.Random(0)
        asked = [rng.sample(f.queries, min(ASKED, len(f.queries))) for f in each]
        return cls(encoded, each, asked, tokens)

    def without(self, fold: Fold) -> Collection:
        """Return the collection with a fold's questions off the train side."""
        keys = {same_text_key(query.text) for query in fold.queries}
        whole = self.encoded.collection
        return held_back(whole, whole, [same_text_key(q.text) not in keys for q in whole.questions])


def measure_set(name: str, folds: Folds, seeds: Sequence[int]) -> Figures:
    """Return the figures of one set by recipe."""
    base = ranks(folds, [None] * len(folds.each))
    print(f"{name}: no adapter, {means(base)}", flush=True)
    rows: dict[str, list[Figures]] = {recipe: [] for recipe in RECIPES}
    for seed in seeds:
        for recipe, of_recipe in measure_seed(folds, seed):
            rows[recipe].append(of_recipe)
            print(f"{name}, seed {seed}: {recipe}, {means(of_recipe['ranks'])}", flush=True)
    averaged = {
        recipe: {m: np.mean([one["ranks"][m] for one in runs], axis=0) for m in METHODS}
        for recipe, runs in rows.items()
    }
    recipes: Figures = {"no adapter": {m: [float(np.mean(base[m]))] for m in METHODS}}
    averaged["no adapter"] = {m: np.asarray(base[m]) for m in METHODS}
    for recipe, runs in rows.items():
        recipes[recipe] = {
            **{m: [float(np.mean(one["ranks"][m])) for one in runs] for m in METHODS},
            "seconds": [one["seconds"] for one in runs],
            "yields": [one["yields"] for one in runs],
        }
    for recipe, found in recipes.items():
        if recipe != IN_BATCH:
            pairs = {m: (averaged[recipe][m], averaged[IN_BATCH][m]) for m in METHODS}
            found["gain"] = {m: asdict(paired_bootstrap(*pairs[m], seed=0)) for m in METHODS}
    return {
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "questions": len(folds.encoded.collection.questions),
        "answers": len(folds.encoded.collection.answers),
        "asked": len(base["dense"]),
        "recipes": recipes,
    }


def measure_seed(folds: Folds, seed: int) -> Iterator[tuple[str, Figures]]:
    """Yield each recipe with its reciprocal ranks, seconds and yields."""
    first: list[Geometry] = []  # of each fold, learned from in-batch negatives alone
    for recipe in RECIPES:
        began = time.monotonic()
        quotas = "" if recipe == IN_BATCH else recipe.removesuffix(", second round")
        miners = first if recipe == SECOND else [fold.rest.geometry() for fold in folds.each]
        learned, yields = [], []
        for fold, miner in zip(folds.each, miners, strict=True):
            geometry, counts = learn(folds, fold, miner, quotas, seed)
            learned.append(geometry)
            yields.append(counts)
        seconds = time.monotonic() - began
        if recipe == IN_BATCH:
            first = learned
        yield recipe, {"ranks": ranks(folds, learned), "seconds": seconds, "yields": yields}


def learn(
    folds: Folds, fold: Fold, miner: Geometry, quotas: str, seed: int
) -> tuple[Geometry, Figures]:
    """Return the means and the adapter learned without a fold, and what mining gave."""
    rest = fold.rest
    means_, train = rest.geometry(), rest.collection
    negatives = None
    counts: Figures = {}
    if quotas:
        texts = KnownTexts(rest, miner, folds.tokens)
        config = MiningConfig(quotas=parse_quotas(quotas), seed=seed)
        mined = mine(folds.without(fold), texts, texts, config)
        negatives = hard_negatives(train, list(mined.all()))
        counts = mined.counts
    adapter, _ = learn_adapter(
        means_.queries(rest.question_vectors),
        np.asarray(owners_of_questions(train), np.int64),
        means_.answers(rest.answer_vectors),
        config=AdapterConfig(seed=seed),
        negatives=negatives,
    )
    return replace(means_, adapter=adapter), counts


def ranks(folds: Folds, geometries: Sequence[Geometry | None]) -> dict[str, list[float]]:
    """Return each asked question's reciprocal rank by method."""
    asked = [
        ask(index_encoded(fold.rest, geometry=geometry), queries, seed=0)
        for fold, queries, geometry in zip(folds.each, folds.asked, geometries, strict=True)
    ]
    scores = out_of_fold(asked).evaluation.scores
    return {method: scores[method]["MRR@10"] for method in METHODS}


def means(of_methods: Mapping[str, Sequence[float]]) -> str:
    """Return MRR@10 in words."""
    return ", ".join(f"{method} {np.mean(of_methods[method]):.4f}" for method in METHODS)


def machine() -> str:
    """Return the processor and how many of its cores there are."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def tables(stored: Mapping[str, Figures]) -> str:
    """Return a Markdown page: mean ± standard deviation over the seeds."""
    lines = [
        "# Negatives, measured",
        "",
        "MRR@10 of questions in folds, with an adapter on the starter; mean ± standard deviation",
        "over the seeds; gains over in-batch negatives alone, with 95% paired bootstrap intervals;",
        "seconds of mining and learning, five folds together. Made by `benchmarks/negatives.py`,",
        "which says how. What it means: [negatives.md](negatives.md). Full fits: not measured, no",
        "GPU was at hand.",
    ]
    for name, of_set in stored.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"{of_set['questions']:,} questions, {of_set['asked']:,} of them asked, and "
            f"{of_set['answers']:,} answers; {seeds_of(of_set)}; {of_set['machine']}, shared; "
            f"{of_set['date']}.",
            "",
            "| negatives | dense | hybrid | gain, dense | gain, hybrid | seconds |",
            "|---|---|---|---|---|---|",
        ]
        for recipe, found in of_set["recipes"].items():
            cells = [spread(found[method]) for method in METHODS]
            gains = [interval(found["gain"][m]) if "gain" in found else "" for m in METHODS]
            seconds = f"{np.mean(found['seconds']):.0f}" if "seconds" in found else ""
            lines.append(f"| {' | '.join([recipe, *cells, *gains, seconds])} |")
    return "\n".join(lines) + "\n"


def seeds_of(of_set: Figures) -> str:
    """Return how many seeds a set was measured with, in words."""
    count = len(of_set["recipes"][IN_BATCH]["dense"])
    return f"{count} seeds" if count > 1 else "one seed"


def spread(values: Sequence[float]) -> str:
    """Return mean ± standard deviation; of a single value, itself."""
    mean = f"{np.mean(values):.3f}"
    return f"{mean} ± {np.std(values):.3f}" if len(values) > 1 else mean


def interval(gain: Mapping[str, float]) -> str:
    """Return a gain with its interval."""
    return f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"


if __name__ == "__main__":
    main()
