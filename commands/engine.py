"""The option `--engine`: where the work is done."""

import contextlib
import functools
from collections.abc import Iterator
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


def spread_of(engine: str, blocks: Path, *, progress: bool) -> "Spread":
    """Return where tokens and vectors are made; `blocks` keeps those that a cluster has made."""
    if engine == "local":
        from dotbogi.search.encoded import here

        return here
    from dotbogi.search.cluster.texts import spread_texts

    return functools.partial(spread_texts, blocks, progress=progress)


@contextlib.contextmanager
def blocks_beside(out: Path) -> Iterator[Path]:
    """Yield the folder for the blocks of a result; it goes when the result is there."""
    from dotbogi.indexes.files import remove

    blocks = out.absolute().with_name(f".{out.name}-blocks")
    yield blocks
    remove(blocks)
