"""What training adds to `index` alone: out of fold, as a run says, and on untouched questions.

    OMP_NUM_THREADS=1 python benchmarks/gain.py DATA [--set NAME] [--seeds 3] [--rows N]

- sample: the bundled sample.
- welfare: welfare_qa.csv; untouched are the questions about a fifth of the schemes (`Documents`),
  whose answers stay in the collection.
- welfare-questions: the same table; untouched is a fifth of its questions, as elsewhere.
- chatbot: chatbot.csv.
- banking77: the train questions, to names of intents.

Every run is the product's, with its defaults, in a workspace of its own: what it says of the
questions it learns from, each by what was learned without it, stands beside the questions that
nothing has seen. --rows draws so many questions first, and leaves their answers alone in the
collection. Writes benchmarks/results/training-SET.json (training-SET-N.json with --rows), which
has for the first seed the scores of single questions, for gate.py. Vectors and tokens are kept in
build/benchmark-cache.

It is not called training.py: beside a file of that name no benchmark could import `training`.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from public_data import collection_of

from dotbogi.indexes.collection import Collection, KnownQuestion, build_collection
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.training.config import LoopConfig
from dotbogi.training.gate import Verdict, judge_searches
from dotbogi.training.ledger import Measured
from dotbogi.training.loop import run_loop
from dotbogi.training.rounds import RunResult

SETS = ("sample", "welfare", "welfare-questions", "chatbot", "banking77")
HELD_OUT = 0.2  # of the questions, or of the schemes
MOST_PAIRS = 3000  # scores of single questions that are kept

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CACHE = ROOT / "build" / "benchmark-cache"

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """What a run gets: known questions, and those that it is asked at the end."""

    known: Collection
    held_out: Collection | None = None  # None: a share that the run draws itself


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the public sets")
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--rows", type=int, help="questions drawn of each set; all if left out")
    arguments = parser.parse_args()
    print_heads()
    means = [
        report(name, arguments.data, arguments.seeds, arguments.rows)
        for name in arguments.set or SETS
    ]
    apart = float(np.mean([of_set["difference"] for of_set in means]))
    print(f"\nmean of {len(means)} sets, out of fold − untouched, as published: {apart:+.4f}")


def report(name: str, data: Path, seeds: int, rows: int | None) -> Figures:
    """Run one set with every seed, print and write after each; return the means."""
    whole = read_set(name, data)
    suffix = f"-{rows}" if rows else ""
    found: Figures = {"set": name, "rows": rows, "seeds": []}
    for seed in range(seeds):
        task = task_of(name, whole if rows is None else drawn(whole, rows, seed), seed)
        result, seconds = run(task, LoopConfig(seed=seed, holdout=_holdout(task)))
        found["seeds"].append({"seed": seed, "seconds": seconds, **figures_of(result, seed)})
        found.setdefault("pairs", pairs_of(result))
        print_seed(name, found["seeds"][-1])
        found["means"] = means_of(found["seeds"])
        save(found, RESULTS / f"training-{name}{suffix}.json")
    print_means(name, found["means"])
    return found["means"]


def _holdout(task: Task) -> float:
    return 0.0 if task.held_out else HELD_OUT


def read_set(name: str, data: Path) -> Collection:
    """Return one of SETS, whole."""
    if name == "sample":
        return build_collection(read_table(SAMPLE_PATH))[0]
    return collection_of("welfare_qa" if name.startswith("welfare") else name, data)


def task_of(name: str, collection: Collection, seed: int) -> Task:
    """Return what a run on one of SETS gets."""
    if name != "welfare":
        return Task(collection)
    known, asked = by_scheme(collection, seed)
    return Task(replace(collection, questions=known), replace(collection, questions=asked))


def by_scheme(collection: Collection, seed: int) -> tuple[list[KnownQuestion], list[KnownQuestion]]:
    """Return the questions about four fifths of the schemes of welfare_qa.csv, and the others."""
    scheme_of = {answer.id: answer.metadata["Documents"] for answer in collection.answers}
    schemes = sorted(set(scheme_of.values()))
    held = set(random.Random(seed).sample(schemes, round(HELD_OUT * len(schemes))))
    sides: dict[bool, list[KnownQuestion]] = {False: [], True: []}
    for question in collection.questions:
        sides[scheme_of[question.answer_id] in held].append(question)
    return sides[False], sides[True]


def drawn(collection: Collection, rows: int, seed: int) -> Collection:
    """Return so many of the questions, at random, with their answers alone."""
    count = min(rows, len(collection.questions))
    questions = random.Random(seed).sample(collection.questions, count)
    used = {question.answer_id for question in questions}
    return Collection([answer for answer in collection.answers if answer.id in used], questions)


def run(task: Task, config: LoopConfig) -> tuple[RunResult, float]:
    """Return what a run of the product came to, and its seconds."""
    with temporary_workspace() as workspace:
        began = time.monotonic()
        result = run_loop(workspace, task.known, config, held_out=task.held_out)
        return result, round(time.monotonic() - began, 1)


@contextmanager
def temporary_workspace() -> Iterator[Workspace]:
    """Give an empty workspace that finds in its cache what earlier runs have encoded.

    Its cache has links to the files of CACHE: what is encoded is written there, and a run that
    drops what it does not need drops a link.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        workspace.cache_folder = Path(folder) / "cache"
        workspace.cache_folder.mkdir()
        for path in CACHE.glob("*.sqlite"):
            (workspace.cache_folder / path.name).symlink_to(path.resolve())
        yield workspace
        for path in workspace.cache_folder.glob("*.sqlite"):
            if not path.is_symlink():  # of a model or an analyzer that CACHE has not met
                shutil.move(path, CACHE / path.name)


def figures_of(result: RunResult, seed: int) -> Figures:
    """Return MRR@10 before and after, out of fold and on untouched questions, with verdicts."""
    first, best, test = result.rounds[0], best_of(result), result.test
    assert test
    gain = None
    if best.round:
        gain = judge_searches(
            (best.scores, first.scores), (best.dense_scores, first.dense_scores), seed=seed
        )
    untouched = _beside(test.before, test.after, test.verdict if best.round else None)
    return {
        "kept_round": best.round,
        "rounds": [
            {"round": each.round, "kept": each.kept, **_verdict(each.verdict)}
            for each in result.rounds[1:]
        ],
        "out_of_fold": {"questions": first.queries, **_beside(first.metrics, best.metrics, gain)},
        "untouched": {"questions": test.queries, **untouched},
        "ratio": round(untouched["trained"] / untouched["bm25"], 4),
        "ratio_index": round(untouched["index"] / untouched["bm25"], 4),
    }


def best_of(result: RunResult) -> Measured:
    """Return the last round that was kept; round 0 if none was."""
    return [each for each in result.rounds if each.kept][-1]


def _beside(
    before: Mapping[str, Mapping[str, float]],
    after: Mapping[str, Mapping[str, float]],
    verdict: Verdict | None,
) -> Figures:
    index, trained = before["hybrid"]["MRR@10"], after["hybrid"]["MRR@10"]
    return {
        "bm25": round(before["bm25"]["MRR@10"], 4),
        "index": round(index, 4),
        "trained": round(trained, 4),
        "gain": round(trained - index, 4),
        "verdict": _verdict(verdict) if verdict else None,  # None: no round was kept
    }


def _verdict(verdict: Verdict | None) -> Figures:
    assert verdict
    gain = verdict.gain
    return {
        "gain": round(gain.mean, 4),
        "low": round(gain.low, 4),
        "high": round(gain.high, 4),
        "probability": round(verdict.probability, 4),
    }


def pairs_of(result: RunResult) -> list[list[float]]:
    """Return MRR@10 of single questions out of fold: hybrid in rounds 0 and 1, dense in both."""
    first, second = result.rounds[:2]
    columns = first.scores, second.scores, first.dense_scores, second.dense_scores
    pairs = list(zip(*columns, strict=True))
    chosen = random.Random(0).sample(pairs, min(MOST_PAIRS, len(pairs)))
    return [[round(score, 4) for score in row] for row in chosen]


def means_of(seeds: Sequence[Figures]) -> Figures:
    """Return means over the seeds.

    `difference` is out-of-fold − untouched MRR@10 of the hybrid that was published,
    `difference_error` its standard error over the seeds, and `absolute_difference` the mean of
    its size, which the draw of the untouched questions alone keeps above 0.
    """

    def mean(values: Sequence[float]) -> float:
        return round(float(np.mean(values)), 4)

    apart = [each["out_of_fold"]["trained"] - each["untouched"]["trained"] for each in seeds]
    return {
        "gain_out_of_fold": mean([each["out_of_fold"]["gain"] for each in seeds]),
        "gain_untouched": mean([each["untouched"]["gain"] for each in seeds]),
        "least_gain_untouched": min(each["untouched"]["gain"] for each in seeds),
        "bm25": mean([each["untouched"]["bm25"] for each in seeds]),
        "index": mean([each["untouched"]["index"] for each in seeds]),
        "trained": mean([each["untouched"]["trained"] for each in seeds]),
        "ratio": mean([each["ratio"] for each in seeds]),
        "kept": sum(each["kept_round"] > 0 for each in seeds),
        "difference": mean(apart),
        "absolute_difference": mean(list(map(abs, apart))),
        "difference_error": mean([float(np.std(apart, ddof=1)) / len(apart) ** 0.5])
        if len(apart) > 1
        else None,
        "seconds": mean([each["seconds"] for each in seeds]),
    }


def print_heads() -> None:
    """Print what the columns of a seed are."""
    print("MRR@10: BM25 joined, hybrid of index alone → hybrid as published; the published gain.")
    print("Rounds: gain out of fold over the best before [95%], P(gain > 0).")


def print_seed(name: str, found: Figures) -> None:
    """Print the figures of one run."""
    print(f"\n{name}, seed {found['seed']}: {found['seconds']:.0f} s")
    for key, title in (("out_of_fold", "out of fold"), ("untouched", "untouched")):
        side = found[key]
        verdict = f" {_interval(side['verdict'])}" if side["verdict"] else ""
        print(
            f"  {title:11} {side['questions']:6,}  BM25 {side['bm25']:.4f}  "
            f"hybrid {side['index']:.4f} → {side['trained']:.4f}  {side['gain']:+.4f}{verdict}"
        )
    for each in found["rounds"]:
        decision = "kept" if each["kept"] else "dropped"
        print(f"  round {each['round']}: {each['gain']:+.4f} {_interval(each)} {decision}")
    print(
        f"  hybrid / BM25, untouched: {found['ratio']:.3f} ({found['ratio_index']:.3f} by index)",
        flush=True,
    )


def _interval(verdict: Figures) -> str:
    return f"[{verdict['low']:+.4f}, {verdict['high']:+.4f}] P {verdict['probability']:.3f}"


def print_means(name: str, means: Figures) -> None:
    """Print the means over the seeds of one set."""
    error = means["difference_error"]
    spread = "" if error is None else f" ± {error:.4f}"
    print(
        f"\n{name}, means: gain {means['gain_out_of_fold']:+.4f} out of fold, "
        f"{means['gain_untouched']:+.4f} untouched (least {means['least_gain_untouched']:+.4f}); "
        f"kept in {means['kept']} runs; {means['seconds']:.0f} s a run"
    )
    print(
        f"  untouched: BM25 {means['bm25']:.4f}, index {means['index']:.4f}, "
        f"trained {means['trained']:.4f}; hybrid / BM25 {means['ratio']:.3f}"
    )
    print(
        f"  out of fold − untouched, as published: {means['difference']:+.4f}{spread}, "
        f"in size {means['absolute_difference']:.4f}",
        flush=True,
    )


def save(found: Figures, path: Path) -> None:
    """Write figures as JSON, one line a field."""
    RESULTS.mkdir(exist_ok=True)
    fields = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
    path.write_text("{\n" + ",\n".join(fields) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
