"""`dotbogi check`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.options import (
    json_option,
    model_of,
    model_options,
    reading_of,
    table_argument,
    table_options,
    workspace_option,
)
from dotbogi.commands.output import (
    byte_bars,
    print_json,
    print_lines,
    print_notes,
    shows_progress,
)

if TYPE_CHECKING:
    from dotbogi.indexes import Workspace
    from dotbogi.indexes.tables import Table
    from dotbogi.search.check import Finding

_SHOWN = 10  # findings of each kind
_ROWS_SHOWN = 5


@click.command()
@table_argument
@workspace_option
@table_options
@model_options
@click.option(
    "-n", "shown", type=click.IntRange(min=1),
    help=f"Show at most this many findings of each kind; without it {_SHOWN}.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Workbook (.xlsx) to write.")
@click.option("--strict", is_flag=True, help="Exit with code 1 if there are findings.")
@json_option
def check(
    table: Path | None,
    workspace: str,
    shown: int | None,
    out: Path | None,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Say what is wrong with a TABLE of questions and answers, and what would help.

    TABLE is read as `index` reads it; without one, the bundled sample is checked. Texts are
    compared by the workspace's published model, or by the bundled one. Nothing is changed, neither
    the table nor the workspace.

    \b
    dotbogi check faq.xlsx
    dotbogi check faq.xlsx --out checked.xlsx
    dotbogi check faq.csv --strict --json
    """
    from dotbogi.indexes import Workspace
    from dotbogi.search.check import check_table, counts_of, model_folder
    from dotbogi.search.check.workbook import check_path, save_workbook

    if out:
        check_path(out)
    read = _read(table, Workspace(workspace), options)
    with model_folder(Workspace(workspace), model_of(options), read) as folder:
        findings = check_table(read, folder, progress=shows_progress(as_json))
    if out:
        save_workbook(read, findings, out)
    counts = counts_of(findings)
    rows = len({row.number for row in read.rows} | {skip.number for skip in read.skips})
    if as_json:
        print_json(
            {
                "table": str(read.path),
                "rows": rows,
                "counts": {kind.value: count for kind, count in counts.items()},
                "findings": [finding.to_json() for finding in findings],
            }
        )
    else:
        for kind, count in counts.items():
            click.echo(click.style(f"{kind.heading}: {count}", bold=True))
            of_kind = [finding for finding in findings if finding.kind is kind]
            print_lines(_lines(of_kind, shown or _SHOWN))
        summary = ", ".join(f"{count} {kind.value}" for kind, count in counts.items())
        click.echo(f"{rows} rows, {len(findings)} findings" + (f": {summary}" if summary else ""))
        if out:
            click.echo(f"wrote {out}")
    if strict and findings:
        raise click.exceptions.Exit(1)


def _read(table: Path | None, workspace: "Workspace", options: dict[str, Any]) -> "Table":
    from dotbogi.indexes.source import find_table

    with byte_bars() as progress:
        found = find_table(table, workspace, reading_of(options), progress=progress)
    print_notes(found.notes)
    return found.table


def _lines(findings: Sequence["Finding"], shown: int) -> Iterator[str]:
    for finding in findings[:shown]:
        numbers = ", ".join(map(str, finding.rows[:_ROWS_SHOWN]))
        more = ", …" if len(finding.rows) > _ROWS_SHOWN else ""
        texts = " | ".join(text for text in finding.texts if text)
        yield f"  row{'s' * (len(finding.rows) > 1)} {numbers}{more}: {texts}".rstrip(": ")
        yield click.style(f"    {finding.advice}", dim=True)
    if len(findings) > shown:
        yield f"  and {len(findings) - shown} more; all with -n, --json or --out"
