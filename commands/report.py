"""`dotbogi report`."""

from dataclasses import asdict

import click

from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import print_json


@click.command()
@click.argument("run", required=False)
@workspace_option
@json_option
def report(run: str | None, workspace: str, as_json: bool) -> None:
    """Write the report of a training RUN (default: the last one) again, and print its path.

    report.html is for people, report.md for a pull request. `train` writes both when a run ends.
    The report of an interrupted run covers what happened up to then.

    \b
    dotbogi report
    dotbogi report run-0001
    """
    from dotbogi.indexes import Workspace
    from dotbogi.training.report import report_on

    written = report_on(Workspace(workspace), run)
    if as_json:
        print_json(asdict(written))
    else:
        click.echo(written.html)
