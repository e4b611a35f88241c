"""Print what a collection of any size takes: the tables of docs/capacity.md.

    python benchmarks/capacity_plan.py [--core-hour 0.04] [--gigabyte-hour 0.004] …

Measured costs are from results/capacity.json. All else is a parameter: an assumption to replace by
your own figure, not a fact about a vendor.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "capacity.json"
SIZES = (1_000_000, 10_000_000, 100_000_000, 10_000_000_000)
HOURS = 730  # of a month
PARTS = {
    "answers": "texts of answers (`answers.parquet`)",
    "questions": "known questions (`questions.parquet`)",
    "bm25": "BM25, three views (`bm25.*`)",
    "dense": "vectors, three views (`dense.*.faiss`)",
}


@dataclass(frozen=True)
class Assumptions:
    """What was not measured."""

    core_hour: float = 0.04  # dollars
    gigabyte_hour: float = 0.004  # dollars, of memory with the machine around it
    cores: int = 32  # of a machine
    machine_gigabytes: int = 256  # of memory, three quarters of which are for data
    replicas: int = 2  # of all data, on different machines
    engine_vector_bytes: int = 512  # int8 numbers (384) and a graph of 32 links (128)
    engine_posting_bytes: int = 3  # compressed: a document and a frequency


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for field in fields(Assumptions):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default)
    assumed = Assumptions(**vars(parser.parse_args()))
    print("\n".join(tables(json.loads(RESULT.read_text(encoding="utf-8")), assumed)))


def tables(measured: Mapping[str, Any], assumed: Assumptions) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield from unit_costs(measured)
    yield ""
    yield from query_costs(measured)
    yield ""
    yield from preparing(measured, assumed)
    yield ""
    yield from on_one_machine(measured, assumed)
    yield ""
    yield from in_an_engine(measured, assumed)


def unit_costs(measured: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an answer with its known questions costs."""
    largest = measured["sizes"][-1]
    yield "| part of a generation | bytes per answer |"
    yield "|---|---|"
    for part, name in PARTS.items():
        yield f"| {name} | {largest['bytes'][part] / largest['answers']:,.0f} |"
    yield f"| all of it on disk | {disk(measured):,.0f} |"
    yield f"| open, in memory | {memory(measured):,.0f} |"
    yield ""
    yield "| step of `index`, one thread | processor seconds per 1,000 |"
    yield "|---|---|"
    for step, seconds in measured["seconds_per_1000"].items():
        yield f"| {step} | {seconds:.2f} |"
    for kind, cost in measured["dense"].items():
        seconds = cost["seconds_per_1000"]
        yield f"| FAISS {kind}, per vector, of {cost['vectors']:,} | {seconds:.3f} |"


def query_costs(measured: Mapping[str, Any]) -> Iterator[str]:
    """Yield the milliseconds of a query by size."""
    yield "| answers | vectors | encode | BM25 | dense, exact | whole search |"
    yield "|---|---|---|---|---|---|"
    for size in measured["sizes"]:
        steps = size["milliseconds"]
        yield (
            f"| {size['answers']:,} | {vectors(size):,} | {steps['encode']:.1f} ms | "
            f"{steps['bm25']:.1f} ms | {steps['dense']:.1f} ms | {steps['search']:.1f} ms |"
        )


def preparing(measured: Mapping[str, Any], assumed: Assumptions) -> Iterator[str]:
    """Yield what it takes to analyse, encode and index."""
    each = seconds_per_answer(measured)
    yield f"| answers | core hours | days on one machine of {assumed.cores} cores | dollars |"
    yield "|---|---|---|---|"
    for size in SIZES:
        hours = size * each / 3600
        days, dollars = hours / assumed.cores / 24, hours * assumed.core_hour
        yield f"| {size:,} | {number(hours)} | {number(days)} | {number(dollars)} |"


def on_one_machine(measured: Mapping[str, Any], assumed: Assumptions) -> Iterator[str]:
    """Yield what dotbogi itself needs in one process."""
    slopes = milliseconds_per_million(measured)
    room = assumed.machine_gigabytes * 0.75
    yield "| answers | memory | exact query: BM25 + dense, one core | fits |"
    yield "|---|---|---|---|"
    for size in SIZES:
        gigabytes = size * memory(measured) / 1e9
        seconds = {name: slope * size / 1e9 for name, slope in slopes.items()}
        yield (
            f"| {size:,} | {number(gigabytes)} GB | {number(seconds['bm25'])} s + "
            f"{number(seconds['dense'])} s | {'yes' if gigabytes < room else 'no'} |"
        )


def in_an_engine(measured: Mapping[str, Any], assumed: Assumptions) -> Iterator[str]:
    """Yield what an engine needs with all views, and with BM25 joined and `whole` alone."""
    largest = measured["sizes"][-1]
    per_answer = vectors(largest) / largest["answers"]
    views = {"all views": (per_answer, 1.0), "`joined` and `whole`": (1.0, joined_share(measured))}
    room = assumed.machine_gigabytes * 0.75
    yield "| answers | in the engine | memory of one copy | machines | dollars a month |"
    yield "|---|---|---|---|---|"
    for size in SIZES:
        for name, (count, share) in views.items():
            posting_bytes = postings(measured) * share * assumed.engine_posting_bytes
            gigabytes = size * (count * assumed.engine_vector_bytes + posting_bytes) / 1e9
            machines = assumed.replicas * math.ceil(gigabytes / room)
            dollars = machines * assumed.machine_gigabytes * assumed.gigabyte_hour * HOURS
            costs = f"{number(gigabytes)} GB | {machines:,} | {number(dollars)}"
            yield f"| {size:,} | {name} | {costs} |"


def vectors(size: Mapping[str, Any]) -> int:
    """Return how many vectors are searched: answers, their wholes, and known questions."""
    return int(2 * size["answers"] + size["questions"])


def disk(measured: Mapping[str, Any]) -> float:
    """Return the bytes of an answer on disk."""
    largest = measured["sizes"][-1]
    return float(sum(largest["bytes"].values()) / largest["answers"])


def memory(measured: Mapping[str, Any]) -> float:
    """Return the bytes that one more answer takes in memory."""
    return slope([(size["answers"], size["resident"]) for size in measured["sizes"]])


def postings(measured: Mapping[str, Any]) -> float:
    """Return how many BM25 scores an answer has, in all views: a row and a score of four bytes."""
    largest = measured["sizes"][-1]
    return float(largest["postings"]["all"] / largest["answers"])


def joined_share(measured: Mapping[str, Any]) -> float:
    """Return the share of these that are in the joined view."""
    counts = measured["sizes"][-1]["postings"]
    return float(counts["joined"] / counts["all"])


def milliseconds_per_million(measured: Mapping[str, Any]) -> dict[str, float]:
    """Return what a million answers more add to a query."""
    return {
        step: 1e6 * slope([(s["answers"], s["milliseconds"][step]) for s in measured["sizes"]])
        for step in ("bm25", "dense")
    }


def seconds_per_answer(measured: Mapping[str, Any]) -> float:
    """Return the processor seconds to index an answer with its known questions, exactly."""
    largest = measured["sizes"][-1]
    questions = largest["questions"] / largest["answers"]
    costs = measured["seconds_per_1000"]
    of_answer = costs["analyse answers"] + costs["encode answers"]
    of_questions = questions * (costs["analyse questions"] + costs["encode questions"])
    faiss = measured["dense"]["exact"]["seconds_per_1000"] * (2 + questions)
    return float(of_answer + of_questions + faiss + costs["build BM25, per answer"]) / 1000


def slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the line through the points, by least squares."""
    return float(np.polyfit(*zip(*points, strict=True), 1)[0])


def number(value: float) -> str:
    """Return two significant digits."""
    if not value:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"


if __name__ == "__main__":
    main()
