"""Files for trec_eval: run, qrels, and the texts of the queries."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from dotbogi.indexes.files import replace_file
from dotbogi.training.measure.evaluation import Evaluation


def write_trec(evaluation: Evaluation, method: str, path: Path) -> None:
    """Write a run file, and beside it qrels.trec and queries.tsv (query id, text).

    trec_eval computes the same metrics from them. It reads scores in single precision and orders
    equal ones by its own rule, so a score that is not below the one before it is lowered to the
    next float32.

    Args:
        evaluation: the queries and their rankings.
        method: the ranking to write: bm25, dense or hybrid.
        path: path of the run file.
    """
    lines = []
    for query, ranking in zip(evaluation.queries, evaluation.rankings[method], strict=True):
        previous = np.float32(np.inf)
        for rank, candidate in enumerate(ranking, 1):
            score = min(np.float32(candidate.score), np.nextafter(previous, np.float32(-np.inf)))
            answer = _one_word(candidate.answer_id)
            lines.append(f"{query.id} Q0 {answer} {rank} {score:.9g} dotbogi-{method}")
            previous = score
    _write(path, lines)
    texts = (" ".join(query.text.split()) for query in evaluation.queries)
    ids = (query.id for query in evaluation.queries)
    _write(
        path.parent / "queries.tsv", [f"{i}\t{text}" for i, text in zip(ids, texts, strict=True)]
    )
    _write(
        path.parent / "qrels.trec",
        [
            f"{query.id} 0 {_one_word(answer)} {grade}"
            for query in evaluation.queries
            for answer, grade in query.grades.items()
        ],
    )


def _one_word(answer_id: str) -> str:
    """Percent-encode white space, which separates the columns of a TREC file."""
    return re.sub(r"\s", lambda space: quote(space[0]), answer_id)


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, "".join(f"{line}\n" for line in lines).encode())
