"""The review of suspected false negatives: a list for people, and their decisions back."""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from dotbogi.indexes.collection import Collection, open_collection
from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.records import quoted, read_records
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.text import same_text_key
from dotbogi.training.judgements.decisions import (
    Decision,
    Key,
    in_force,
    read_decisions,
    save_decisions,
)
from dotbogi.training.negatives import Negative
from dotbogi.training.negatives.files import open_negatives

OF_ONE = 3  # suspects of one question at a time: one with a weak answer would fill the list
LISTED = 1000  # suspects in a run's review.csv; nobody reads more, and spreadsheets slow down

RIGHT = ("accept", "yes", "y", "true", "1", "o", "맞음", "네", "예")
WRONG = ("reject", "no", "n", "false", "0", "x", "틀림", "아니오", "아니요")

# What a spreadsheet would compute, and what has been neutralised before.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRALISED = re.compile(r"'+[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Suspect:
    """An answer that scores so near the known right one that it may be right as well."""

    question: str
    answer: str
    answer_id: str
    known_answer: str
    cosine: float
    known_cosine: float
    source: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What a list brought back."""

    right: int
    wrong: int
    changed: int  # of these, how many had been decided the other way before
    undecided: int
    unknown: list[str]  # rows that name no question or answer of the workspace


def list_suspects(
    minings: Sequence[Sequence[Negative]], collection: Collection, decisions: Sequence[Decision]
) -> list[Suspect]:
    """Return the suspects nobody has decided about: those above their positive first, by cosine.

    The gap to the positive would be a worse order: it is widest where the known answer shares
    nothing with its question, whatever the suspect says. At most three of one question are
    listed; when these are decided, its next ones are.

    Args:
        minings: suspects of each; those of the first come first.
        collection: whose answers they are.
        decisions: pairs in these are left out.
    """
    texts = {answer.id: answer.text for answer in collection.answers}
    suspects = [
        suspect
        for mining in minings
        for suspect in sorted(
            mining,
            key=lambda s: (s.cosine <= s.positive_cosine, -s.cosine, s.question, s.answer_id),
        )
    ]
    keys = {text: same_text_key(text) for s in suspects for text in (s.question, s.text)}
    seen = set(in_force(decisions))
    of_question: Counter[str] = Counter()
    listed = []
    for suspect in suspects:
        key = keys[suspect.question], keys[suspect.text]
        if key not in seen and of_question[key[0]] < OF_ONE:
            seen.add(key)
            of_question[key[0]] += 1
            listed.append(
                Suspect(
                    question=suspect.question,
                    answer=suspect.text,
                    answer_id=suspect.answer_id,
                    known_answer=texts[suspect.positive_id],
                    cosine=round(suspect.cosine, 4),
                    known_cosine=round(suspect.positive_cosine, 4),
                    source=suspect.source,
                )
            )
    return listed


def last_review(workspace: Workspace) -> tuple[str, list[Suspect]]:
    """Return the last run that mined, and its suspects as `list_suspects` does.

    Those of later rounds come first: their model knew more. But it has been fitted to the known
    pairs and may suspect nothing, so those of earlier rounds stay on the list.

    Raises:
        UsageError: no run has mined yet.
    """
    folder = _last_folder(workspace)
    if folder is None:
        raise UsageError(f"{workspace.folder}: no run has listed suspects yet. Run: dotbogi train")
    paths = sorted(folder.glob("suspects-*.parquet"), key=lambda path: (len(path.name), path.name))
    minings = [open_negatives(path) for path in reversed(paths)]
    decisions = read_decisions(workspace.folder)
    return folder.name, list_suspects(minings, open_collection(folder), decisions)


def _last_folder(workspace: Workspace) -> Path | None:
    found = {path.parent for path in workspace.rounds_folder.glob("run-*/suspects-*.parquet")}
    return max(found, default=None)


def save_review(suspects: Sequence[Suspect], path: Path) -> None:
    """Write the list as CSV that spreadsheets open; people fill the first column."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("w", encoding="utf-8-sig", newline="") as file:  # Excel wants the mark
        writer = csv.writer(file)
        writer.writerow(["decision", *(field.name for field in fields(Suspect))])
        for suspect in suspects:
            cells = (c if isinstance(c, float) else _neutral(c) for c in asdict(suspect).values())
            writer.writerow(["", *cells])
    temporary.replace(path)


def import_review(workspace: Workspace, path: Path) -> Imported:
    """Take the decisions of a list into the workspace; the last one about a pair holds.

    Args:
        workspace: whose next run uses them.
        path: a list as `save_review` wrote it, with the column `decision` filled, saved by any
            spreadsheet as CSV.

    Raises:
        UsageError: a column is missing, a decision cannot be read, or two rows contradict.
        DamagedError: rows cannot be read.
        LockedError: another process is writing to the workspace.
    """
    records = read_records(path)
    missing = [name for name in ("decision", "question", "answer") if name not in records.names]
    if missing:
        raise UsageError(
            f"{path}: no column {missing[0]!r} among {quoted(records.names)}. Expected a list "
            "that train, mine or review --out wrote."
        )
    if records.skipped:
        raise DamagedError(f"{path}: {next(iter(records.skipped))}.")
    decisions, undecided, unknown = _decisions(path, records.rows, _Known(workspace))
    with workspace.writing():
        held = in_force(read_decisions(workspace.folder))
        if decisions:
            save_decisions(workspace.folder, decisions)
    changed = sum(d.key in held and held[d.key].right != d.right for d in decisions)
    right = sum(decision.right for decision in decisions)
    return Imported(right, len(decisions) - right, changed, undecided, unknown)


def _decisions(
    path: Path, rows: Sequence[Mapping[str, str]], known: "_Known"
) -> tuple[list[Decision], int, list[str]]:
    """Return the decisions of a list's rows, how many rows have none, and the unknown pairs."""
    taken: dict[Key, tuple[Decision, int]] = {}
    undecided = 0
    unknown = []
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for number, row in enumerate(rows, 2):
        right = _right(path, number, row.get("decision", ""))
        pair = known.pair(row)
        if right is None:
            undecided += 1
        elif pair is None:
            unknown.append(f"row {number}: {row.get('question', '')!r}, {row.get('answer', '')!r}")
        else:
            decision = Decision(*pair, right, now)
            before, line = taken.setdefault(decision.key, (decision, number))
            if before.right != right:
                raise UsageError(
                    f"{path}, rows {line} and {number}: one pair is right and wrong "
                    f"({decision.question!r}). Leave one of the two."
                )
    return [decision for decision, _ in taken.values()], undecided, unknown


class _Known:
    """The questions and answers that a list may name: of what is published, and of the last run."""

    def __init__(self, workspace: Workspace) -> None:
        folders = [workspace.current().folder] if workspace.current_name() else []
        if folder := _last_folder(workspace):
            folders.append(folder)
        if not folders:
            raise UsageError(
                f"{workspace.folder}: nothing is indexed here yet. Run: dotbogi index TABLE"
            )
        self._questions: dict[str, str] = {}
        self._answers: dict[str, str] = {}
        self._by_id: dict[str, str] = {}
        for collection in map(open_collection, folders):
            self._questions.update({same_text_key(q.text): q.text for q in collection.questions})
            self._answers.update({same_text_key(a.text): a.text for a in collection.answers})
            self._by_id.update({answer.id: answer.text for answer in collection.answers})

    def pair(self, row: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the question and the answer of a row as the collection has them.

        An answer is known by its text, or by its id where a spreadsheet has spoiled the text: cut
        it off, or put question marks for letters it lacks. Another text is another answer.
        """
        question = self._questions.get(same_text_key(_restored(row.get("question", ""))))
        typed = _restored(row.get("answer", ""))
        answer = self._answers.get(same_text_key(typed))
        if answer is None:
            known = self._by_id.get(_restored(row.get("answer_id", "")).strip())
            answer = known if known is not None and _is_spoiled(typed, known) else None
        return (question, answer) if question is not None and answer is not None else None


def _is_spoiled(typed: str, text: str) -> bool:
    if len(typed) == len(text):
        return all(a == b or a == "?" for a, b in zip(typed, text, strict=True))
    return text.startswith(typed.rstrip("…."))


def _right(path: Path, number: int, cell: str) -> bool | None:
    word = unicodedata.normalize("NFKC", cell).strip().casefold()
    if word and word not in RIGHT + WRONG:
        raise UsageError(
            f"{path}, row {number}: the decision {cell!r} is none of {', '.join(RIGHT)} (right) "
            f"or {', '.join(WRONG)} (wrong). Leave the cell empty to leave it undecided."
        )
    return word in RIGHT if word else None


def _neutral(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _restored(cell: str) -> str:
    return cell[1:] if _NEUTRALISED.match(cell) else cell
