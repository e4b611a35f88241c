"""The review of suspected false negatives: write the list, and import people's decisions."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from dotbogi.indexes.collection import Collection, open_collection
from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.files import replace_file
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables.neutral import neutralise, restored
from dotbogi.indexes.tables.records import quoted, read_records
from dotbogi.indexes.text import same_text_key
from dotbogi.training.judgements.decisions import (
    Decision,
    Key,
    in_force,
    read_decisions,
    save_decisions,
)
from dotbogi.training.ledger import Mined, open_run, read_events, run_names
from dotbogi.training.negatives import Negative
from dotbogi.training.negatives.files import open_negatives

OF_ONE = 3  # listed suspects per question: one with a weak known answer would fill the list
LISTED = 1000  # suspects in a run's review.csv; longer lists are not read, and slow to open

RIGHT = ("accept", "yes", "y", "true", "1", "o", "맞음", "네", "예")
WRONG = ("reject", "no", "n", "false", "0", "x", "틀림", "아니오", "아니요")


@dataclass(frozen=True, slots=True)
class Suspect:
    """An answer that scores so close to the known right one that it may be right as well."""

    question: str
    answer: str
    answer_id: str
    known_answer: str
    cosine: float
    known_cosine: float
    source: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The counts of an imported list."""

    right: int
    wrong: int
    changed: int  # of these, decided the other way before
    undecided: int
    unknown: list[str]  # rows whose question or answer the workspace lacks


def list_suspects(
    minings: Sequence[Sequence[Negative]], collection: Collection, decisions: Sequence[Decision]
) -> list[Suspect]:
    """Return the undecided suspects by cosine, those above their positive first.

    The gap to the positive would be a worse order: it is widest if the known answer shares nothing
    with its question, whatever the suspect says. At most three suspects of a question are listed;
    once these are decided, the next ones follow.

    Args:
        minings: the suspects of each mining; those of the first mining come first.
        collection: has their answers.
        decisions: their pairs are left out.
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
    listed_of: Counter[str] = Counter()  # by question
    listed = []
    for suspect in suspects:
        key = keys[suspect.question], keys[suspect.text]
        if key not in seen and listed_of[key[0]] < OF_ONE:
            seen.add(key)
            listed_of[key[0]] += 1
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
    """Return the name of the last run that mined, and its suspects in the order of the list.

    Suspects of later rounds come first: their model is better. But a model fitted to the known
    pairs may suspect nothing, so suspects of earlier rounds stay on the list.

    Raises:
        UsageError: no run has mined yet.
        DamagedError: the suspects or the decisions cannot be read.
    """
    folder = _last_run(workspace)
    if folder is None:
        raise UsageError(f"{workspace.folder}: no run has found suspects yet. Run: dotbogi train")
    decisions = read_decisions(workspace.folder)
    with open_run(folder) as events:
        rounds = [e.round for e in events if isinstance(e, Mined) and e.fold is None]
        paths = [folder / f"suspects-{number}.parquet" for number in reversed(rounds)]
        minings = [open_negatives(path) for path in paths]
        return folder.name, list_suspects(minings, open_collection(folder), decisions)


def _last_run(workspace: Workspace) -> Path | None:
    """Return the folder of the last run that has mined for all questions."""
    for name in reversed(run_names(workspace)):
        folder = workspace.rounds_folder / name
        if any(isinstance(e, Mined) and e.fold is None for e in read_events(folder)):
            return folder
    return None


def save_review(suspects: Sequence[Suspect], path: Path) -> None:
    """Write the list as CSV for spreadsheets; people fill in the first column."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["decision", *(field.name for field in fields(Suspect))])
    for suspect in suspects:
        cells = (c if isinstance(c, float) else neutralise(c) for c in asdict(suspect).values())
        writer.writerow(["", *cells])
    replace_file(path, text.getvalue().encode("utf-8-sig"))  # Excel needs a BOM


def import_review(workspace: Workspace, path: Path) -> Imported:
    """Store the decisions of a list in the workspace; the last one about a pair counts.

    Args:
        workspace: its next run uses them.
        path: a list that `save_review` wrote, with the column `decision` filled in, saved as CSV
            by any spreadsheet.

    Raises:
        UsageError: a column is missing, a decision cannot be read, two rows contradict each
            other, or nothing is indexed yet.
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
    if records.skips:
        raise DamagedError(f"{path}, line {records.skips[0].number}: {records.skips[0].reason}.")
    decisions, undecided, unknown = _decisions(path, records.rows, _Known(workspace))
    with workspace.writing():
        before = in_force(read_decisions(workspace.folder))
        if decisions:
            save_decisions(workspace.folder, decisions)
    changed = sum(d.key in before and before[d.key].right != d.right for d in decisions)
    right = sum(decision.right for decision in decisions)
    return Imported(right, len(decisions) - right, changed, undecided, unknown)


def _decisions(
    path: Path, rows: Sequence[Mapping[str, str]], known: "_Known"
) -> tuple[list[Decision], int, list[str]]:
    """Return the decisions in the rows of a list, the number without one, and unknown pairs."""
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
                    f"{path}, rows {line} and {number}: the same pair is both right and wrong "
                    f"({decision.question!r}). Keep one of the two rows."
                )
    return [decision for decision, _ in taken.values()], undecided, unknown


class _Known:
    """The questions and answers that a list may have: published ones, and the last run's."""

    def __init__(self, workspace: Workspace) -> None:
        collections = []
        if workspace.current_name():
            collections.append(open_collection(workspace.current().folder))
        if folder := _last_run(workspace):
            with open_run(folder):
                collections.append(open_collection(folder))
        if not collections:
            raise UsageError(
                f"{workspace.folder}: nothing is indexed here yet. Run: dotbogi index TABLE"
            )
        self._questions: dict[str, str] = {}
        self._answers: dict[str, str] = {}
        self._by_id: dict[str, str] = {}
        for collection in collections:
            self._questions.update({same_text_key(q.text): q.text for q in collection.questions})
            self._answers.update({same_text_key(a.text): a.text for a in collection.answers})
            self._by_id.update({answer.id: answer.text for answer in collection.answers})

    def pair(self, row: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the texts of a row's question and answer in the collection, None if unknown.

        An answer is found by its text, or by its id if a spreadsheet has spoiled the text: cut it
        off, or replaced letters by question marks. Any other text is another answer.
        """
        question = self._questions.get(same_text_key(restored(row.get("question", ""))))
        typed = restored(row.get("answer", ""))
        answer = self._answers.get(same_text_key(typed))
        if answer is None:
            known = self._by_id.get(restored(row.get("answer_id", "")).strip())
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
            f"{path}, row {number}: the decision {cell!r} is not one of {', '.join(RIGHT)} (right) "
            f"or {', '.join(WRONG)} (wrong). If undecided, leave it empty."
        )
    return word in RIGHT if word else None
