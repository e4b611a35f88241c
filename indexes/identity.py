"""Which answer of a new table is which of the published ones, although its text has changed."""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from dotbogi.indexes.collection import Answer, Collection, id_of
from dotbogi.indexes.text import same_text_key

How = Literal["same text", "same questions", "similar text"]

# The least share of letter trigrams that two versions of an answer have in common; by
# benchmarks/identity.py.
SIMILAR = 0.6
_BLOCK = 1000  # answers compared at a time


@dataclass(frozen=True, slots=True)
class Match:
    """A published answer that an answer of the new table continues, and why."""

    id: str
    how: How


def keep_ids(new: Collection, old: Collection) -> tuple[Collection, dict[str, Match]]:
    """Give the answers of a new table the ids that they are published under.

    An id that the table itself states stays: the published one of the same text becomes an alias.
    An answer without an id takes over that of the published answer with the same text; or else
    with the same questions; or else of similar text. Each published answer is taken over once.

    Args:
        new: read from a table.
        old: what is published, with the answers that were removed earlier.

    Returns:
        The new collection; and by answer id, what its id was taken from.
    """
    earlier = [*old.answers, *(old.removed.answers if old.removed else ())]
    stated = [answer for answer in new.answers if answer.id != id_of(answer.text)]
    unstated = [answer for answer in new.answers if answer.id == id_of(answer.text)]
    taken = {answer.id for answer in stated}.union(*(answer.aliases for answer in new.answers))
    known = {answer.id: answer for answer in earlier}
    free = [answer for answer in earlier if answer.id not in taken]
    matches = _same_texts([*stated, *unstated], free)
    used = {match.id for match in matches.values()}
    left = [a for a in unstated if a.id not in matches]
    free = [a for a in free if a.id not in used]
    matches |= _same_questions(left, free, new, old)
    used = {match.id for match in matches.values()}
    matches |= _similar_texts(
        [a for a in left if a.id not in matches], [a for a in free if a.id not in used]
    )
    ids = _new_ids(new.answers, stated, matches)
    answers: list[Answer] = []
    given = {*ids.values(), *(alias for answer in new.answers for alias in answer.aliases)}
    for answer in new.answers:
        matched = [matches[answer.id].id] if answer.id in matches else []
        continued = [ids[answer.id], *matched, *answer.aliases]
        former = _former_ids([known[id_] for id_ in continued if id_ in known], known.keys())
        aliases = dict.fromkeys([*answer.aliases, *(id_ for id_ in former if id_ not in given)])
        given.update(aliases)  # `|=` with keys would copy the set
        answers.append(replace(answer, id=ids[answer.id], aliases=tuple(aliases)))
    questions = [replace(q, answer_id=ids[q.answer_id]) for q in new.questions]
    ordered = sorted(answers, key=lambda answer: answer.id)
    kept = replace(new, answers=ordered, questions=questions)
    return kept, {ids[own]: match for own, match in matches.items()}


def _former_ids(continued: Sequence[Answer], known: Container[str]) -> list[str]:
    """Return the ids of published answers, and their aliases unless other answers have those."""
    return [
        id_
        for answer in continued
        for id_ in (answer.id, *(alias for alias in answer.aliases if alias not in known))
    ]


def _new_ids(
    answers: Sequence[Answer], stated: Sequence[Answer], matches: Mapping[str, Match]
) -> dict[str, str]:
    """Return the id of each answer by the one it came with; none is given twice."""
    ids = {answer.id: answer.id for answer in stated}
    taken = set(ids.values())
    for answer in answers:
        if answer.id not in ids and answer.id in matches:
            ids[answer.id] = matches[answer.id].id
            taken.add(ids[answer.id])
    for answer in answers:
        if answer.id not in ids:
            own, number = answer.id, 1
            while own in taken:  # an answer whose text was edited later still has this id
                number += 1
                own = id_of(f"{answer.text}\0{number}")
            ids[answer.id] = own
            taken.add(own)
    return ids


def _same_texts(new: Sequence[Answer], old: Sequence[Answer]) -> dict[str, Match]:
    by_text: dict[str, str] = {}
    for answer in reversed(old):
        by_text[same_text_key(answer.text)] = answer.id
    exact = {answer.text: answer.id for answer in reversed(old)}
    matches: dict[str, Match] = {}
    used: set[str] = set()
    for exactly in (True, False):
        for answer in new:
            text = answer.text
            found = exact.get(text) if exactly else by_text.get(same_text_key(text))
            if found and found not in used and answer.id not in matches:
                matches[answer.id] = Match(found, "same text")
                used.add(found)
    return matches


def _same_questions(
    new: Sequence[Answer], old: Sequence[Answer], collection: Collection, published: Collection
) -> dict[str, Match]:
    """Match answers that share at least half of the questions of one of them."""
    own, theirs = _questions(collection), _questions(published)
    by_question: dict[str, list[str]] = defaultdict(list)
    texts = {answer.id: answer.text for answer in [*new, *old]}
    for answer in old:
        for question in theirs.get(answer.id, ()):
            by_question[question].append(answer.id)
    pairs = []
    for answer in new:
        shared: dict[str, int] = defaultdict(int)
        for question in own.get(answer.id, ()):
            for other in by_question.get(question, ()):
                shared[other] += 1
        for other, count in shared.items():
            if 2 * count >= min(len(own[answer.id]), len(theirs[other])):
                alike = dice(texts[answer.id], texts[other])
                pairs.append((count, alike, answer.id, other))
    return _one_to_one(
        ((new, old) for *_, new, old in sorted(pairs, reverse=True)), "same questions"
    )


def _questions(collection: Collection) -> dict[str, set[str]]:
    by_answer: dict[str, set[str]] = defaultdict(set)
    for question in collection.questions:
        by_answer[question.answer_id].add(same_text_key(question.text))
    return by_answer


def _similar_texts(new: Sequence[Answer], old: Sequence[Answer]) -> dict[str, Match]:
    if not new or not old:
        return {}
    numbers: dict[str, int] = {}
    rows, columns = _trigram_matrix(new, numbers), _trigram_matrix(old, numbers)
    width = len(numbers)
    left, right = (sparse.csr_matrix(m, shape=(m.shape[0], width)) for m in (rows, columns))
    sizes = np.asarray(right.sum(axis=1)).ravel()
    pairs = []
    for start in range(0, len(new), _BLOCK):
        block = left[start : start + _BLOCK]
        shared = (block @ right.T).tocoo()
        own = np.asarray(block.sum(axis=1)).ravel()
        alike = 2 * shared.data / (own[shared.row] + sizes[shared.col])
        for at in np.flatnonzero(alike >= SIMILAR):
            row, column = int(shared.row[at]), int(shared.col[at])
            pairs.append((float(alike[at]), new[start + row].id, old[column].id))
    return _one_to_one(((a, b) for _, a, b in sorted(pairs, reverse=True)), "similar text")


def _trigram_matrix(answers: Sequence[Answer], numbers: dict[str, int]) -> sparse.csr_matrix:
    """Return which trigrams each answer has; `numbers` grows with the trigrams."""
    columns: list[int] = []
    ends = [0]
    for answer in answers:
        columns += [numbers.setdefault(t, len(numbers)) for t in sorted(_trigrams(answer.text))]
        ends.append(len(columns))
    ones = np.ones(len(columns), np.float32)
    return sparse.csr_matrix((ones, columns, ends), shape=(len(answers), max(len(numbers), 1)))


def _trigrams(text: str) -> set[str]:
    padded = f"  {same_text_key(text)} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def dice(one: str, other: str) -> float:
    """Return the share of letter trigrams that two texts have in common, 2·|A∩B| / (|A|+|B|)."""
    a, b = _trigrams(one), _trigrams(other)
    return 2 * len(a & b) / (len(a) + len(b))


def _one_to_one(pairs: Iterator[tuple[str, str]], how: How) -> dict[str, Match]:
    """Return the pairs, best first, of ids that no better pair has."""
    matches: dict[str, Match] = {}
    used: set[str] = set()
    for new, old in pairs:
        if new not in matches and old not in used:
            matches[new] = Match(old, how)
            used.add(old)
    return matches
