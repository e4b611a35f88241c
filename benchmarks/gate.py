"""What the gate keeps and drops: rounds without effect, with a small gain, and with wrong answers.

    OMP_NUM_THREADS=1 python benchmarks/gate.py [DATA] [--runs 200] [--poisoned 20]

Simulated rounds draw n questions, with replacement, from those whose scores in round 0 and round 1
gain.py has written to benchmarks/results/training-SET.json, the sets in turn. What a question
changed by, in the hybrid and in dense search, stays as it was, most of them by nothing. Whether it
gained or lost is drawn, so that the hybrid's mean gain to expect is 0, .01 or .02. A set in which
questions change by less than that in the mean takes no part.

With DATA, runs of the product on poisoned tables: 400 questions drawn from a set, the answers of
60% of them shuffled among themselves, are known; 200 others with their true answers are asked at
the end. Answers of all 600 are in the collection.

Prints Markdown tables and writes benchmarks/results/gate.json.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gain import RESULTS, Task, best_of, drawn, read_set, run, save
from numpy.typing import NDArray

from dotbogi.indexes.collection import Collection, KnownQuestion
from dotbogi.training.config import LoopConfig
from dotbogi.training.gate import judge_searches

SETS = ("sample", "welfare", "chatbot", "banking77")
COUNTS = (100, 500, 2000)  # questions
GAINS = (0.0, 0.01, 0.02)

POISONED_SETS = ("sample", "welfare", "chatbot", "banking77")
KNOWN, ASKED = 400, 200
POISON = 0.6  # of the known questions

Floats = NDArray[np.float64]
Kept = dict[str, list[int]]  # by set: rounds kept, and rounds


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder of the public sets")
    parser.add_argument("--runs", type=int, default=200, help="simulated, of each kind")
    parser.add_argument("--poisoned", type=int, default=20, help="real runs, with DATA")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"runs": arguments.runs}
    if pools := read_pools():
        found["simulated"] = simulate(pools, arguments.runs)
        print("\n".join(simulated_table(found["simulated"])), flush=True)
        save(found, RESULTS / "gate.json")
    else:
        print("no scores to draw from: run benchmarks/gain.py first")
    if arguments.data:
        found["poisoned"] = poisoned_runs(arguments.data, arguments.poisoned)
        print("\n".join(["", *poisoned_table(found["poisoned"])]), flush=True)
        save(found, RESULTS / "gate.json")


def read_pools() -> dict[str, Floats]:
    """Return by set what each question changed by from round 0 to round 1.

    Of a set that gain.py has run whole and with --rows, the whole one.
    """
    read = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("training-*.json"))]
    pools: dict[str, Floats] = {}
    for each in sorted(read, key=lambda found: -(found["rows"] or 1 << 30)):
        if each["set"] in SETS and each["set"] not in pools:
            old, new, old_dense, new_dense = np.asarray(each["pairs"], np.float64).T
            pools[each["set"]] = np.stack([new - old, new_dense - old_dense], axis=1)
    return pools


def simulate(pools: Mapping[str, Floats], runs: int) -> dict[str, dict[str, Kept]]:
    """Return what the gate kept: {gain: {questions: {set: [kept, of]}}}."""
    return {
        f"{gain:.2f}": {str(count): simulate_cell(pools, gain, count, runs) for count in COUNTS}
        for gain in GAINS
    }


def simulate_cell(pools: Mapping[str, Floats], gain: float, count: int, runs: int) -> Kept:
    """Return what the gate kept of rounds with one gain to expect and one number of questions."""
    usable = {name: pool for name, pool in pools.items() if np.abs(pool[:, 0]).mean() > gain}
    kept: Kept = defaultdict(lambda: [0, 0])
    for number in range(runs if usable else 0):
        name = list(usable)[number % len(usable)]
        rng = np.random.default_rng([number, count, round(1000 * gain)])
        changes = changes_of(usable[name], gain, count, rng)
        nothing = np.zeros(count)
        verdict = judge_searches((changes[:, 0], nothing), (changes[:, 1], nothing), seed=number)
        kept[name][0] += verdict.kept
        kept[name][1] += 1
    return dict(kept)


def changes_of(pool: Floats, gain: float, count: int, rng: np.random.Generator) -> Floats:
    """Return the changes of so many questions, hybrid and dense, with this mean of the hybrid's.

    A question's two changes keep their signs to each other; so the dense mean follows.
    """
    chosen = pool[rng.integers(len(pool), size=count)]
    chosen = np.where(chosen[:, :1] < 0, -chosen, chosen)
    up = rng.random(count) < (1 + gain / np.abs(pool[:, 0]).mean()) / 2
    return np.where(up[:, None], chosen, -chosen)


def simulated_table(found: Mapping[str, Mapping[str, Kept]]) -> list[str]:
    """Return a Markdown table of the shares that the gate kept."""
    lines = [
        "| expected gain | " + " | ".join(f"{count:,}" for count in COUNTS) + " | all |",
        "|---|" + "---|" * (len(COUNTS) + 1),
    ]
    for gain, cells in found.items():
        counts = [_sum(list(cell.values())) for cell in cells.values()]
        shares = [f"{kept / of:.1%}" if of else "" for kept, of in [*counts, _sum(counts)]]
        name = "none" if float(gain) == 0 else f"+{gain.lstrip('0')}"
        lines.append(f"| {name} | " + " | ".join(shares) + " |")
    lines += ["", "By set, rounds kept without effect, all numbers of questions:"]
    by_set: dict[str, list[list[int]]] = defaultdict(list)
    for cell in found[f"{0:.2f}"].values():
        for name, counts_of_set in cell.items():
            by_set[name].append(counts_of_set)
    for name, counts in by_set.items():
        kept, of = _sum(counts)
        lines.append(f"- {name}: {kept} of {of} ({kept / of:.1%})")
    return lines


def _sum(counts: Sequence[Sequence[int]]) -> list[int]:
    return [sum(kept for kept, _ in counts), sum(of for _, of in counts)]


def poisoned_runs(data: Path, count: int) -> list[dict[str, Any]]:
    """Run the loop on poisoned tables, the sets in turn."""
    wholes = {name: read_set(name, data) for name in POISONED_SETS[:count]}
    runs = []
    for seed in range(count):
        name = POISONED_SETS[seed % len(POISONED_SETS)]
        task = poisoned_task(wholes[name], seed)
        result, seconds = run(task, LoopConfig(seed=seed))
        assert result.test
        first, last = result.rounds[0], best_of(result)
        before, after = result.test.before["hybrid"], result.test.after["hybrid"]
        verdict = result.rounds[1].verdict
        assert verdict
        runs.append(
            {
                "set": name,
                "seed": seed,
                "kept_round": last.round,
                "out_of_fold": round(first.metrics["hybrid"]["MRR@10"], 4),
                "gain": round(verdict.gain.mean, 4),
                "probability": round(verdict.probability, 4),
                "asked_before": round(before["MRR@10"], 4),
                "asked_after": round(after["MRR@10"], 4),
                "seconds": seconds,
            }
        )
        print(runs[-1], flush=True)
    return runs


def poisoned_task(whole: Collection, seed: int) -> Task:
    """Return known questions of which most have a wrong answer, and others with their own."""
    small = drawn(whole, KNOWN + ASKED, seed)
    known, asked = small.questions[:KNOWN], small.questions[KNOWN:]
    return Task(
        replace(small, questions=poison(known, seed)),
        replace(small, questions=asked),
    )


def poison(questions: Sequence[KnownQuestion], seed: int) -> list[KnownQuestion]:
    """Return the questions with the answers of a share of them shuffled among these."""
    rng = random.Random(seed)
    victims = rng.sample(range(len(questions)), round(POISON * len(questions)))
    givers = list(victims)
    rng.shuffle(givers)
    wrong = {
        victim: questions[giver].answer_id for victim, giver in zip(victims, givers, strict=True)
    }
    return [
        replace(question, answer_id=wrong.get(place, question.answer_id))
        for place, question in enumerate(questions)
    ]


def poisoned_table(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a Markdown table of the poisoned runs, by set."""
    lines = [
        "| poisoned | runs | kept | round 1, out of fold | true questions, index | as published |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(each["set"] for each in runs):
        of_set = [each for each in runs if each["set"] == name]
        kept = sum(each["kept_round"] > 0 for each in of_set)
        gain, before, after = (
            float(np.mean([each[key] for each in of_set]))
            for key in ("gain", "asked_before", "asked_after")
        )
        lines.append(
            f"| {name} | {len(of_set)} | {kept} | {gain:+.4f} | {before:.4f} | {after:.4f} |"
        )
    kept = sum(each["kept_round"] > 0 for each in runs)
    return [*lines, "", f"Kept: {kept} of {len(runs)} poisoned runs."]


if __name__ == "__main__":
    main()
