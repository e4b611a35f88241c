"""A new collection as the continuation of the published one."""

import contextlib
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dotbogi.indexes.collection import Collection, open_collection
from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.files import digest_of_regular
from dotbogi.indexes.manifest import read_manifest
from dotbogi.indexes.store import Generation, Workspace
from dotbogi.indexes.update import update
from dotbogi.search.feedback import FeedbackStore

logger = logging.getLogger(__name__)


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
    published = open_collection(current.folder) if current else _undamaged(workspace)
    if published is None:
        return collection, None
    updated = update(collection, published)
    changes = updated.changes
    votes = _votes(workspace, updated.collection.ids())
    concerned = {
        "edited": {edited.id for edited in changes.edited},
        "removed": {id_ for id_, _ in changes.removed},
        "returned": {id_ for id_, _ in changes.returned},
    }
    counts = {kind: sum(votes[id_] for id_ in ids) for kind, ids in concerned.items()}
    differs = updated.collection.digest() != published.digest()  # metadata counts too
    return updated.collection, {"differs": differs, **changes.to_json(), "votes": counts}


def _undamaged(workspace: Workspace) -> Collection | None:
    """Return the collection of a damaged generation, if the damage is elsewhere in it."""
    name = workspace.current_name()
    if name is None:
        return None
    folder = workspace.generations_folder / name
    try:
        manifest = read_manifest(folder)
        for file, expected in manifest["files"].items():
            is_text = file.endswith(".parquet") and "/" not in file
            if is_text and digest_of_regular(folder / file) != expected["sha256"]:
                raise DamagedError(f"{folder / file}: its bytes have changed.")
        return open_collection(folder)
    except (DotbogiError, OSError) as error:
        logger.warning("what users taught and the ids of edited answers are lost: %s", error)
        return None


def _votes(workspace: Workspace, ids: Mapping[str, str]) -> Counter[str]:
    """Count the votes about each answer; none if they cannot be read."""
    try:
        with contextlib.closing(FeedbackStore.open(workspace.folder)) as store:
            return Counter(ids.get(f.answer_id, f.answer_id) for f in store.export())
    except DotbogiError as error:
        logger.warning("votes are not counted: %s", error)
        return Counter()
