"""A new collection as the continuation of the published one."""

import contextlib
from collections import Counter
from typing import Any

from dotbogi.indexes.collection import Collection, open_collection
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.indexes.update import update
from dotbogi.search.feedback import FeedbackStore


def plan(workspace: Workspace, collection: Collection) -> dict[str, Any]:
    """Return what indexing a collection would change, as the manifest would say it.

    Raises:
        NothingIndexedError: nothing is published yet.
        DamagedError: the published generation is damaged.
    """
    return continued(workspace, collection, workspace.current())[1] or {}


def continued(
    workspace: Workspace, collection: Collection, current: Generation | None
) -> tuple[Collection, dict[str, Any] | None]:
    """Return the collection with what stays of the published one, and what it changes.

    The changes are those of `indexes.update.Changes`, with the number of votes about the answers
    concerned. They are None if nothing is published yet.
    """
    if current is None:
        return collection, None
    updated = update(collection, open_collection(current.folder))
    changes = updated.changes
    with contextlib.closing(FeedbackStore.open(workspace.folder)) as store:
        votes = Counter(feedback.answer_id for feedback in store.export())
    concerned = {
        "edited": {edited.id for edited in changes.edited},
        "removed": {id_ for id_, _ in changes.removed},
        "returned": {id_ for id_, _ in changes.returned},
    }
    counts = {kind: sum(votes[id_] for id_ in ids) for kind, ids in concerned.items()}
    return updated.collection, {**changes.to_json(), "votes": counts}
