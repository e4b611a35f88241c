"""`dotbogi mine`."""

import functools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.engine import blocks_beside, engine_option, spread_of
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

if TYPE_CHECKING:
    from dotbogi.training.negatives.mining import MineBlocks


@click.command()
@table_argument
@workspace_option
@table_options
@model_options
@mining_options
@click.option("--seed", type=int, help="Seed of split and mining. [default: the published model's]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@engine_option
@json_option
def mine(
    table: Path | None, workspace: str, out: Path, as_json: bool, seed: int | None, engine: str,
    **options: Any,
) -> None:  # fmt: skip
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

    config, model, progress = mining_of(options), model_of(options), shows_progress(as_json)
    source = read(table, Workspace(workspace), reading_of(options))
    with blocks_beside(out) as blocks:
        pool = mine_to_folder(
            Workspace(workspace), source.collection, out, config, seed=seed, model=model,
            progress=progress, spread=spread_of(engine, blocks, progress=progress),
            mine_blocks=_mine_blocks(engine, blocks, progress=progress),
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


def _mine_blocks(engine: str, blocks: Path, *, progress: bool) -> "MineBlocks":
    """Return where negatives are mined."""
    if engine == "local":
        from dotbogi.training.negatives.mining import Miner

        return Miner.mine_all
    from dotbogi.training.negatives.spread import mine_on_ray

    return functools.partial(mine_on_ray, blocks, progress=progress)
