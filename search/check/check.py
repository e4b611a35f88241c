"""Check a table before it is indexed."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import Row, Table
from dotbogi.search.check.cells import (
    blank_cells,
    error_cells,
    is_blank,
    is_error,
    is_no_answer,
    skipped_rows,
)
from dotbogi.search.check.duplicates import near_duplicates
from dotbogi.search.check.finding import Finding, Kind
from dotbogi.search.check.garbled import is_unreadable
from dotbogi.search.check.length import long_answers
from dotbogi.search.check.misplaced import misplaced_questions
from dotbogi.search.check.neighbours import Neighbours
from dotbogi.search.check.pairs import (
    answers_without_question,
    contradictory_ids,
    repeated_questions,
)
from dotbogi.search.check.reading import cells_of, pairs_of
from dotbogi.search.check.texts import (
    emptiness,
    garbled_cells,
    meaningless_questions,
    private_cells,
)
from dotbogi.search.encoders import open_encoder
from dotbogi.search.models import ModelConfig, check_model, enter_model


@contextlib.contextmanager
def model_folder(workspace: Workspace, model: ModelConfig | None, table: Table) -> Iterator[Path]:
    """Yield a folder with a model and its encoder; nothing is written to the workspace.

    Args:
        workspace: its published model is used if there is one and `model` is None.
        model: the model to use; None for the published one, or the default.
        table: gives texts for the encoder's check.

    Raises:
        DotbogiError: the model cannot be used.
    """
    if model is None and workspace.current_name() is not None:
        yield workspace.current().folder
        return
    model = model or ModelConfig()
    check_model(model)
    with tempfile.TemporaryDirectory() as folder:
        enter_model(model, Path(folder), [row.answer for row in table.rows if row.answer.strip()])
        yield Path(folder)


def check_table(table: Table, folder: Path, *, progress: bool = False) -> list[Finding]:
    """Return the findings about a table, the most serious kinds first.

    Args:
        table: as it was read.
        folder: holds a model and its encoder.
        progress: show a bar while many texts are encoded.
    """
    texts = list(cells_of(table))
    rows = [row for row in table.rows if not is_no_answer(row.answer)]
    rows = [replace(row, question="") if is_blank(row.question) else row for row in rows]
    read = pairs_of(rows)
    # What is broken is reported as such, once; compared with other texts it would only mislead.
    whole = pairs_of(_whole(rows))
    near = Neighbours.of(whole, open_encoder(folder, progress=progress))
    found = [
        *blank_cells(table),
        *skipped_rows(table.skips, table.rows),
        *error_cells(texts),
        *private_cells(texts),
        *garbled_cells(texts),
        *meaningless_questions(texts),
        *repeated_questions(whole),
        *contradictory_ids(read),
        *answers_without_question(read),
        *near_duplicates(near),
        *misplaced_questions(near),
        *long_answers(read, folder),
    ]
    order = {kind: place for place, kind in enumerate(Kind)}
    return sorted(found, key=lambda finding: order[finding.kind])


def _whole(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows whose answer can be read, without questions that cannot."""
    for row in rows:
        if not (is_error(row.answer) or is_unreadable(row.answer)):
            asked = row.question
            broken = is_error(asked) or is_unreadable(asked) or emptiness(asked)
            yield replace(row, question="") if broken else row


def counts_of(findings: list[Finding]) -> dict[Kind, int]:
    """Return how many findings of each kind there are, the most serious kinds first."""
    counts = Counter(finding.kind for finding in findings)
    return {kind: counts[kind] for kind in Kind if counts[kind]}
