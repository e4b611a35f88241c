"""What training brings, by the number of pairs: the starter's index alone, and an adapter on it.

For each set, size and seed: that many train-side pairs, drawn at random, are the known questions
of an index over all answers. `index` is what `dotbogi index` makes of them: weights are fitted on
the known questions. `adapter` is what `dotbogi train` learns from them (in-batch negatives alone),
with weights fitted on an eighth as many development questions. The figures are MRR@10 of dense and
hybrid search on the test questions.

    OMP_NUM_THREADS=1 python benchmarks/learning_curve.py DATA [--set chatbot] [--seeds 3]

DATA has chatbot.csv and welfare_qa.csv (benchmarks/README.md). Writes each set's figures into
benchmarks/results/, and from all that are there docs/learning_curve.md and .svg.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexes.cache import Cache
from indexes.collection import Collection, build_collection
from indexes.tables import read_table
from indexes.views import owners_of_questions
from search.encoded import EncodedCollection, IndexConfig
from search.encoders import CachedEncoder, open_encoder
from search.geometry import Geometry
from search.index import SearchIndex, index_encoded
from search.known_questions import Query, fit_on_known_questions, queries_of
from search.models import ModelConfig, enter_model
from search.publish import all_texts
from search.searcher import Searcher
from training.fit.adapter import FEWEST_PAIRS, AdapterConfig, learn_adapter
from training.measure.evaluation import evaluate, evaluate_fitted
from training.split import split_collection

SETS = ("chatbot", "welfare_qa")
SIZES: tuple[int | None, ...] = (0, 100, 300, 1000, 3000, None)  # None: all
WAYS = ("index", "adapter")
METHODS = ("dense", "hybrid")
COLOURS = {"index": "#0b6e99", "adapter": "#c25700"}
DASHES = {"dense": "5 4", "hybrid": "none"}

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CACHE = ROOT / "build" / "benchmarks"  # of vectors and tokens

Curve = dict[str, dict[str, list[list[float]]]]  # [way][method][size][seed]
Curves = dict[str, Curve]  # by set
Sizes = dict[str, list[int]]


def main() -> None:
    """Measure, print, and write the table and the drawing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.set or SETS:
        whole, _ = build_collection(read_table(arguments.data / f"{name}.csv"))
        sizes, curve = measure_set(name, whole, range(arguments.seeds))
        found = {"sizes": sizes, "seeds": arguments.seeds, "curve": curve}
        (RESULTS / f"learning_curve-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    kept = {name: RESULTS / f"learning_curve-{name}.json" for name in SETS}
    read = {name: json.loads(path.read_text()) for name, path in kept.items() if path.is_file()}
    stored = {name: found for name, found in read.items() if set(found["curve"]) == set(WAYS)}
    curves = {name: found["curve"] for name, found in stored.items()}
    all_sizes = {name: found["sizes"] for name, found in stored.items()}
    (ROOT / "docs/learning_curve.md").write_text(table(curves, all_sizes), encoding="utf-8")
    (ROOT / "docs/learning_curve.svg").write_text(drawing(curves, all_sizes), encoding="utf-8")


def measure_set(name: str, whole: Collection, seeds: Sequence[int]) -> tuple[list[int], Curve]:
    """Return the sizes and the figures of one set."""
    collection = split_collection(whole, seed=42)
    encoded = encode(collection.only(["train"]))
    dev = queries_of(collection.only(["dev"]).questions)
    test = queries_of(collection.only(["test"]).questions)
    total = len(encoded.collection.questions)
    sizes = [total if size is None else size for size in SIZES]
    curve: Curve = {way: {method: [] for method in METHODS} for way in WAYS}
    for size in sizes:
        figures = [measure(encoded, size, seed, dev, test) for seed in (seeds if size else [0])]
        for way in WAYS:
            for method in METHODS:
                curve[way][method].append([found[way][method] for found in figures])
        print(name, size, json.dumps(figures), flush=True)
    return sizes, curve


def encode(train: Collection) -> EncodedCollection:
    """Return a collection as the starter reads it."""
    cache = Cache(CACHE)
    with tempfile.TemporaryDirectory() as folder:
        enter_model(ModelConfig(), Path(folder), all_texts(train))
        encoder = CachedEncoder(open_encoder(Path(folder)), cache)
        return EncodedCollection.of(train, encoder, IndexConfig(), cache)


def measure(
    encoded: EncodedCollection, size: int, seed: int, dev: Sequence[Query], test: Sequence[Query]
) -> dict[str, dict[str, float]]:
    """Return test MRR@10 by way and method, with `size` of the known questions."""
    rng = random.Random(seed)
    total = len(encoded.collection.questions)
    drawn = set(rng.sample(range(total), size))
    small = encoded.with_questions([row in drawn for row in range(total)])
    indexes = {"index": index_encoded(small, weights=fit_on_known_questions(small))}
    indexes["adapter"] = indexes["index"]
    if size >= FEWEST_PAIRS:
        indexes["adapter"] = trained(small, seed, rng.sample(dev, min(len(dev), size // 8)))
    found = {way: evaluate(Searcher(index), test) for way, index in indexes.items()}
    return {way: {m: of_way.mean(m, "MRR@10") for m in METHODS} for way, of_way in found.items()}


def trained(small: EncodedCollection, seed: int, dev: Sequence[Query]) -> SearchIndex:
    """Return the index with an adapter learned from its known questions."""
    _, fitted = evaluate_fitted(index_encoded(small, geometry=learned(small, seed)), dev, seed=seed)
    return fitted


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


def table(curves: Curves, sizes: Sizes) -> str:
    """Return a Markdown page: mean ± standard deviation over the seeds."""
    lines = [
        "# Learning curve",
        "",
        "MRR@10 on test questions by the number of pairs, of the index alone and with an adapter",
        "learned from them; mean ± standard deviation over the seeds. Made by",
        "`benchmarks/learning_curve.py`, which says how.",
        "",
        "![learning curve](learning_curve.svg)",
        "",
    ]
    sizes_shown = " | ".join("all" if size is None else str(size) for size in SIZES)
    lines += [f"| set | way | method | {sizes_shown} |", "|---|---|---|" + "---|" * len(SIZES)]
    for name, of_set in curves.items():
        for method in METHODS:
            for way, of_way in of_set.items():
                cells = [f"{np.mean(f):.3f} ± {np.std(f):.3f}" for f in of_way[method]]
                lines.append(f"| {name} | {way} | {method} | " + " | ".join(cells) + " |")
    lines.append("")
    lines += [f"{name}: all = {of_set[-1]} pairs.  " for name, of_set in sizes.items()]
    return "\n".join(lines) + "\n"


def drawing(curves: Curves, sizes: Sizes) -> str:
    """Return an SVG: one panel a set, one line a way and method."""
    width, height, left, top, inner_w, inner_h = 900, 380, 60, 50, 340, 250
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for panel, (name, of_set) in enumerate(curves.items()):
        x0 = left + panel * (inner_w + 90)
        ceiling = max(np.mean(f) for b in of_set.values() for m in b.values() for f in m) * 1.1
        steps = len(sizes[name]) - 1
        parts.append(f'<text x="{x0}" y="{top - 20}" font-size="14">{name}: test MRR@10</text>')
        for tick in range(5):
            y = top + inner_h - inner_h * tick / 4
            value = ceiling * tick / 4
            parts.append(f'<path d="M{x0} {y:.0f}h{inner_w}" stroke="#ddd"/>')
            parts.append(f'<text x="{x0 - 8}" y="{y + 4:.0f}" text-anchor="end">{value:.2f}</text>')
        for place, size in enumerate(sizes[name]):
            x = x0 + inner_w * place / steps
            y = top + inner_h + 18
            parts.append(f'<text x="{x:.0f}" y="{y}" text-anchor="middle">{size:,}</text>')
        for way, of_way in of_set.items():
            for method in METHODS:
                points = " ".join(
                    f"{x0 + inner_w * place / steps:.1f},"
                    f"{top + inner_h * (1 - np.mean(figures) / ceiling):.1f}"
                    for place, figures in enumerate(of_way[method])
                )
                parts.append(
                    f'<polyline points="{points}" fill="none" stroke="{COLOURS[way]}" '
                    f'stroke-width="2" stroke-dasharray="{DASHES[method]}"/>'
                )
    for place, (way, method) in enumerate((way, method) for way in WAYS for method in METHODS):
        x, y = left + place * 190, height - 20
        parts.append(
            f'<path d="M{x} {y - 4}h30" stroke="{COLOURS[way]}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[method]}"/>'
        )
        parts.append(f'<text x="{x + 38}" y="{y}">{way}, {method}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
