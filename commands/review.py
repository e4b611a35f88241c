"""`dotbogi review`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import print_json, print_lines

if TYPE_CHECKING:
    from dotbogi.indexes import Workspace

_SHOWN = 10


@click.command()
@workspace_option
@click.option(
    "-n", "shown", type=click.IntRange(min=1),
    help=f"Maximum number to list; if not given, {_SHOWN}, or all with --out.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="CSV file to write the list to.")
@click.option(
    "--import", "filled", metavar="FILE", type=click.Path(path_type=Path),
    help="Import a list with column `decision` filled in: yes, o, 맞음 or no, x, 틀림.",
)  # fmt: skip
@json_option
def review(
    workspace: str, shown: int | None, out: Path | None, filled: Path | None, as_json: bool
) -> None:
    """List answers that may also be right, and import your decisions about them.

    The last run did not use these answers as negatives, because they are about as close to the
    question as its known answer. The first 1,000 are also in rounds/RUN/review.csv. The next
    `train` uses accepted ones as right answers and rejected ones as negatives.

    \b
    dotbogi review
    dotbogi review --out suspects.csv
    dotbogi review --import suspects.csv
    """
    from dotbogi.indexes import UsageError, Workspace
    from dotbogi.training.judgements.review import last_review, save_review

    if filled:
        if shown or out:
            raise UsageError("--import cannot be combined with -n or --out.")
        _import(Workspace(workspace), filled, as_json)
        return
    run, suspects = last_review(Workspace(workspace))
    listed = suspects[:shown] if shown or out else suspects[:_SHOWN]
    if out:
        save_review(listed, out)
    if as_json:
        print_json({"run": run, "count": len(suspects), "suspects": [asdict(s) for s in listed]})
        return
    click.echo(f"{run}: {len(suspects)} answers may also be right")
    if out:
        click.echo(f"wrote the first {len(listed)} to {out}")
        return
    for suspect in listed:
        click.echo(f"{suspect.question}")
        click.echo(f"  {suspect.cosine:.3f}  {suspect.answer}  [{suspect.answer_id}]")
        known = f"  {suspect.known_cosine:.3f}  known: {suspect.known_answer}"
        click.echo(click.style(known, dim=True))
    if suspects:
        click.echo(f"{len(listed)} of {len(suspects)} shown; to decide: dotbogi review --out FILE")


def _import(workspace: "Workspace", filled: Path, as_json: bool) -> None:
    from dotbogi.training.judgements.review import import_review

    decisions = import_review(workspace, filled)
    if as_json:
        print_json(asdict(decisions))
        return
    click.echo(
        f"{decisions.right} right, {decisions.wrong} wrong, {decisions.undecided} undecided; "
        f"{decisions.changed} changed from an earlier decision"
    )
    print_lines(f"not in this workspace: {row}" for row in decisions.unknown)
