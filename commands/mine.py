"""`dotbogi mine`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dotbogi.commands.options import (
    json_option,
    mining_of,
    mining_options,
    model_of,
    model_options,
    reading_of,
    table_argument,
    table_options,
    workspace_option,
)
from dotbogi.commands.output import print_json, print_lines, shows_progress
from dotbogi.commands.source import read


@click.command()
@table_argument
@workspace_option
@table_options
@model_options
@mining_options
@click.option("--seed", type=int, help="Seed of split and mining. [default: the published model's]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@json_option
def mine(
    table: Path | None, workspace: str, out: Path, as_json: bool, seed: int | None, **options: Any
) -> None:
    """Mine hard negatives as train does, and write them into a folder.

    \b
    negatives.parquet     with source, rank, scores and the bound that each one passed
    suspects.parquet      answers above the bound; the likeliest also in review.csv
    n-tuple.jsonl         for sentence-transformers
    flagembedding.jsonl   for FlagEmbedding

    Every known question gets negatives, mined with --model or else the published model.

    \b
    dotbogi mine --out pool
    dotbogi mine --out pool --negatives bm25:2,model:4,random:1 --sampling near
    """
    from dotbogi.indexes import Workspace
    from dotbogi.training.negatives.pool_folder import mine_to_folder
    from dotbogi.training.report.lines import review_lines, yield_lines

    config, model = mining_of(options), model_of(options)
    source = read(table, Workspace(workspace), reading_of(options))
    pool = mine_to_folder(
        Workspace(workspace), source.collection, out, config, seed=seed, model=model,
        progress=shows_progress(as_json),
    )  # fmt: skip
    counts = source.counts
    if as_json:
        print_json({"out": str(out), "rows": counts.to_json() if counts else None, **asdict(pool)})
        return
    print_lines([*(counts.lines() if counts else []), *review_lines(pool.review)])
    print_lines(yield_lines(pool.yields))
    click.echo(
        f"{pool.pairs} pairs with {pool.negatives} negatives each, {pool.suspects} suspects: "
        f"{', '.join(pool.files)} in {out}"
    )
