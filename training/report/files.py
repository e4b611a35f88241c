"""Write the files of a report, from the files in the folder of a run."""

from dataclasses import dataclass
from pathlib import Path

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.files import replace_file, sync
from dotbogi.indexes.store import Workspace
from dotbogi.training.ledger import open_run, run_names
from dotbogi.training.report.data import read_run
from dotbogi.training.report.html import render_html
from dotbogi.training.report.markdown import render_markdown


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """The files of a report."""

    run: str
    html: Path
    markdown: Path


def report_on(workspace: Workspace, run: str | None = None) -> WrittenReport:
    """Write the report of a run, or of the last one, from the files in its folder.

    Raises:
        UsageError: there is no such run, or it has measured nothing yet.
        DamagedError: one of its files is missing, or cannot be read.
    """
    runs = run_names(workspace)
    if not runs:
        raise UsageError(f"{workspace.folder}: no run to report on. Start one: dotbogi train")
    if run is not None and run not in runs:
        raise UsageError(f"{workspace.folder}: no run {run!r}; the last one is {runs[-1]}.")
    on_questions = [name for name in runs if not _is_scored(workspace.rounds_folder / name)]
    folder = workspace.rounds_folder / (run or (on_questions or runs)[-1])
    if _is_scored(folder):
        raise UsageError(
            f"{folder.name}: a run on scored pairs has no report; its metrics are in "
            f"{folder / 'ledger.jsonl'}."
        )
    return write_report(folder)


def _is_scored(folder: Path) -> bool:
    return (folder / "pairs.parquet").is_file()


def write_report(folder: Path) -> WrittenReport:
    """Write report.html and report.md; the same folder of a run always gives the same bytes.

    Raises:
        UsageError: the run has measured nothing yet.
        DamagedError: a file is missing, or cannot be read.
    """
    written = WrittenReport(folder.name, folder / "report.html", folder / "report.md")
    with open_run(folder):
        report = read_run(folder)
        html, markdown = render_html(report), render_markdown(report)
    for path, text in ((written.html, html), (written.markdown, markdown)):
        replace_file(path, text.encode())
    sync(folder)
    return written
