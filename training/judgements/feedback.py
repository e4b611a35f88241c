"""What users said about answers: their votes counted, and what comes of them for a collection."""

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection, KnownQuestion, pair_key
from dotbogi.indexes.store import write_json
from dotbogi.indexes.text import clean, same_text_key
from dotbogi.search.feedback import Feedback, FeedbackStore, Verdict
from dotbogi.training.judgements.decisions import Pair, count_by_split

Key = tuple[str, str]  # the normalised text of a query and the id of an answer

VOTES_PER_CLIENT = 50
_USED = "feedback.json"  # of a run: what users had said when it began


@dataclass(frozen=True, slots=True)
class Poll:
    """The votes about one answer to one query, at most one a client."""

    query: str  # as it was typed first
    answer_id: str
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Votes:
    """All votes: votes = capped + unmatched + those of the polls."""

    polls: Mapping[Key, Poll]
    backed: frozenset[Key]  # pairs that somebody calls right, whether the vote counts or not
    # Clients that prefer this answer to the query, whether the vote counts or not: what is not
    # known does not become so by it.
    preferred: Mapping[Key, int]
    clients: int
    votes: int  # one a client and pair, its last
    capped: int  # beyond the last `per_client` of their client
    unmatched: int  # about an answer that is not there any more, or a blank query


@dataclass(frozen=True, slots=True)
class AppliedFeedback:
    """A collection after feedback, and what became of the votes."""

    collection: Collection
    votes: Votes
    right: list[Pair]  # known questions by majority
    wrong: list[Pair]  # confirmed negatives by majority
    conflicts: list[Poll]  # as many right as wrong: listed, not used
    added: int  # of the right ones, those that were not known before
    withdrawn: int  # known from feedback before, and now wrong, or erased
    overruled: int  # wrong, but the table holds them; or right, but rejected in a review


def count_votes(
    feedback: Iterable[Feedback], answer_ids: Container[str], per_client: int = VOTES_PER_CLIENT
) -> Votes:
    """Count the votes about every (query, answer), whatever the typing of the query.

    A client's last word about a pair is its one vote there, and its last `per_client` votes are
    all that it has: nobody decides more pairs than that alone.

    Args:
        feedback: oldest first.
        answer_ids: of the answers that there are.
        per_client: votes of a client that count, its latest.
    """
    last: dict[tuple[str, Key], Feedback] = {}
    for each in feedback:
        vote = each.client, pair_key(each.query, each.answer_id)
        last.pop(vote, None)
        last[vote] = each  # behind the others: the order is that of the last words
    backed = frozenset(key for (_, key), each in last.items() if each.verdict != "wrong")
    matched = {vote: f for vote, f in last.items() if vote[1][0] and f.answer_id in answer_ids}
    counted = _latest(matched, per_client)
    return Votes(
        polls=_polls(counted),
        backed=backed,
        preferred=_preferred(matched),
        clients=len({client for client, _ in last}),
        votes=len(last),
        capped=len(matched) - len(counted),
        unmatched=len(last) - len(matched),
    )


def _latest(
    votes: Mapping[tuple[str, Key], Feedback], per_client: int
) -> dict[tuple[str, Key], Feedback]:
    """Return the last votes of each client, in the order they were in."""
    left = Counter(client for client, _ in votes)
    counted = {}
    for vote, each in votes.items():
        if left[vote[0]] <= per_client:
            counted[vote] = each
        left[vote[0]] -= 1
    return counted


def _polls(votes: Mapping[tuple[str, Key], Feedback]) -> dict[Key, Poll]:
    by_pair: dict[Key, list[Feedback]] = defaultdict(list)
    for (_, key), each in votes.items():
        by_pair[key].append(each)
    return {
        key: Poll(
            query=clean(cast[0].query),
            answer_id=key[1],
            right=sum(each.verdict != "wrong" for each in cast),
            wrong=sum(each.verdict == "wrong" for each in cast),
        )
        for key, cast in by_pair.items()
    }


def _preferred(votes: Mapping[tuple[str, Key], Feedback]) -> Counter[Key]:
    """Count the clients by what they prefer: their last best answer, or else their last right."""
    favourites: dict[tuple[str, str], tuple[Verdict, Key]] = {}
    for (client, key), each in votes.items():
        before, _ = favourites.get((client, key[0]), ("right", key))
        if each.verdict == "best" or each.verdict == before == "right":
            favourites[client, key[0]] = each.verdict, key
    return Counter(key for _, key in favourites.values())


def read_votes(workspace: Path, collection: Collection, per_client: int) -> Votes:
    """Count the feedback that a workspace holds about the answers of a collection."""
    answer_ids = {answer.id for answer in collection.answers}
    if not workspace.is_dir():  # to be made by this run
        return count_votes([], answer_ids, per_client)
    with contextlib.closing(FeedbackStore.open(workspace)) as store:
        return count_votes(store.export(), answer_ids, per_client)


def apply_feedback(
    collection: Collection, votes: Votes, rejected: Iterable[Pair] = ()
) -> AppliedFeedback:
    """Make pairs that a majority calls right known questions, and list those called wrong.

    A pair that feedback has made known and that is called wrong now, or that nobody's stored vote
    calls right any more, leaves the known questions again. What the table holds, and what a review
    has rejected, stays as it is: whoever owns the collection has the last word.

    Args:
        collection: before it is split; a new known question goes where its text's hash sends it.
        votes: about the answers of this collection.
        rejected: pairs that a review has called wrong.
    """
    refused = {pair_key(*pair) for pair in rejected}
    right = {key: poll for key, poll in votes.polls.items() if poll.right > poll.wrong}
    wrong = {key: poll for key, poll in votes.polls.items() if poll.wrong > poll.right}
    overruled = len(refused & right.keys())
    right = {key: poll for key, poll in right.items() if key not in refused}

    def is_over(question: KnownQuestion) -> bool:
        key = _key_of(question)
        return question.origin == "feedback" and (key in wrong or key not in votes.backed)

    texts = {same_text_key(question.text): question.text for question in collection.questions}
    kept = [question for question in collection.questions if not is_over(question)]
    known = set(map(_key_of, kept))
    named = {key: texts.get(key[0], poll.query) for key, poll in {**right, **wrong}.items()}
    added = [
        KnownQuestion(named[key], key[1], origin="feedback") for key in right if key not in known
    ]

    def weighed(question: KnownQuestion) -> KnownQuestion:
        key = _key_of(question)
        poll = votes.polls.get(key)
        users = votes.preferred.get(key, 0)
        if key in refused or (poll and poll.wrong >= poll.right):
            users = 0
        return replace(question, preferred=users, opposed=poll.wrong if poll and users else 0)

    questions = list(map(weighed, [*kept, *added]))
    return AppliedFeedback(
        collection=replace(collection, questions=questions),
        votes=votes,
        right=[(named[key], key[1]) for key in right],
        wrong=[(named[key], key[1]) for key in wrong if key not in known],
        conflicts=[poll for poll in votes.polls.values() if poll.right == poll.wrong],
        added=len(added),
        withdrawn=len(collection.questions) - len(kept),
        overruled=overruled + len(known & wrong.keys()),
    )


def _key_of(question: KnownQuestion) -> Key:
    return pair_key(question.text, question.answer_id)


def feedback_counts(applied: AppliedFeedback, split: Collection) -> dict[str, Any]:
    """Return what the ledger keeps: votes, and the pairs that came of them.

    votes = used + conflicting + capped + unmatched; the rest counts pairs.
    """
    votes = applied.votes
    conflicting = sum(poll.right + poll.wrong for poll in applied.conflicts)
    trained = {same_text_key(q.text) for q in split.questions if q.split == "train"}
    return {
        "clients": votes.clients,
        "votes": votes.votes,
        "used": votes.votes - conflicting - votes.capped - votes.unmatched,
        "conflicting": conflicting,
        "capped": votes.capped,
        "unmatched": votes.unmatched,
        "right": count_by_split(applied.right, split),
        "added": applied.added,
        "wrong": len(applied.wrong),
        "negatives": sum(same_text_key(question) in trained for question, _ in applied.wrong),
        "conflicts": len(applied.conflicts),
        "withdrawn": applied.withdrawn,
        "overruled": applied.overruled,
    }


def save_feedback(applied: AppliedFeedback, split: Collection, folder: Path) -> None:
    """Keep what a run uses of the feedback, which goes on coming in."""
    stored = {
        "counts": feedback_counts(applied, split),
        "wrong": applied.wrong,
        "conflicts": [asdict(poll) for poll in applied.conflicts],
    }
    write_json(folder / _USED, stored)


def read_feedback(folder: Path) -> Mapping[str, Any] | None:
    """Return what a run uses of the feedback: {counts, wrong, conflicts}; None if nothing."""
    path = folder / _USED
    if not path.is_file():
        return None
    stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


@dataclass(frozen=True, slots=True)
class Client:
    """What one client has said: its last verdict on each pair."""

    client: str
    right: int
    wrong: int
    answers: int  # how many different ones; few of them in many votes look like spam


@dataclass(frozen=True, slots=True)
class StoredFeedback:
    """What a workspace holds; the clients with the most votes first."""

    votes: int
    clients: list[Client]
    conflicts: list[Poll]


def describe_feedback(workspace: Path, per_client: int = VOTES_PER_CLIENT) -> StoredFeedback:
    """Return the counts of what a workspace holds, whether its answers are still there or not."""
    with contextlib.closing(FeedbackStore.open(workspace)) as store:
        feedback = list(store.export())
    last = {(f.client, pair_key(f.query, f.answer_id)): f for f in feedback}
    by_client: dict[str, list[Feedback]] = defaultdict(list)
    for each in last.values():
        by_client[each.client].append(each)
    clients = [
        Client(
            client,
            right=sum(f.verdict != "wrong" for f in said),
            wrong=sum(f.verdict == "wrong" for f in said),
            answers=len({f.answer_id for f in said}),
        )
        for client, said in by_client.items()
    ]
    clients.sort(key=lambda client: (-client.right - client.wrong, client.client))
    polls = count_votes(feedback, {f.answer_id for f in feedback}, per_client).polls.values()
    return StoredFeedback(len(last), clients, [p for p in polls if p.right == p.wrong])
