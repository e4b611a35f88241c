"""What a new table does to a published collection: what changes, and what users taught it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, id_of, pair_key
from dotbogi.indexes.identity import How, Match, keep_ids

EXAMPLES = 5  # of each kind, in the lines for the user
_STORED = 100  # of each kind, in the manifest
_WIDTH = 60  # characters of a text in a line


@dataclass(frozen=True, slots=True)
class Edited:
    """An answer whose text has changed; it keeps its id."""

    id: str
    before: str
    after: str
    how: How | None  # by what it was recognised; None: by its id


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new table changes; answers by id and text."""

    added: list[tuple[str, str]] = field(default_factory=list)
    edited: list[Edited] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    returned: list[tuple[str, str]] = field(default_factory=list)  # were removed earlier
    unchanged: int = 0  # answers
    questions: Mapping[str, int] = field(default_factory=dict)  # added, removed, unchanged
    # Questions that users or a review taught: kept, set aside with their answers, restored.
    taught: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything changes."""
        pairs = self.questions.get("added", 0) + self.questions.get("removed", 0)
        return bool(self.added or self.edited or self.removed or self.returned or pairs)

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the first answers of each kind."""
        kinds = ("added", "edited", "removed", "returned")
        whole = asdict(self)
        return {
            "answers": {**{k: len(whole[k]) for k in kinds}, "unchanged": self.unchanged},
            "questions": dict(self.questions),
            "taught": dict(self.taught),
            **{kind: whole[kind][:_STORED] for kind in kinds},
        }


@dataclass(frozen=True, slots=True)
class Update:
    """A collection that continues a published one, and what is different in it."""

    collection: Collection
    changes: Changes


def update(new: Collection, old: Collection) -> Update:
    """Return a table's collection as the continuation of the published one.

    Answers keep their ids through edits. What users and reviews taught stays; what concerns an
    answer that the table no longer has is set aside in `Collection.removed`, and comes back when
    the answer does.

    Args:
        new: read from a table; or a collection that continues the published one already.
        old: what is published.
    """
    kept, matches = keep_ids(new, old)
    ids = kept.ids()
    taught = _taught(old)
    questions, restored = _with_taught(kept.questions, taught, ids)
    aside = [question for question in taught if question.answer_id not in ids]
    removed = _set_aside(old, ids, aside)
    collection = replace(kept, questions=questions, removed=removed)
    before_aside = {id(q) for q in (old.removed.questions if old.removed else ())}
    returned = sum(id(q) in before_aside for q in taught if q.answer_id in ids)
    counts = {"kept": restored - returned, "set_aside": len(aside), "returned": returned}
    return Update(collection, _changes(collection, old, matches, ids, counts))


def _taught(old: Collection) -> list[KnownQuestion]:
    own = [q for q in old.questions if q.origin or q.preferred]
    return [*own, *(old.removed.questions if old.removed else ())]


def _with_taught(
    questions: Sequence[KnownQuestion], taught: Iterable[KnownQuestion], ids: Mapping[str, str]
) -> tuple[list[KnownQuestion], int]:
    """Return the questions with what was taught, and how many of the latter there are."""
    by_key = {pair_key(q.text, q.answer_id): i for i, q in enumerate(questions)}
    result = list(questions)
    count = 0
    for question in taught:
        answer_id = ids.get(question.answer_id)
        if answer_id is None:
            continue
        count += 1
        key = pair_key(question.text, answer_id)
        if key in by_key:
            at = by_key[key]
            result[at] = replace(result[at], preferred=question.preferred, opposed=question.opposed)
        elif question.origin:
            by_key[key] = len(result)
            result.append(replace(question, answer_id=answer_id, split=None))
    return result, count


def _set_aside(
    old: Collection, ids: Mapping[str, str], aside: Sequence[KnownQuestion]
) -> Collection | None:
    """Return the removed answers that something hangs on.

    That is what users taught, or an id that is not made from the answer's present text. Each id
    stays with the answer that had it last.
    """
    needed = {question.answer_id for question in aside}
    earlier: dict[str, Answer] = {}
    taken = set(ids)
    for answer in [*old.answers, *(old.removed.answers if old.removed else ())]:
        aliases = tuple(alias for alias in answer.aliases if alias not in taken)
        is_needed = answer.id in needed or answer.id != id_of(answer.text) or aliases
        if answer.id not in taken and is_needed:
            earlier[answer.id] = replace(answer, aliases=aliases)
            taken |= {answer.id, *aliases}
    if not earlier:
        return None
    questions = [replace(question, split=None) for question in aside]
    return Collection(sorted(earlier.values(), key=lambda answer: answer.id), questions)


def _changes(
    now: Collection,
    old: Collection,
    matches: Mapping[str, Match],
    ids: Mapping[str, str],
    taught: Mapping[str, int],
) -> Changes:
    published = {ids.get(answer.id, answer.id): answer for answer in old.answers}
    published |= {answer.id: answer for answer in old.answers}  # rather than one merged into it
    aside = {answer.id: answer for answer in (old.removed.answers if old.removed else ())}
    changes = Changes(
        removed=[(a.id, a.text) for a in old.answers if a.id not in ids],
        questions=_question_counts(now, old, ids),
        taught=taught,
    )
    unchanged = 0
    for answer in now.answers:
        before = published.get(answer.id)
        match = matches.get(answer.id)
        if before is None:
            earlier = aside.keys() & {answer.id, *answer.aliases}
            (changes.returned if earlier else changes.added).append((answer.id, answer.text))
        elif before.text != answer.text:
            how = match.how if match and match.how != "same text" else None
            changes.edited.append(Edited(answer.id, before.text, answer.text, how))
        else:
            unchanged += 1
    return replace(changes, unchanged=unchanged)


def _question_counts(now: Collection, old: Collection, ids: Mapping[str, str]) -> dict[str, int]:
    """Count the pairs of the table; those of answers that are gone count as removed."""
    mine = {(q.text, q.answer_id) for q in now.questions if not q.origin}
    theirs = {(q.text, ids.get(q.answer_id, q.answer_id)) for q in old.questions if not q.origin}
    return {
        "added": len(mine - theirs),
        "removed": len(theirs - mine),
        "unchanged": len(mine & theirs),
    }


def change_lines(changes: Mapping[str, Any]) -> list[str]:
    """Return what changed as lines of text.

    Args:
        changes: as `Changes.to_json` gives them; with "votes" by kind, those are shown too.
    """
    counts = {name: n for name, n in changes["answers"].items() if n or name == "unchanged"}
    lines = [f"answers: {', '.join(f'{n} {name}' for name, n in counts.items())}"]
    for kind, mark in (("added", "+"), ("removed", "-"), ("returned", "+")):
        lines += [f"  {mark} {_short(text)}" for _, text in changes[kind][:EXAMPLES]]
        lines += _more(changes, kind)
    for edited in changes["edited"][:EXAMPLES]:
        how = f", recognised by its {edited['how'].split()[-1]}" if edited["how"] else ""
        lines.append(f"  ~ {_short(edited['before'])}")
        lines.append(f"    → {_short(edited['after'])} (id {edited['id']}{how})")
    lines += _more(changes, "edited")
    questions = {name: n for name, n in changes["questions"].items() if n}
    lines.append(f"questions: {', '.join(f'{n} {name}' for name, n in questions.items()) or 0}")
    taught = {name.replace("_", " "): n for name, n in changes["taught"].items() if n}
    if taught:
        lines.append(f"taught by users: {', '.join(f'{n} {name}' for name, n in taught.items())}")
    votes = {name: n for name, n in (changes.get("votes") or {}).items() if n}
    if votes:
        what = ", ".join(f"{n} about answers {name}" for name, n in votes.items())
        lines.append(f"votes: {what}; all are kept")
    return lines


def _more(changes: Mapping[str, Any], kind: str) -> list[str]:
    left = changes["answers"][kind] - EXAMPLES
    return [f"    … and {left} more {kind}"] if left > 0 else []


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
