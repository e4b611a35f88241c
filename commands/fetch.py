"""`dotbogi fetch`."""

from dataclasses import asdict

import click

from dotbogi.commands.options import json_option
from dotbogi.commands.output import byte_bars, print_json


@click.command()
@click.argument("name", required=False)
@json_option
def fetch(name: str | None, as_json: bool) -> None:
    """Download a public set into the cache; without a NAME, list the sets.

    Commands that read a TABLE also accept a NAME. NAME/PART is one file of a set that has several;
    hf:OWNER/NAME is a data set on the Hugging Face hub. The cache is $DOTBOGI_CACHE, or
    ~/.cache/dotbogi; $DOTBOGI_MIRROR is the URL of a mirror to download from.

    \b
    dotbogi fetch
    dotbogi fetch chatbot-data && dotbogi index chatbot-data
    dotbogi fetch korsts/test
    dotbogi fetch hf:Ash-Hun/Welfare-QA
    """
    from dotbogi.indexes.fetch import fetch as fetch_set

    if name is None:
        _list_sets(as_json)
        return
    with byte_bars() as progress:
        tables = fetch_set(name, progress=progress)
    if as_json:
        print_json({"tables": [asdict(table) for table in tables]})
        return
    first = tables[0]
    click.echo(f"{first.title}\nlicence: {first.licence}\nsource: {first.source}")
    if first.revision:
        click.echo(f"revision: {first.revision}")
    for table in tables:
        known = "pinned in dotbogi" if table.pinned else "recorded at the first fetch"
        click.echo(f"{table.name}: {table.path}{'' if table.new else ' (already in the cache)'}")
        click.echo(f"  sha256 {table.sha256}, {known}")
    use = f"train {first.name} --objective cosine" if first.scored else f"index {first.name}"
    click.echo(f"use it: dotbogi {use}")


def _list_sets(as_json: bool) -> None:
    from dotbogi.indexes.fetch import cache_folder, is_cached
    from dotbogi.indexes.public_sets import CATALOGUE

    if as_json:
        sets = [{**asdict(known), "cached": is_cached(known)} for known in CATALOGUE.values()]
        print_json({"cache": cache_folder(), "sets": sets})
        return
    for known in CATALOGUE.values():
        state = "in the cache" if is_cached(known) else "not fetched"
        click.echo(f"{known.name:<14}{known.rows:>7,} rows  {known.licence:<14}{state}")
        click.echo(f"  {known.title}; {known.source}")
        if len(known.files) > 1:
            click.echo(f"  {', '.join(f'{known.name}/{file.part}' for file in known.files)}")
    click.echo(f"hf:OWNER/NAME is a set on the Hugging Face hub. The cache is {cache_folder()}.")
