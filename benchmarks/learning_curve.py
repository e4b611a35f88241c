"""What training brings, by the number of pairs: BM25, `index` alone, and what `train` publishes.

    OMP_NUM_THREADS=1 python benchmarks/learning_curve.py DATA [--set chatbot] [--seeds 3]

For each set, seed and size: that many pairs, drawn at random, are the known questions of a run of
the product with its defaults. All answers of the set are in the collection. The figures are
MRR@10 on questions that nothing has seen, the same ones for every size: up to 1,000 (of welfare,
about a fifth of the schemes, none of which has a known question). Pairs of one size are among
those of the next.

`index` is round 0 of a run: the starter, with weights of the hybrid fitted on the known
questions. `train` is what the run publishes: a kept adapter, or the same index where the gate has
dropped it.

DATA is described in benchmarks/README.md. Writes each set's figures into benchmarks/results/, after
every run, and from all that are there docs/learning_curve.md and .svg.
"""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gain import RESULTS, ROOT, Task, best_of, by_scheme, read_set, run, save

from dotbogi.indexes.collection import Collection, KnownQuestion
from dotbogi.indexes.text import same_text_key
from dotbogi.training.config import LoopConfig

SETS = ("chatbot", "welfare", "banking77")
SIZES: tuple[int | None, ...] = (30, 60, 100, 300, 1000, 3000, None)  # None: all
SYSTEMS = ("bm25", "index", "train")
ASKED = 1000  # questions
COLOURS = {"bm25": "#888888", "index": "#0b6e99", "train": "#c25700"}
DASHES = {"bm25": "5 4", "index": "none", "train": "none"}

Found = dict[
    str, Any
]  # of one set: sizes, seeds, and by system one list a size of one figure a seed


def main() -> None:
    """Measure, print, and write the table and the drawing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the public sets")
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--most", type=int, help="no size above; for a quick try")
    arguments = parser.parse_args()
    for name in arguments.set or SETS:
        measure_set(name, read_set(name, arguments.data), arguments.seeds, arguments.most)
    write_docs(read_stored())


def measure_set(name: str, whole: Collection, seeds: int, most: int | None) -> None:
    """Measure one set, size by size within a seed; print and write after each run."""
    runs: list[Found] = []
    for seed in range(seeds):
        known, asked = divided(name, whole, seed)
        for size in SIZES:
            if most and (size is None or size > most):
                continue
            runs.append({"size": size, "seed": seed, **measure(whole, known[:size], asked, seed)})
            print(name, json.dumps(runs[-1]), flush=True)
            save(
                {"set": name, "seeds": seeds, "asked": len(asked), "runs": runs},
                RESULTS / f"learning_curve-{name}.json",
            )


def divided(
    name: str, whole: Collection, seed: int
) -> tuple[list[KnownQuestion], list[KnownQuestion]]:
    """Return questions to draw the known ones from, in random order, and those that are asked."""
    rng = random.Random(seed)
    if name == "welfare":
        known, asked = by_scheme(whole, seed)
        asked = rng.sample(asked, min(ASKED, len(asked)))
    else:
        shuffled = rng.sample(whole.questions, len(whole.questions))
        asked = shuffled[:ASKED]
        keys = {same_text_key(question.text) for question in asked}
        known = [q for q in shuffled[ASKED:] if same_text_key(q.text) not in keys]
    return rng.sample(known, len(known)), asked


def measure(
    whole: Collection, known: Sequence[KnownQuestion], asked: Sequence[KnownQuestion], seed: int
) -> Found:
    """Return MRR@10 of each system with these known questions, and what the run kept."""
    task = Task(replace(whole, questions=list(known)), replace(whole, questions=list(asked)))
    result, seconds = run(task, LoopConfig(seed=seed))
    test, first = result.test, result.rounds[1].verdict
    assert test
    assert first
    return {
        "pairs": len(known),
        "bm25": round(test.before["bm25"]["MRR@10"], 4),
        "index": round(test.before["hybrid"]["MRR@10"], 4),
        "train": round(test.after["hybrid"]["MRR@10"], 4),
        "kept_round": best_of(result).round,
        "gain_out_of_fold": round(first.gain.mean, 4),  # of round 1
        "probability": round(first.probability, 4),
        "seconds": seconds,
    }


def read_stored() -> dict[str, list[Found]]:
    """Return the runs of all sets that have been measured by this version."""
    paths = {name: RESULTS / f"learning_curve-{name}.json" for name in SETS}
    read = {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}
    return {name: found["runs"] for name, found in read.items() if "runs" in found}


def write_docs(stored: Mapping[str, Sequence[Found]]) -> None:
    """Write docs/learning_curve.md and .svg."""
    (ROOT / "docs" / "learning_curve.md").write_text(page(stored), encoding="utf-8")
    (ROOT / "docs" / "learning_curve.svg").write_text(drawing(stored), encoding="utf-8")


def of_size(runs: Sequence[Found], size: int | None, system: str) -> list[float]:
    """Return a system's figures at a size, one a seed."""
    return [each[system] for each in runs if each["size"] == size]


def page(stored: Mapping[str, Sequence[Found]]) -> str:
    """Return a Markdown page: means ± standard deviation over the seeds, gains, rounds kept."""
    sizes = [
        size for size in SIZES if any(of_size(runs, size, "pairs") for runs in stored.values())
    ]
    names = " | ".join("all" if size is None else f"{size:,}" for size in sizes)
    lines = [
        "# Learning curve",
        "",
        "MRR@10 on questions that nothing has seen, by the number of known pairs; mean ± standard",
        "deviation over the seeds. `index` is the hybrid of `dotbogi index`, `train` what",
        "`dotbogi train` publishes with its defaults: a kept adapter, or the same index. The gain",
        "is train − index, with the least of a seed. Made by `benchmarks/learning_curve.py`, which",
        "says how.",
        "",
        "![learning curve](learning_curve.svg)",
        "",
        f"| set | | {names} |",
        "|---|---|" + "---|" * len(sizes),
    ]
    for name, runs in stored.items():
        for system in SYSTEMS:
            cells = [_mean_and_spread(of_size(runs, size, system)) for size in sizes]
            lines.append(f"| {name} | {system} | " + " | ".join(cells) + " |")
        lines.append(f"| {name} | gain | " + " | ".join(_gain(runs, s) for s in sizes) + " |")
        lines.append(f"| {name} | kept | " + " | ".join(_kept(runs, s) for s in sizes) + " |")
    lines.append("")
    for name, runs in stored.items():
        if every := of_size(runs, None, "pairs"):
            lines.append(f"{name}: all = {round(float(np.mean(every))):,} pairs.  ")
    return "\n".join(lines) + "\n"


def _mean_and_spread(figures: Sequence[float]) -> str:
    return f"{np.mean(figures):.3f} ± {np.std(figures):.3f}" if figures else ""


def _gain(runs: Sequence[Found], size: int | None) -> str:
    pairs = zip(of_size(runs, size, "train"), of_size(runs, size, "index"), strict=True)
    gains = [train - index for train, index in pairs]
    return f"{np.mean(gains):+.4f} (least {min(gains):+.4f})" if gains else ""


def _kept(runs: Sequence[Found], size: int | None) -> str:
    rounds = of_size(runs, size, "kept_round")
    return f"{sum(each > 0 for each in rounds)} of {len(rounds)}" if rounds else ""


def drawing(stored: Mapping[str, Sequence[Found]]) -> str:
    """Return an SVG: one panel a set, one line a system."""
    left, top, inner_w, inner_h, gap = 60, 50, 300, 250, 80
    width, height = left + len(SETS) * (inner_w + gap), 380
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, (name, runs) in enumerate(stored.items()):
        parts += panel(name, runs, left + number * (inner_w + gap), top, inner_w, inner_h)
    for place, system in enumerate(SYSTEMS):
        x, y = left + place * 130, height - 20
        parts.append(
            f'<path d="M{x} {y - 4}h30" stroke="{COLOURS[system]}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[system]}"/>'
        )
        parts.append(f'<text x="{x + 38}" y="{y}">{system}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def panel(
    name: str, runs: Sequence[Found], x0: int, top: int, width: int, height: int
) -> list[str]:
    """Return the parts of one set's panel; its axis runs from just below the lowest mean."""
    sizes = [size for size in SIZES if of_size(runs, size, "pairs")]
    means = {s: [float(np.mean(of_size(runs, size, s))) for size in sizes] for s in SYSTEMS}
    floor = max(0.0, min(map(min, means.values())) - 0.02)
    ceiling = min(1.0, max(map(max, means.values())) + 0.02)
    parts = [f'<text x="{x0}" y="{top - 20}" font-size="14">{name}: MRR@10</text>']
    for tick in range(5):
        y = top + height - height * tick / 4
        value = floor + (ceiling - floor) * tick / 4
        parts.append(f'<path d="M{x0} {y:.0f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{x0 - 8}" y="{y + 4:.0f}" text-anchor="end">{value:.2f}</text>')
    places = [x0 + width * place / max(1, len(sizes) - 1) for place in range(len(sizes))]
    for x, size in zip(places, sizes, strict=True):
        pairs = float(np.mean(of_size(runs, size, "pairs")))
        label = f"{round(pairs):,}"
        parts.append(
            f'<text x="{x:.0f}" y="{top + height + 18}" text-anchor="middle">{label}</text>'
        )
    for system, of_system in means.items():
        points = " ".join(
            f"{x:.1f},{top + height * (1 - (mean - floor) / (ceiling - floor)):.1f}"
            for x, mean in zip(places, of_system, strict=True)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[system]}" '
            f'stroke-width="2" stroke-dasharray="{DASHES[system]}"/>'
        )
    return parts


if __name__ == "__main__":
    main()
