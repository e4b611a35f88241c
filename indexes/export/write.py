"""Write a collection to a file or a folder, all or nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.export.beir import is_beir_folder, write_beir
from dotbogi.indexes.export.delimited import write_csv
from dotbogi.indexes.export.json_lines import write_json_lines
from dotbogi.indexes.export.rows import rows_of
from dotbogi.indexes.export.whole import check_free, whole
from dotbogi.indexes.export.workbook import write_collection

Format = Literal["xlsx", "csv", "jsonl", "beir"]

FORMATS: Mapping[Format, Callable[[Collection, Path], None]] = {
    "xlsx": write_collection,
    "csv": write_csv,
    "jsonl": write_json_lines,
    "beir": write_beir,
}
_SUFFIXES: Mapping[str, Format] = {
    ".xlsx": "xlsx", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", "": "beir",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    out: Path
    format: Format
    answers: int
    questions: int
    from_feedback: int  # questions that are known only because of users' votes
    rows: int


def format_of(out: Path, wanted: Format | None = None) -> Format:
    """Return the format of a path: the wanted one, or else that of its suffix.

    Raises:
        UsageError: the suffix names no format, or another one than the wanted.
    """
    named = "beir" if out.is_dir() else _SUFFIXES.get(out.suffix.lower())
    if wanted is None and named is None:
        raise UsageError(
            f"{out}: files of type {out.suffix!r} cannot be written. Expected .xlsx, .csv, .jsonl, "
            "or a name without a suffix for a BEIR folder; or name one with --format."
        )
    if wanted and named not in (wanted, None) and out.suffix:
        raise UsageError(
            f"{out}: the name says {named}, --format says {wanted}. Change one: `index` goes by "
            "the name."
        )
    format_ = wanted or named
    assert format_
    return format_


def export(
    collection: Collection, out: Path, format_: Format | None = None, *, force: bool = False
) -> Exported:
    """Write a collection so that `index` reads the same answers and pairs from it.

    It is written under another name and then renamed, so that `out` is never incomplete.

    Args:
        collection: what is written; in which split a question was does not matter.
        out: the file, or the folder for BEIR.
        format_: None for that of the suffix; a name without a suffix is a BEIR folder.
        force: replace `out` if it exists.

    Raises:
        UsageError: `out` cannot be used, or the format cannot hold the collection.
    """
    chosen = format_of(out, format_)
    _check(out, chosen, force)
    with whole(out) as temporary:
        FORMATS[chosen](collection, temporary)
        _check(out, chosen, force)  # it may have come into being meanwhile
    return Exported(
        out=out,
        format=chosen,
        answers=len(collection.answers),
        questions=len(collection.questions),
        from_feedback=sum(question.origin is not None for question in collection.questions),
        rows=sum(1 for _ in rows_of(collection)),
    )


def _check(out: Path, format_: Format, force: bool) -> None:
    check_free(out, is_folder=format_ == "beir", force=force)
    if out.is_dir() and not is_beir_folder(out):
        raise UsageError(
            f"{out}: holds more than a BEIR folder, and is not replaced. Name another folder."
        )
