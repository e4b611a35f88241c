"""Decisions about suspected false negatives: stored in a workspace, applied to a collection."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from dotbogi.indexes.collection import Collection, KnownQuestion, Split
from dotbogi.indexes.errors import DamagedError, OldFormatError
from dotbogi.indexes.files import reading, replace_file, sync, write_json
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.text import same_text_key
from dotbogi.training.run_files import REMEDY

Key = tuple[str, str]  # the normalised texts of a question and an answer
Pair = tuple[str, str]  # a question and the id of an answer

DECISIONS = "review.jsonl"  # in a workspace
_FORMAT = 2
_HEADED = b'{"format"'
_REMEDY = (
    "Restore it from a backup. If you changed it yourself, remove its first line; "
    "or remove the file, and import your lists again (dotbogi review --import)."
)
_USED = "decisions.json"  # in the folder of a run: the decisions that it uses


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an answer is right for a question. Both are texts, which outlive ids."""

    question: str
    answer: str
    right: bool
    time: str

    @property
    def key(self) -> Key:
        """Return the key of the pair: the normalised texts."""
        return same_text_key(self.question), same_text_key(self.answer)


@dataclass(frozen=True, slots=True)
class Applied:
    """A collection after review, and the effect of the decisions."""

    collection: Collection
    accepted: list[Pair]
    rejected: list[Pair]
    withdrawn: int  # known questions removed: rejected now, but accepted before or from feedback
    overruled: int  # rejected pairs that stay, because the table itself has them
    unmatched: int  # decisions whose question or answer the collection lacks


def read_decisions(workspace: Path) -> list[Decision]:
    """Return all decisions of a workspace, oldest first; the last one about a pair counts.

    Raises:
        DamagedError: a line of the file cannot be read.
    """
    path = workspace / DECISIONS
    if not path.exists():
        return []
    first, lines = _checked(path)
    decisions = []
    for number, line in enumerate(lines, first):
        with reading(f"{path}, line {number}", "Remove this line, then import its list again."):
            decisions.append(Decision(**json.loads(line)))
    return decisions


def _checked(path: Path) -> tuple[int, list[bytes]]:
    """Return the number of the first decision's line, and the lines of all decisions.

    Format 1 had no first line with the format and the digest of the others.
    """
    raw = path.read_bytes()
    first, _, rest = raw.partition(b"\n")
    if not first.startswith(_HEADED):
        if not first:
            raise DamagedError(f"{path}: empty. {_REMEDY}")
        return 1, raw.splitlines()
    with reading(path, _REMEDY):
        head = json.loads(first)
        format_, stated = head["format"], head["sha256"]
    if format_ != _FORMAT:
        raise OldFormatError(
            f"{path}: written in format {format_!r:.20}; this version reads up to {_FORMAT}. "
            "Update dotbogi."
        )
    if stated != hashlib.sha256(rest).hexdigest():
        raise DamagedError(f"{path}: differs from the digest in its first line. {_REMEDY}")
    return 2, rest.splitlines()


def save_decisions(workspace: Path, new: Sequence[Decision]) -> None:
    """Add decisions to those of a workspace, all or none; the caller holds the writer's lock."""
    lines = "".join(
        json.dumps(asdict(decision), ensure_ascii=False) + "\n"
        for decision in [*read_decisions(workspace), *new]
    ).encode()
    head = {"format": _FORMAT, "sha256": hashlib.sha256(lines).hexdigest()}
    replace_file(workspace / DECISIONS, json.dumps(head).encode() + b"\n" + lines)
    sync(workspace)


def in_force(decisions: Sequence[Decision]) -> dict[Key, Decision]:
    """Return the last decision about each pair."""
    return {decision.key: decision for decision in decisions}


def apply_decisions(collection: Collection, decisions: Sequence[Decision]) -> Applied:
    """Make accepted pairs known questions, and list the rejected pairs.

    A known question that was accepted earlier, or came from feedback, is removed if it is rejected
    now. A rejected pair that the table itself has stays known: tables are corrected by hand.

    Args:
        collection: without splits, so that a new known question gets the split of its text.
        decisions: oldest first.
    """
    texts = {answer.id: same_text_key(answer.text) for answer in collection.answers}

    def key_of(question: KnownQuestion) -> Key:
        return same_text_key(question.text), texts[question.answer_id]

    known = set(map(key_of, collection.questions))
    right, wrong, unmatched = _matched(collection, decisions)
    added = {decision.key for decision in decisions if decision.right}
    added |= {key_of(q) for q in collection.questions if q.origin}
    withdrawn = {key for key in wrong if key in known and key in added}
    overruled = {key for key in wrong if key in known and key not in added}
    questions = [q for q in collection.questions if key_of(q) not in withdrawn]
    questions += [
        KnownQuestion(*pair, origin="review") for key, pair in right.items() if key not in known
    ]
    return Applied(
        collection=replace(collection, questions=questions),
        accepted=[*right.values()],
        rejected=[
            (question, answer_id)
            for key, (question, _) in wrong.items()
            if key not in overruled
            for answer_id, text in texts.items()
            if text == key[1]
        ],
        withdrawn=len(withdrawn),
        overruled=len(overruled),
        unmatched=unmatched,
    )


def _matched(
    collection: Collection, decisions: Sequence[Decision]
) -> tuple[dict[Key, Pair], dict[Key, Pair], int]:
    """Return the accepted and the rejected pairs of the collection, and the number of others."""
    answers: dict[str, str] = {}
    for answer in collection.answers:
        answers.setdefault(same_text_key(answer.text), answer.id)
    questions = {same_text_key(question.text): question.text for question in collection.questions}
    right: dict[Key, Pair] = {}
    wrong: dict[Key, Pair] = {}
    last = in_force(decisions)
    for key, decision in last.items():
        if key[0] in questions and key[1] in answers:
            pairs = right if decision.right else wrong
            pairs[key] = questions[key[0]], answers[key[1]]
    return right, wrong, len(last) - len(right) - len(wrong)


def review_counts(applied: Applied, split: Collection) -> dict[str, Any]:
    """Return the counts of applied decisions; accepted pairs by split."""
    return {
        "accepted": count_by_split(applied.accepted, split),
        "rejected": len(applied.rejected),
        "withdrawn": applied.withdrawn,
        "overruled": applied.overruled,
        "unmatched": applied.unmatched,
    }


def save_used_decisions(applied: Applied, split: Collection, folder: Path) -> None:
    """Store the decisions that a run uses; later ones do not affect it."""
    stored = {"counts": review_counts(applied, split), "rejected": applied.rejected}
    write_json(folder / _USED, stored)


def used_decisions(folder: Path) -> Mapping[str, Any]:
    """Return the decisions that a run uses: {counts, rejected}."""
    stored: Mapping[str, Any] = read_json(folder / _USED, REMEDY)
    return stored


def count_by_split(pairs: Sequence[Pair], split: Collection) -> dict[str, int]:
    """Return how many of these pairs are in each split of the collection."""
    splits = {same_text_key(question.text): question.split for question in split.questions}
    counts = Counter(splits[same_text_key(question)] for question, _ in pairs)
    return {name: counts[name] for name in get_args(Split)}
