"""Users' feedback about answers: count the votes, and apply them to a collection."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection, KnownQuestion, pair_key
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import write_json
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.text import clean, same_text_key
from dotbogi.search.feedback import Feedback, FeedbackStore, Verdict, has_feedback
from dotbogi.training.judgements.decisions import Pair, count_by_split
from dotbogi.training.run_files import REMEDY

Key = tuple[str, str]  # the normalised text of a query and the id of an answer

VOTES_PER_CLIENT = 50
_USED = "feedback.json"  # in the folder of a run: the feedback that it uses


@dataclass(frozen=True, slots=True)
class Poll:
    """The votes about one answer to one query, at most one per client."""

    query: str  # as it was first typed
    answer_id: str
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Votes:
    """All votes: votes = capped + unmatched + votes in the polls."""

    polls: Mapping[Key, Poll]
    backed: frozenset[Key]  # pairs that some client calls right, by votes counted or not
    # Clients that prefer this answer to the query, capped votes included: a preference alone does
    # not make a pair known.
    preferred: Mapping[Key, int]
    clients: int
    votes: int  # the last of each client about each pair
    capped: int  # not among the last `per_client` of their client
    unmatched: int  # about an answer that the collection lacks, or a blank query


@dataclass(frozen=True, slots=True)
class AppliedFeedback:
    """A collection after feedback, and the effect of the votes."""

    collection: Collection
    votes: Votes
    right: list[Pair]  # known questions by majority
    wrong: list[Pair]  # confirmed negatives by majority
    conflicts: list[Poll]  # as many votes right as wrong: listed, not used
    added: int  # right pairs that were not known before
    withdrawn: int  # known from feedback before, now called wrong, or their votes were deleted
    overruled: int  # wrong, but in the table; or right, but rejected in a review


def count_votes(
    feedback: Iterable[Feedback], answer_ids: Container[str], per_client: int = VOTES_PER_CLIENT
) -> Votes:
    """Count the votes about every (query, answer); queries are compared normalised.

    Only a client's last vote about a pair counts, and of these only the last `per_client`. So no
    client alone decides more pairs than that.

    Args:
        feedback: oldest first.
        answer_ids: ids of the collection's answers.
        per_client: the number of votes of a client that count.
    """
    last: dict[tuple[str, Key], Feedback] = {}  # (client, pair) → its last vote
    for vote in feedback:
        key = vote.client, pair_key(vote.query, vote.answer_id)
        last.pop(key, None)
        last[key] = vote  # appended, so that the order is that of the last votes
    backed = frozenset(pair for (_, pair), vote in last.items() if vote.verdict != "wrong")
    matched = {
        (client, pair): vote
        for (client, pair), vote in last.items()
        if pair[0] and vote.answer_id in answer_ids
    }
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
    """Return the last votes of each client, in the same order."""
    left = Counter(client for client, _ in votes)
    counted = {}
    for (client, pair), vote in votes.items():
        if left[client] <= per_client:
            counted[client, pair] = vote
        left[client] -= 1
    return counted


def _polls(votes: Mapping[tuple[str, Key], Feedback]) -> dict[Key, Poll]:
    by_pair: dict[Key, list[Feedback]] = defaultdict(list)
    for (_, pair), vote in votes.items():
        by_pair[pair].append(vote)
    return {
        pair: Poll(
            query=clean(cast[0].query),
            answer_id=pair[1],
            right=sum(vote.verdict != "wrong" for vote in cast),
            wrong=sum(vote.verdict == "wrong" for vote in cast),
        )
        for pair, cast in by_pair.items()
    }


def _preferred(votes: Mapping[tuple[str, Key], Feedback]) -> Counter[Key]:
    """Count clients by the pair they prefer for a query: the last voted best, or else right."""
    favourites: dict[tuple[str, str], tuple[Verdict, Key]] = {}  # (client, query)
    for (client, pair), vote in votes.items():
        before, _ = favourites.get((client, pair[0]), ("right", pair))
        if vote.verdict == "best" or vote.verdict == before == "right":
            favourites[client, pair[0]] = vote.verdict, pair
    return Counter(pair for _, pair in favourites.values())


def read_votes(workspace: Path, collection: Collection, per_client: int) -> Votes:
    """Count the votes in a workspace about the answers of a collection.

    Raises:
        DamagedError: the file of votes is damaged, or is missing though the collection has known
            questions from votes, which would be dropped.
    """
    ids = collection.ids()
    known = sum(question.origin == "feedback" for question in collection.questions)
    if known and not has_feedback(workspace):
        raise DamagedError(
            f"{workspace / 'feedback.sqlite'}: missing, but {known} known questions are from votes "
            "and would be dropped. Restore it from a backup, or train without --with-feedback."
        )
    if not workspace.is_dir():  # created later by this run
        return count_votes([], ids, per_client)
    with contextlib.closing(FeedbackStore.open(workspace)) as store:
        # An answer that had another id when a user voted is still the same answer.
        votes = (replace(f, answer_id=ids.get(f.answer_id, f.answer_id)) for f in store.export())
        return count_votes(votes, ids, per_client)


def apply_feedback(
    collection: Collection, votes: Votes, rejected: Iterable[Pair] = ()
) -> AppliedFeedback:
    """Make pairs that a majority calls right known questions, and list those called wrong.

    A known question that came from feedback is removed if a majority calls it wrong now, or if no
    stored vote calls it right. Pairs of the table, and pairs that a review rejected, do not change:
    the owner of the collection decides.

    Args:
        collection: without splits, so that a new known question gets the split of its text.
        votes: about the answers of this collection.
        rejected: pairs that a review rejected.
    """
    refused = {pair_key(*pair) for pair in rejected}
    right = {key: poll for key, poll in votes.polls.items() if poll.right > poll.wrong}
    wrong = {key: poll for key, poll in votes.polls.items() if poll.wrong > poll.right}
    overruled = len(refused & right.keys())
    right = {key: poll for key, poll in right.items() if key not in refused}

    def is_withdrawn(question: KnownQuestion) -> bool:
        key = _key_of(question)
        return question.origin == "feedback" and (key in wrong or key not in votes.backed)

    texts = {same_text_key(question.text): question.text for question in collection.questions}
    kept = [question for question in collection.questions if not is_withdrawn(question)]
    known = set(map(_key_of, kept))
    text_of = {key: texts.get(key[0], poll.query) for key, poll in {**right, **wrong}.items()}
    added = [
        KnownQuestion(text_of[key], key[1], origin="feedback") for key in right if key not in known
    ]

    def with_votes(question: KnownQuestion) -> KnownQuestion:
        key = _key_of(question)
        poll = votes.polls.get(key)
        users = votes.preferred.get(key, 0)
        if key in refused or (poll and poll.wrong >= poll.right):
            users = 0
        return replace(question, preferred=users, opposed=poll.wrong if poll and users else 0)

    questions = list(map(with_votes, [*kept, *added]))
    return AppliedFeedback(
        collection=replace(collection, questions=questions),
        votes=votes,
        right=[(text_of[key], key[1]) for key in right],
        wrong=[(text_of[key], key[1]) for key in wrong if key not in known],
        conflicts=[poll for poll in votes.polls.values() if poll.right == poll.wrong],
        added=len(added),
        withdrawn=len(collection.questions) - len(kept),
        overruled=overruled + len(known & wrong.keys()),
    )


def _key_of(question: KnownQuestion) -> Key:
    return pair_key(question.text, question.answer_id)


def feedback_counts(applied: AppliedFeedback, split: Collection) -> dict[str, Any]:
    """Return the counts for the ledger, of votes and of pairs.

    votes = used + conflicting + capped + unmatched; the other counts are of pairs.
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
    """Store the feedback that a run uses; later votes do not affect it."""
    stored = {
        "counts": feedback_counts(applied, split),
        "wrong": applied.wrong,
        "conflicts": [asdict(poll) for poll in applied.conflicts],
    }
    write_json(folder / _USED, stored)


def read_feedback(folder: Path) -> Mapping[str, Any] | None:
    """Return the feedback that a run uses: {counts, wrong, conflicts}; None if it uses none."""
    path = folder / _USED
    if not path.is_file():
        return None
    stored: Mapping[str, Any] = read_json(path, REMEDY)
    return stored


@dataclass(frozen=True, slots=True)
class Client:
    """The votes of one client, the last about each pair."""

    client: str
    right: int
    wrong: int
    answers: int  # different answers; many votes about few answers look like spam


@dataclass(frozen=True, slots=True)
class StoredFeedback:
    """The feedback in a workspace; clients with the most votes first."""

    votes: int
    clients: list[Client]
    conflicts: list[Poll]


def describe_feedback(workspace: Path, per_client: int = VOTES_PER_CLIENT) -> StoredFeedback:
    """Return the feedback in a workspace, votes about deleted answers included."""
    with contextlib.closing(FeedbackStore.open(workspace)) as store:
        feedback = list(store.export())
    last = {(f.client, pair_key(f.query, f.answer_id)): f for f in feedback}
    by_client: dict[str, list[Feedback]] = defaultdict(list)
    for vote in last.values():
        by_client[vote.client].append(vote)
    clients = [
        Client(
            client,
            right=sum(vote.verdict != "wrong" for vote in votes),
            wrong=sum(vote.verdict == "wrong" for vote in votes),
            answers=len({vote.answer_id for vote in votes}),
        )
        for client, votes in by_client.items()
    ]
    clients.sort(key=lambda client: (-client.right - client.wrong, client.client))
    polls = count_votes(feedback, {f.answer_id for f in feedback}, per_client).polls.values()
    return StoredFeedback(len(last), clients, [p for p in polls if p.right == p.wrong])
