"""`dotbogi export`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import print_json

if TYPE_CHECKING:
    from dotbogi.indexes import Generation
    from dotbogi.indexes.export import Format
    from dotbogi.search.engines import EngineName


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@workspace_option
@click.option(
    "--format", "format_", type=click.Choice(["xlsx", "csv", "jsonl", "beir"]),
    help="Of the table, if the name of OUT does not say it.",
)  # fmt: skip
@click.option(
    "--to", "engine", type=click.Choice(["qdrant", "opensearch"]),
    help="Write requests for this search engine instead: vectors, texts and the hybrid query.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option
def export(
    out: Path,
    workspace: str,
    format_: "Format | None",
    engine: "EngineName | None",
    force: bool,
    as_json: bool,
) -> None:
    """Write the published collection to OUT, as a table that `index` reads again.

    OUT is a file (.xlsx, .csv, .jsonl), or without a suffix a BEIR folder. The table has a row for
    each known question, with its answer, the answer's id and metadata. Questions that are known
    from users' votes are marked. With --to, OUT is a folder of requests for a search engine; see
    docs/engines.md.

    \b
    dotbogi export faq.xlsx
    dotbogi export faq.csv --force
    dotbogi export beir-folder
    dotbogi export faq-qdrant --to qdrant
    """
    from dotbogi.indexes import UsageError, Workspace

    if engine and format_:
        raise UsageError("--format is of a table, and --to writes none: leave one out.")
    generation = Workspace(workspace).current()
    if engine:
        _export_to(engine, generation, out, force, as_json)
    else:
        _export_table(generation, out, format_, force, as_json)


def _export_to(
    engine: "EngineName", generation: "Generation", out: Path, force: bool, as_json: bool
) -> None:
    from dotbogi.search.engines import export_to
    from dotbogi.search.index import open_index

    written = export_to(engine, open_index(generation), generation.name, out, force=force)
    if as_json:
        print_json({"out": str(out), **asdict(written)})
        return
    click.echo(
        f"generation {generation.name}: {written.answers} answers, {written.questions} known "
        f"questions, in {written.requests} requests for {engine}, in {out}"
    )


def _export_table(
    generation: "Generation", out: Path, format_: "Format | None", force: bool, as_json: bool
) -> None:
    from dotbogi.indexes import open_collection
    from dotbogi.indexes.export import export as write

    written = write(open_collection(generation.folder), out, format_, force=force)
    if as_json:
        print_json(
            {
                "out": str(out),
                "format": written.format,
                "generation": generation.name,
                "answers": written.answers,
                "questions": written.questions,
                "from_feedback": written.from_feedback,
                "rows": written.rows,
            }
        )
        return
    votes = f" ({written.from_feedback} from users' votes)" if written.from_feedback else ""
    click.echo(
        f"generation {generation.name}: {written.answers} answers, "
        f"{written.questions} known questions{votes}, in {out}"
    )
    if votes and written.format == "beir":
        click.echo("note: a BEIR folder does not say which questions are from votes.", err=True)
