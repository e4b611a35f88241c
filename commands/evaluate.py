"""`dotbogi evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.defaults import defaulted
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
    from dotbogi.indexes import Reading, Workspace
    from dotbogi.indexes.source import Source
    from dotbogi.training import Evaluation


@click.command()
@table_argument
@workspace_option
@table_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder for TREC run and qrels files.")
@strict_option
@defaulted(
    "--failures",
    type=click.IntRange(min=0),
    metavar="N",
    setting="training.report.failures:SHOWN",
    help="Failures to list, worst first; with --json, all unless this is given.",
)
@click.option(
    "--failures-out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Workbook (.xlsx) to write all failures to.",
)
@json_option
def evaluate(
    table: Path | None,
    workspace: str,
    out: Path | None,
    strict: bool,
    failures: int | None,
    failures_out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure BM25, dense and hybrid search on a TABLE's questions.

    The published generation is searched. Without a TABLE, the questions are the collection's own.
    Each known question is searched in an index without it. Questions that the model was trained on
    flatter it, so the others are also measured separately.

    The failures, questions whose right answer does not come first, are listed with a reason.

    \b
    dotbogi evaluate held-out.csv
    dotbogi evaluate held-out.csv --out trec/
    dotbogi evaluate held-out.csv --failures-out failures.xlsx
    """
    from dotbogi.indexes import Workspace
    from dotbogi.search import Searcher
    from dotbogi.training.measure.evaluation import evaluate_table
    from dotbogi.training.measure.failures import failures_of
    from dotbogi.training.measure.reliability import at_thresholds
    from dotbogi.training.measure.trec import write_trec
    from dotbogi.training.report.failures import SHOWN, failure_lines, save_failures

    _check(out, failures_out)
    source = _source(table, Workspace(workspace), reading_of(options), strict=strict)
    searcher = Searcher.open(workspace)
    evaluation, unseen = evaluate_table(searcher, source.collection)
    if out:
        for method in evaluation.scores:
            write_trec(evaluation, method, out / method / "run.trec")
    is_right = evaluation.first_is_right()
    shown = SHOWN if failures is None else failures
    failed = failures_of(searcher, evaluation, None if as_json or failures_out else shown)
    if failures_out:
        save_failures(failed, failures_out)
    thresholds = at_thresholds(evaluation.confidence, is_right, unseen)
    if as_json:
        rows = source.counts.to_json() if source.counts else None
        measured = _measured(evaluation, unseen, thresholds)
        listed = [failure.to_json() for failure in failed[:failures]]
        print_json(
            {"generation": searcher.generation, "rows": rows, **measured, "failures": listed}
        )
        return
    print_lines(source.counts.lines() if source.counts else [])
    click.echo(f"generation {searcher.generation}, {len(evaluation.queries)} queries")
    print_lines(_lines(evaluation, unseen, thresholds))
    print_lines(failure_lines(failed[:shown], is_right.count(False), len(is_right)))
    if failures_out:
        click.echo(f"all failures in {failures_out}")
    if out:
        click.echo(f"run.trec and qrels.trec for each method in {out}")


def _source(
    table: Path | None, workspace: "Workspace", reading: "Reading", *, strict: bool
) -> "Source":
    if table:
        return read_test(table, workspace, reading, strict=strict)
    return read(table, workspace, reading)


def _check(out: Path | None, failures_out: Path | None) -> None:
    """Refuse paths that cannot be written, before anything is searched."""
    from dotbogi.indexes import UsageError
    from dotbogi.indexes.export import check_free

    if out and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: a file; expected a folder.")
    if failures_out and failures_out.suffix.lower() != ".xlsx":
        raise UsageError(f"--failures-out {failures_out}: expected a name that ends in .xlsx.")
    if failures_out:
        check_free(failures_out)


def _measured(evaluation: "Evaluation", unseen: Sequence[bool], thresholds: Any) -> dict[str, Any]:
    return {
        "queries": len(evaluation.queries),
        "metrics": evaluation.means(),
        "not_trained_on": {
            "queries": sum(unseen),
            "metrics": evaluation.means(unseen) if any(unseen) else None,
            "thresholds": thresholds,
        },
        "failed": evaluation.first_is_right().count(False),
    }


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
