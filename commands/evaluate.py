"""`dotbogi evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.options import (
    json_option,
    reading_of,
    strict_option,
    table_argument,
    table_options,
    workspace_option,
)
from dotbogi.commands.output import print_json, print_lines
from dotbogi.commands.source import read, read_test

if TYPE_CHECKING:
    from dotbogi.training import Evaluation


@click.command()
@table_argument
@workspace_option
@table_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder for TREC run and qrels files.")
@strict_option
@json_option
def evaluate(
    table: Path | None,
    workspace: str,
    out: Path | None,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure BM25, dense and hybrid search on a TABLE's questions.

    The published generation is searched. Without a TABLE, the questions are the collection's own.
    Each known question is searched in an index without it. Questions that the model was trained on
    flatter it, so the others are also measured separately.

    \b
    dotbogi evaluate held-out.csv
    dotbogi evaluate held-out.csv --out trec/
    """
    from dotbogi.indexes import UsageError, Workspace
    from dotbogi.search import Searcher
    from dotbogi.training.measure.evaluation import evaluate_table
    from dotbogi.training.measure.reliability import at_thresholds
    from dotbogi.training.measure.trec import write_trec

    if out and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: a file; expected a folder.")
    if table:
        source = read_test(table, Workspace(workspace), reading_of(options), strict=strict)
    else:
        source = read(table, Workspace(workspace), reading_of(options))
    searcher = Searcher.open(workspace)
    evaluation, unseen = evaluate_table(searcher, source.collection)
    if out:
        for method in evaluation.scores:
            write_trec(evaluation, method, out / method / "run.trec")
    thresholds = at_thresholds(evaluation.confidence, evaluation.first_is_right(), unseen)
    if as_json:
        print_json(
            {
                "generation": searcher.generation,
                "rows": source.counts.to_json() if source.counts else None,
                "queries": len(evaluation.queries),
                "metrics": evaluation.means(),
                "not_trained_on": {
                    "queries": sum(unseen),
                    "metrics": evaluation.means(unseen) if any(unseen) else None,
                    "thresholds": thresholds,
                },
            }
        )
        return
    print_lines(source.counts.lines() if source.counts else [])
    click.echo(f"generation {searcher.generation}, {len(evaluation.queries)} queries")
    print_lines(_lines(evaluation, unseen, thresholds))
    if out:
        click.echo(f"run.trec and qrels.trec for each method in {out}")


def _lines(evaluation: "Evaluation", unseen: Sequence[bool], thresholds: Any) -> list[str]:
    from dotbogi.training.report.lines import metrics_table, threshold_lines

    lines = metrics_table({"all": evaluation.means()})
    if not any(unseen):
        lines.append(
            "The model was trained on all of these questions, so these figures are too high."
        )
        lines.append("For figures on questions that it was not trained on, run: dotbogi report")
    elif not all(unseen):
        lines.append(f"{sum(unseen)} queries that the model was not trained on:")
        lines += metrics_table({"unseen": evaluation.means(unseen)})
    if thresholds:
        lines.append("first answers to these queries, by minimum confidence:")
        lines += threshold_lines(thresholds)
    return lines
