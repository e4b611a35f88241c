"""The option `--engine`: where the work is done."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dotbogi.search.encoded import Spread

engine_option = click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="Where the work is done: here, or on a Ray cluster, with the same result; "
    "see docs/cluster.md.",
)  # fmt: skip


def spread_of(engine: str, blocks: Path, *, progress: bool) -> "Spread | None":
    """Return what makes tokens and vectors elsewhere, or None for this process."""
    if engine == "local":
        return None
    from dotbogi.search.cluster.texts import spread_texts

    return functools.partial(spread_texts, blocks, progress=progress)
