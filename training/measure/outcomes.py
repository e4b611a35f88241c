"""The outcome of every query of an evaluation, stored in the folder of the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotbogi.indexes.files import reading, write_parquet
from dotbogi.search.fusion import METHODS
from dotbogi.training.measure.evaluation import Evaluation
from dotbogi.training.measure.metrics import GATE_METRIC, METRICS
from dotbogi.training.run_files import REMEDY

TOP = 5  # answers stored per ranking


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The queries of one evaluation; all lists have one entry per query, in the same order."""

    queries: list[str]
    right: list[list[str]]  # ids of the right answers
    top: list[list[str]]  # ids of the first answers of the hybrid, best first
    scores: Mapping[str, Mapping[str, list[float]]]  # method → metric → a score per query


def save_outcomes(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation's queries, right answers, first answers and scores as Parquet."""
    import pyarrow as pa

    queries, hybrid = evaluation.queries, evaluation.hybrid
    ids = pa.list_(pa.string())
    columns = {
        "query": pa.array([query.text for query in queries], pa.string()),
        "right": pa.array([sorted(query.grades) for query in queries], ids),
        "top": pa.array([[c.answer_id for c in ranking[:TOP]] for ranking in hybrid], ids),
    }
    for method in METHODS:
        for metric in METRICS:
            columns[f"{method} {metric}"] = pa.array(evaluation.scores[method][metric])
    write_parquet(path, pa.table(columns), compression="zstd")


def open_outcomes(path: Path) -> Outcomes:
    """Read what `save_outcomes` wrote; the metrics are those METRICS found in the file.

    Raises:
        DamagedError: the file is missing, or is not a table of outcomes.
    """
    import pyarrow.parquet as pq

    with reading(path, REMEDY):
        columns = pq.ParquetFile(path).read().to_pydict()
        stored = [m for m in METRICS if m == GATE_METRIC or f"{METHODS[0]} {m}" in columns]
        scores = {
            method: {metric: columns[f"{method} {metric}"] for metric in stored}
            for method in METHODS
        }
        return Outcomes(columns["query"], columns["right"], columns["top"], scores)
