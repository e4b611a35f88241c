"""What fine-tuning brings, by the number of pairs, from the starter and from scratch.

For each set, size and seed: that many train-side pairs, drawn at random, are fine-tuned on
(in-batch negatives, defaults of `dotbogi train`, best epoch by development MRR@10) and are the
known questions of the index over all answers. The figure is MRR@10 of dense search on the test
questions. Size 0 is the model as it comes.

    OMP_NUM_THREADS=1 python benchmarks/learning_curve.py DATA [--set chatbot]

DATA has chatbot.csv and welfare_qa.csv (benchmarks/README.md). Writes each set's figures into
benchmarks/results/, and from all that are there docs/learning_curve.md and .svg.
"""

import argparse
import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexes.cache import Cache
from indexes.collection import Collection, build_collection
from indexes.tables import read_table
from search.encoders import open_encoder
from search.index import build_index
from search.models import SCRATCH, STARTER, ModelConfig, save_model
from search.publish import all_texts
from search.searcher import Searcher
from training.evaluation import dense_mrr, evaluate, queries_of
from training.finetune import finetune
from training.fit import fit_config
from training.rows import training_rows
from training.split import split_collection

SETS = ("chatbot", "welfare_qa")
SIZES: tuple[int | None, ...] = (0, 100, 300, 1000, 3000, None)  # None: all
BASES = (STARTER, SCRATCH)
SEEDS = (0, 1, 2)
METHODS = ("dense",)
COLOURS = {STARTER: "#0b6e99", SCRATCH: "#c25700"}

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"

Curve = dict[str, dict[str, list[list[float]]]]  # [base][method][size][seed]
Curves = dict[str, Curve]  # by set
Sizes = dict[str, list[int]]


def main() -> None:
    """Measure, print, and write the table and the drawing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.set or SETS:
        sizes, curve = measure_set(arguments.data / f"{name}.csv")
        found = {"sizes": sizes, "seeds": SEEDS, "curve": curve}
        (RESULTS / f"learning_curve-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    stored = {
        name: json.loads(path.read_text())
        for name in SETS
        if (path := RESULTS / f"learning_curve-{name}.json").is_file()
    }
    curves = {name: found["curve"] for name, found in stored.items()}
    all_sizes = {name: found["sizes"] for name, found in stored.items()}
    (ROOT / "docs/learning_curve.md").write_text(table(curves, all_sizes), encoding="utf-8")
    (ROOT / "docs/learning_curve.svg").write_text(drawing(curves, all_sizes), encoding="utf-8")


def measure_set(path: Path) -> tuple[list[int], Curve]:
    """Return the sizes and the figures of one set."""
    collection = split_collection(build_collection(read_table(path))[0], seed=42)
    total = len(collection.only(["train"]).questions)
    sizes = [total if size is None else size for size in SIZES]
    curve: Curve = {base: {method: [] for method in METHODS} for base in BASES}
    with tempfile.TemporaryDirectory() as place:
        cache = Cache(Path(place))
        for base in BASES:
            for size in sizes:
                seeds = SEEDS if size else SEEDS[:1]  # without pairs nothing is random
                figures = [measure(collection, base, size, seed, cache) for seed in seeds]
                for method in METHODS:
                    curve[base][method].append([found[method] for found in figures])
                print(path.stem, base, size, json.dumps(figures), flush=True)
    return sizes, curve


def measure(
    collection: Collection, base: str, size: int, seed: int, cache: Cache
) -> dict[str, float]:
    """Fine-tune on `size` pairs and return test MRR@10 by method."""
    train = collection.only(["train"])
    known = random.Random(seed).sample(train.questions, size)
    small = replace(collection, questions=known)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save_model(ModelConfig(name=base), all_texts(small), folder / "base")
        model = folder / "base"
        if size:
            kind = "scratch" if base == SCRATCH else "static"
            finetune(
                model,
                training_rows(small, []),
                fit_config(kind, {"seed": seed}),
                folder / "fit",
                evaluate=dense_mrr(small, queries_of(collection.only(["dev"]).questions)),
            )
            model = folder / "fit" / "model"
        index = build_index(small, open_encoder(model), cache=cache)
        found = evaluate(Searcher(index), queries_of(collection.only(["test"]).questions))
        cache.keep_only([index.analyzer.fingerprint])
    return {method: found.mean(method, "MRR@10") for method in METHODS}


def table(curves: Curves, sizes: Sizes) -> str:
    """Return a Markdown page: mean ± standard deviation over the seeds."""
    lines = [
        "# Learning curve",
        "",
        "MRR@10 of dense search on test questions after fine-tuning on so many pairs, which are",
        f"also the known questions; mean ± standard deviation of {len(SEEDS)} seeds. Made by",
        "`benchmarks/learning_curve.py`, which says how.",
        "",
        "![learning curve](learning_curve.svg)",
        "",
    ]
    sizes_shown = " | ".join("all" if size is None else str(size) for size in SIZES)
    lines += [f"| set | model | method | {sizes_shown} |", "|---|---|---|" + "---|" * len(SIZES)]
    for name, of_set in curves.items():
        for method in METHODS:
            for base, of_base in of_set.items():
                cells = [f"{np.mean(f):.3f} ± {np.std(f):.3f}" for f in of_base[method]]
                lines.append(f"| {name} | {base} | {method} | " + " | ".join(cells) + " |")
    lines.append("")
    lines += [f"{name}: all = {of_set[-1]} pairs.  " for name, of_set in sizes.items()]
    return "\n".join(lines) + "\n"


def drawing(curves: Curves, sizes: Sizes) -> str:
    """Return an SVG: one panel a set, one line a base."""
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
        for base, of_base in of_set.items():
            for method in METHODS:
                points = " ".join(
                    f"{x0 + inner_w * place / steps:.1f},"
                    f"{top + inner_h * (1 - np.mean(figures) / ceiling):.1f}"
                    for place, figures in enumerate(of_base[method])
                )
                parts.append(
                    f'<polyline points="{points}" fill="none" stroke="{COLOURS[base]}" '
                    'stroke-width="2"/>'
                )
    legend = [(base, method) for base in BASES for method in METHODS]
    for place, (base, method) in enumerate(legend):
        x, y = left + place * 190, height - 20
        parts.append(f'<path d="M{x} {y - 4}h30" stroke="{COLOURS[base]}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 38}" y="{y}">{base}, {method}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
