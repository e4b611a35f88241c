"""Public sets in a cache: brought there by name, checked every time they are used."""

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
from dotbogi.indexes.hub import HubName, load_from_hub, parse_hub_name, write_table
from dotbogi.indexes.public_sets import CATALOGUE, HUB_PREFIX, PublicSet, SetFile, find_set
from dotbogi.indexes.store import digest, write_json

_RECORD = "set.json"  # {file name: what is known of it}, in each set's folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One table of a public set in the cache."""

    name: str  # what `index` and `train` take, such as korsts/test
    title: str
    licence: str
    source: str  # the page of its publisher
    url: str
    path: Path
    sha256: str
    pinned: bool  # the digest is known to dotbogi; else it is that of the first fetch
    scored: bool
    new: bool  # it was not in the cache before
    revision: str = ""  # on the hub


def cache_folder() -> Path:
    """Return the folder that fetched sets are kept in, which need not be there."""
    named = os.environ.get("DOTBOGI_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "dotbogi"


def fetch(
    name: str, *, progress: Progress | None = None, patience: Patience | None = None
) -> list[Fetched]:
    """Bring the tables of a public set into the cache, and return them; the first is its main one.

    What is there already is checked against its digest, and fetched again if it differs.

    Args:
        name: of the catalogue, with or without a part (korsts/test), or hf:OWNER/NAME.
        progress: told how far a file has come.
        patience: time limits and attempts.

    Raises:
        UsageError: there is no such set.
        DotbogiError: it cannot be had; no file of it is in the cache under its name.
        DamagedError: other bytes came than those that the digest is of.
    """
    if name.startswith(HUB_PREFIX):
        return _fetch_from_hub(parse_hub_name(name), progress is not None)
    found = find_set(name)
    if found is None:
        names = ", ".join(
            each.name if len(each.files) == 1 else f"{each.name}[/{'|'.join(_parts(each))}]"
            for each in CATALOGUE.values()
        )
        raise UsageError(f"{name}: no such public set. Expected {names}, or hf:OWNER/NAME.")
    known, files = found
    with _locked(cache_folder() / known.name) as folder:
        return [_fetch_file(known, file, folder, progress, patience) for file in files]


def is_cached(known: PublicSet) -> bool:
    """Return whether all files of a set are in the cache; their bytes are not looked at."""
    folder = cache_folder() / known.name
    return all((folder / file.file_name).is_file() for file in known.files)


def _fetch_file(
    known: PublicSet, file: SetFile, folder: Path, progress: Progress | None,
    patience: Patience | None,
) -> Fetched:  # fmt: skip
    path = folder / file.file_name
    record = _read_record(folder)
    noted = record.get(file.file_name, {})
    first = noted.get("sha256") if noted.get("url") == file.url else None
    sha256 = file.sha256 or first
    new = not _is_whole(path, sha256)
    if new:
        known_from = (
            "pinned in dotbogi" if file.sha256 else f"of the first fetch, {folder / _RECORD}"
        )
        expected = Expected(sha256=sha256, size=file.size, known_from=known_from)
        sha256 = download(
            _address(known, file), path, expected, progress=progress, patience=patience
        )
        noted = {"url": file.url, "sha256": sha256, "licence": known.licence, "fetched": _now()}
        _write_record(folder, {**record, file.file_name: noted})
    assert sha256 is not None
    return Fetched(
        name=known.name if len(known.files) == 1 else f"{known.name}/{file.part}",
        title=known.title,
        licence=known.licence,
        source=known.source,
        url=file.url,
        path=path,
        sha256=sha256,
        pinned=file.sha256 is not None,
        scored=known.scored,
        new=new,
    )


def _address(known: PublicSet, file: SetFile) -> str:
    """Return where to fetch from: the publisher, or a served copy of a cache folder."""
    mirror = os.environ.get("DOTBOGI_MIRROR")
    return f"{mirror.rstrip('/')}/{known.name}/{file.file_name}" if mirror else file.url


def _fetch_from_hub(name: HubName, progress: bool) -> list[Fetched]:
    with _locked(cache_folder() / name.folder_name) as folder:
        record = _read_record(folder)
        new = not record or not all(
            _is_whole(folder / file, noted["sha256"]) for file, noted in record.items()
        )
        if new:
            record = _write_splits(name, folder, progress)
    tables = [
        Fetched(
            name=f"{name.name}/{noted['split']}",
            title=name.repo,
            licence=noted["licence"],
            source=noted["url"],
            url=noted["url"],
            path=folder / file,
            sha256=noted["sha256"],
            pinned=False,
            scored=False,
            new=new,
            revision=noted["revision"],
        )
        for file, noted in record.items()
        if name.split in (None, noted["split"])
    ]
    if not tables:
        splits = ", ".join(noted["split"] for noted in record.values())
        raise UsageError(f"{name.name}: no split {name.split!r}; there are: {splits}.")
    return sorted(tables, key=lambda table: not table.name.endswith("/train"))


def _write_splits(name: HubName, folder: Path, progress: bool) -> dict[str, Any]:
    """Load a set and write each split as a table; the record names them when all are there."""
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
    """Hold a set's folder, which is created; a second fetch of the set waits for the first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{folder}: cannot be a cache ({error.strerror}).") from error
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
    logger.warning("%s: its bytes have changed; it is fetched again", path)
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
        name: noted
        for name, noted in record.items()
        if isinstance(noted, dict) and isinstance(noted.get("sha256"), str)
    }


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    temporary = folder / f".{_RECORD}"
    write_json(temporary, record)
    temporary.replace(folder / _RECORD)


def _parts(known: PublicSet) -> list[str]:
    return [file.part for file in known.files]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
