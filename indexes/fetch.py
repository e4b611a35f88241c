"""Public sets in a local cache: fetched by name, checked at every use."""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dotbogi.indexes.download import Expected, Patience, Progress, download
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.files import digest, write_json
from dotbogi.indexes.hub import HubName, load_from_hub, parse_hub_name, write_table
from dotbogi.indexes.public_sets import CATALOGUE, HUB_PREFIX, PublicSet, SetFile, find_set

_RECORD = "set.json"  # {file name: its digest, URL, …}, in each set's folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One table of a public set in the cache."""

    name: str  # what `index` and `train` take, such as korsts/test
    title: str
    licence: str
    source: str  # the publisher's page
    url: str
    path: Path
    sha256: str
    pinned: bool  # the digest ships with dotbogi, and is not that of the first fetch
    scored: bool
    new: bool  # fetched just now, not found in the cache
    revision: str = ""  # on the hub


def cache_folder() -> Path:
    """Return the cache folder for public sets ($DOTBOGI_CACHE if set); it may not exist yet."""
    named = os.environ.get("DOTBOGI_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "dotbogi"


def fetch(
    name: str, *, progress: Progress | None = None, patience: Patience | None = None
) -> list[Fetched]:
    """Fetch the tables of a public set into the cache and return them, the main one first.

    A table in the cache is checked against its digest, and fetched again if it differs.

    Args:
        name: a name in the catalogue, with or without a part (korsts/test), or hf:OWNER/NAME.
        progress: called while a file is downloaded.
        patience: limits of a download; None for the defaults.

    Raises:
        UsageError: there is no such set.
        DotbogiError: it cannot be fetched; an incomplete file never has its final name.
        DamagedError: the bytes received do not match the digest.
    """
    if name.startswith(HUB_PREFIX):
        return _fetch_from_hub(parse_hub_name(name), progress is not None)
    match = find_set(name)
    if match is None:
        names = ", ".join(map(_name_with_parts, CATALOGUE.values()))
        raise UsageError(f"{name}: no such public set. Expected {names}, or hf:OWNER/NAME.")
    public_set, files = match
    with _locked(cache_folder() / public_set.name) as folder:
        return [_fetch_file(public_set, file, folder, progress, patience) for file in files]


def is_cached(public_set: PublicSet) -> bool:
    """Return whether all files of a set are in the cache, without checking their bytes."""
    folder = cache_folder() / public_set.name
    return all((folder / file.file_name).is_file() for file in public_set.files)


def _fetch_file(
    public_set: PublicSet, file: SetFile, folder: Path, progress: Progress | None,
    patience: Patience | None,
) -> Fetched:  # fmt: skip
    path = folder / file.file_name
    record = _read_record(folder)
    entry = record.get(file.file_name, {})
    first_sha256 = entry.get("sha256") if entry.get("url") == file.url else None
    sha256 = file.sha256 or first_sha256
    new = not _is_whole(path, sha256)
    if new:
        known_from = (
            "pinned in dotbogi" if file.sha256 else f"from the first fetch, in {folder / _RECORD}"
        )
        expected = Expected(sha256=sha256, size=file.size, known_from=known_from)
        sha256 = download(
            _address(public_set, file), path, expected, progress=progress, patience=patience
        )
        facts = {"url": file.url, "sha256": sha256, "licence": public_set.licence}
        _write_record(folder, {**record, file.file_name: {**facts, "fetched": _now()}})
    assert sha256 is not None
    return Fetched(
        name=public_set.name if len(public_set.files) == 1 else f"{public_set.name}/{file.part}",
        title=public_set.title,
        licence=public_set.licence,
        source=public_set.source,
        url=file.url,
        path=path,
        sha256=sha256,
        pinned=file.sha256 is not None,
        scored=public_set.scored,
        new=new,
    )


def _address(public_set: PublicSet, file: SetFile) -> str:
    """Return the publisher's URL, or the mirror's if $DOTBOGI_MIRROR names one (a served cache)."""
    mirror = os.environ.get("DOTBOGI_MIRROR")
    return f"{mirror.rstrip('/')}/{public_set.name}/{file.file_name}" if mirror else file.url


def _fetch_from_hub(name: HubName, progress: bool) -> list[Fetched]:
    with _locked(cache_folder() / name.folder_name) as folder:
        record = _read_record(folder)
        new = not record or not all(
            _is_whole(folder / file, entry["sha256"]) for file, entry in record.items()
        )
        if new:
            record = _write_splits(name, folder, progress)
    tables = [
        Fetched(
            name=f"{name.name}/{entry['split']}",
            title=name.repo,
            licence=entry["licence"],
            source=entry["url"],
            url=entry["url"],
            path=folder / file,
            sha256=entry["sha256"],
            pinned=False,
            scored=False,
            new=new,
            revision=entry["revision"],
        )
        for file, entry in record.items()
        if name.split in (None, entry["split"])
    ]
    if not tables:
        splits = ", ".join(entry["split"] for entry in record.values())
        raise UsageError(f"{name.name}: no split {name.split!r}; there are: {splits}.")
    return sorted(tables, key=lambda table: not table.name.endswith("/train"))


def _write_splits(name: HubName, folder: Path, progress: bool) -> dict[str, Any]:
    """Load a set and write each split as a table; record them once all are written."""
    loaded = load_from_hub(name, progress=progress)
    record: dict[str, Any] = {}
    for split, dataset in loaded.splits.items():
        path = folder / f"{split}.parquet"
        part = path.with_name(path.name + ".part")
        try:
            write_table(dataset, part)
            part.replace(path)
        except DotbogiError as error:
            raise DotbogiError(f"{name.name}/{split}: {error}") from error
        finally:
            part.unlink(missing_ok=True)
        record[path.name] = {
            "split": str(split),
            "url": f"https://huggingface.co/datasets/{name.repo}",
            "revision": loaded.revision,
            "licence": loaded.licence,
            "sha256": digest(path),
            "fetched": _now(),
        }
    _write_record(folder, record)
    return record


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Create and lock a set's folder; a second fetch of the set waits for the first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{folder}: cannot be used as a cache ({error.strerror}).") from error
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s: another process is fetching this set; waiting for it", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield folder


def _is_whole(path: Path, sha256: str | None) -> bool:
    if not path.is_file() or sha256 is None:
        return False
    if digest(path) == sha256:
        return True
    logger.warning("%s: its bytes have changed; fetching it again", path)
    path.unlink()
    return False


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {
        name: entry
        for name, entry in record.items()
        if isinstance(entry, dict) and isinstance(entry.get("sha256"), str)
    }


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    temporary = folder / f".{_RECORD}"
    write_json(temporary, record)
    temporary.replace(folder / _RECORD)


def _name_with_parts(public_set: PublicSet) -> str:
    if len(public_set.files) == 1:
        return public_set.name
    return f"{public_set.name}[/{'|'.join(file.part for file in public_set.files)}]"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
