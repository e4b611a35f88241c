"""`dotbogi serve` and `dotbogi mcp`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dotbogi.commands.defaults import defaulted
from dotbogi.commands.options import json_option, refuse, together, workspace_option
from dotbogi.commands.output import print_json

if TYPE_CHECKING:
    from dotbogi.search.searcher import Move

_SETTINGS = "search.service.settings:Settings"

_bounds = together(
    defaulted(
        "--threads", type=click.IntRange(1, 64), setting=f"{_SETTINGS}.threads",
        help="Searches run at a time.",
    ),
    defaulted(
        "--max-waiting", type=click.IntRange(0, 10_000), setting=f"{_SETTINGS}.max_waiting",
        help="Searches that may wait for a thread; the next one gets 429.",
    ),
    defaulted(
        "--max-wait", type=click.IntRange(1, 3_600), setting=f"{_SETTINGS}.max_wait",
        help="Seconds that a search waits for a thread; then it gets 503.",
    ),
    defaulted(
        "--max-connections", type=click.IntRange(8, 65_536),
        setting=f"{_SETTINGS}.max_connections",
        help="Open connections; further ones are closed at once.",
    ),
    defaulted(
        "--max-body", type=click.IntRange(1_000, 100_000_000), setting=f"{_SETTINGS}.max_body",
        help="Bytes per request.",
    ),
    defaulted(
        "--max-query", type=click.IntRange(1, 100_000), setting=f"{_SETTINGS}.max_query",
        help="Characters of a query.",
    ),
    defaulted(
        "--max-text", type=click.IntRange(1, 1_000_000), setting=f"{_SETTINGS}.max_text",
        help="Characters of a text to embed or to rank.",
    ),
    defaulted(
        "--max-batch", type=click.IntRange(1, 10_000), setting=f"{_SETTINGS}.max_batch",
        help="Queries, texts or documents per request.",
    ),
    defaulted(
        "--max-k", type=click.IntRange(10, 1_000), setting=f"{_SETTINGS}.max_k",
        help="Answers per query.",
    ),
    defaulted(
        "--max-cost", type=click.IntRange(2_000, 1_000_000_000), setting=f"{_SETTINGS}.max_cost",
        help="Cost of a request, about its characters; see docs/service.md.",
    ),
)  # fmt: skip


@click.command()
@workspace_option
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Address to listen on; any but a loopback address needs keys.",
)  # fmt: skip
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535),
    help="0 takes any free port.",
)  # fmt: skip
@click.option(
    "--keys", type=click.Path(path_type=Path),
    help="JSON file of API keys; DOTBOGI_KEYS can hold the same JSON.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="Search here, or in shards on a Ray cluster with the same result; see docs/cluster.md.",
)  # fmt: skip
@click.option(
    "--shards", type=click.IntRange(1, 1000), metavar="N",
    help="With --engine ray: into how many parts the collection is cut; without it, one.",
)  # fmt: skip
@click.option(
    "--replicas", type=click.IntRange(1, 1000), metavar="N",
    help="With --engine ray: copies of each shard; without it, one.",
)  # fmt: skip
@_bounds
@json_option
def serve(
    workspace: str, host: str, port: int, keys: Path | None, engine: str, shards: int | None,
    replicas: int | None, as_json: bool, **options: int | None,
) -> None:  # fmt: skip
    """Serve the published generation over HTTP until stopped.

    Open its address in a browser to search and vote; /rounds shows the training history. Routes,
    keys, limits and metrics: docs/service.md. Needs: pip install "dotbogi[serve]"

    \b
    dotbogi serve
    dotbogi serve --host 0.0.0.0 --keys keys.json
    curl -s localhost:8000/v1/search -H 'Content-Type: application/json' \\
        -d '{"query": "배가 고파요", "k": 3}'
    """
    _share_cores()
    from dotbogi.indexes import Workspace
    from dotbogi.search.service import Settings, read_keys
    from dotbogi.search.service import serve as run
    from dotbogi.training.report.history import HistoryPages

    given = {name: value for name, value in options.items() if value is not None}
    settings = Settings(keys=read_keys(keys, os.environ.get("DOTBOGI_KEYS")), **given)

    def started(url: str, generation: str) -> None:
        if as_json:
            print_json({"url": url, "generation": generation, "pid": os.getpid()})
        else:
            what = f"generation {generation}" if generation else "nothing indexed yet"
            click.echo(f"{what} at {url}")

    with _moving(Path(workspace), engine, shards, replicas) as move:
        run(workspace, host, port, settings, started, HistoryPages(Workspace(workspace)), move)


@contextlib.contextmanager
def _moving(
    workspace: Path, engine: str, shards: int | None, replicas: int | None
) -> "Iterator[Move | None]":
    """Yield what takes a generation to its shards, as long as they are there; None: no shards."""
    if engine == "local":
        refuse({"shards": shards, "replicas": replicas}, "needs --engine ray", "shards", "replicas")
        yield None
        return
    from dotbogi.search.cluster.serving import ShardCluster

    cluster = ShardCluster(workspace, shards or 1, replicas or 1)
    try:
        yield cluster.move
    finally:
        cluster.close()


@click.command()
@workspace_option
def mcp(workspace: str) -> None:
    """Offer the tool search_answers over stdin and stdout (Model Context Protocol).

    A client, such as a desktop assistant, starts and stops it. It answers from the published
    generation; see docs/adapters.md. Needs: pip install "dotbogi[mcp]"

    \b
    dotbogi mcp
    dotbogi mcp --workspace /srv/faq
    """
    _share_cores()
    from dotbogi.search.adapters.mcp import serve as run

    run(workspace)


def _share_cores() -> None:
    """Give each request one thread, even for batches; libraries read these when imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(name, "1")
