"""The list of failures: lines for a terminal, and a workbook."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dotbogi.indexes.export import whole, write_workbook
from dotbogi.training.measure.evaluation import DEPTH
from dotbogi.training.measure.failures import Failure
from dotbogi.training.report.text import shown_text

SHOWN = 20  # failures on a terminal
_LONGEST = 90  # characters of a text on a terminal
_CELL = 10_000  # characters of a text in a workbook; Excel holds three times as many

_COLUMNS = (
    "question", "right answer", "id", "rank", "first answer", "id of first", "known question",
    "confidence", "why",
)  # fmt: skip


def failure_lines(failures: Sequence[Failure], failed: int, queries: int) -> list[str]:
    """Return the failures as lines of text.

    Args:
        failures: those to show, worst first.
        failed: how many there are.
        queries: how many questions were searched.
    """
    if not failed:
        return [f"no failures: a right answer is first for all {queries} questions"]
    lines = [f"failures: the right answer is not first for {failed} of {queries} questions"]
    if failures and len(failures) < failed:
        lines[0] += f"; the worst {len(failures)}:"
    for number, failure in enumerate(failures, 1):
        lines += _lines(number, failure)
    return lines


def _lines(number: int, failure: Failure) -> Iterator[str]:
    yield f"{number:3}. {_line(failure.question)}"
    yield f"     right, {_place(failure.rank)}: {_answer(failure.right_id, failure.right)}"
    if failure.first_id is None or failure.first is None:
        yield "     first: nothing was found"
    else:
        answer = _answer(failure.first_id, failure.first)
        yield f"     first, confidence {failure.confidence:.0%}: {answer}"
    if failure.known_question:
        yield f"     its known question: {_line(failure.known_question)}"
    for why in failure.why:
        yield f"     - {shown_text(' '.join(why.split()))}"


def _answer(answer_id: str, text: str) -> str:
    return f"[{_line(answer_id)}] {_line(text)}"


def _line(text: str) -> str:
    return shown_text(" ".join(text.split()), _LONGEST)


def _place(rank: int | None) -> str:
    return f"rank {rank}" if rank else f"not in the first {DEPTH}"


def save_failures(failures: Sequence[Failure], path: Path) -> None:
    """Write the failures as a workbook, all or nothing."""
    rows = [
        [
            shown_text(failure.question, _CELL),
            shown_text(failure.right, _CELL),
            failure.right_id,
            failure.rank or f"not in the first {DEPTH}",
            shown_text(failure.first or "", _CELL),
            failure.first_id or "",
            shown_text(failure.known_question or "", _CELL),
            round(failure.confidence, 4),
            shown_text("\n".join(failure.why), _CELL),
        ]
        for failure in failures
    ]
    with whole(path) as temporary:
        write_workbook(_COLUMNS, rows, temporary)
