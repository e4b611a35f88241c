"""`dotbogi export`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import print_json

if TYPE_CHECKING:
    from dotbogi.indexes.export import Format


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@workspace_option
@click.option(
    "--format", "format_", type=click.Choice(["xlsx", "csv", "jsonl", "beir"]),
    help="Of the table, if the name of OUT does not say it.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option
def export(out: Path, workspace: str, format_: "Format | None", force: bool, as_json: bool) -> None:
    """Write the published collection to OUT, as a table that `index` reads again.

    OUT is a file (.xlsx, .csv, .jsonl), or without a suffix a BEIR folder. The table has a row for
    each known question, with its answer, the answer's id and metadata. Questions that are known
    from users' votes are marked.

    \b
    dotbogi export faq.xlsx
    dotbogi export faq.csv --force
    dotbogi export beir-folder
    """
    from dotbogi.indexes import Workspace, open_collection
    from dotbogi.indexes.export import export as write

    generation = Workspace(workspace).current()
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
