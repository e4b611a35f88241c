"""Generations on disk: written to a staging folder, published by a rename, never changed."""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import (
    DamagedError,
    LockedError,
    NoSpaceError,
    NothingIndexedError,
    OldFormatError,
    UsageError,
    is_disk_full,
)

FORMAT = 5
_STAGING = ".staging"
_LOCK = ".dotbogi-lock"  # also marks a folder as a workspace
_REMEDY = (
    "Publish another generation (dotbogi history rollback), or rebuild "
    "(dotbogi index TABLE --model MODEL)."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """One published state on disk: a folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its number, in six digits."""
        return self.folder.name


class Workspace:
    """The folder that holds one collection: its generations, rounds and caches."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.generations_folder = self.folder / "generations"
        self.rounds_folder = self.folder / "rounds"
        self.cache_folder = self.folder / "cache"

    def current_name(self) -> str | None:
        """Return the name of the published generation, or None before the first `index`.

        Raises:
            UsageError: the folder is not a workspace.
            DamagedError: CURRENT does not name a generation.
        """
        path = self.folder / "CURRENT"
        try:
            name = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{self.folder}: not a workspace ({error.strerror}).") from error
        except UnicodeDecodeError:
            name = ""
        if not name.isdecimal():
            raise DamagedError(f"{path}: does not name a generation. {_REMEDY}")
        return name

    def current(self) -> Generation:
        """Return the published generation after checking its files.

        Raises:
            NothingIndexedError: nothing has been indexed yet.
            DamagedError: a file is missing or differs from the manifest.
        """
        name = self.current_name()
        if name is None:
            raise NothingIndexedError(
                f"{self.folder}: nothing is indexed here yet. Run: dotbogi index TABLE "
                f"--workspace {self.folder}"
            )
        if name not in self.names():
            raise DamagedError(f"{self.folder}: published generation {name} is missing. {_REMEDY}")
        return self.generation(name)

    def generation(self, name: str) -> Generation:
        """Return one generation after checking the sizes and digests of all its files.

        Raises:
            UsageError: there is no such generation.
            DamagedError: a file is missing or differs from the manifest.
        """
        folder = self.generations_folder / name
        if name not in self.names():
            raise UsageError(
                f"{self.folder}: no generation {name!r}; there are: "
                f"{', '.join(self.names()) or 'none'}."
            )
        manifest = read_manifest(folder)
        for file, expected in manifest["files"].items():
            _check_file(folder / file, expected)
        return Generation(folder, manifest)

    def names(self) -> list[str]:
        """Return the names of all generations, oldest first."""
        if not self.generations_folder.is_dir():
            return []
        return sorted(p.name for p in self.generations_folder.iterdir() if p.name.isdecimal())

    def manifests(self) -> dict[str, dict[str, Any] | None]:
        """Return the manifest of every generation by name, oldest first; None if it is damaged."""
        manifests: dict[str, dict[str, Any] | None] = {}
        for name in self.names():
            try:
                manifests[name] = read_manifest(self.generations_folder / name)
            except DamagedError:
                manifests[name] = None
        return manifests

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the workspace's writer lock; remove what a killed writer left behind.

        Raises:
            LockedError: another process holds the lock.
            UsageError: the folder cannot be created, or holds something else.
        """
        path = self.folder / _LOCK
        if self.folder.is_dir() and not path.exists() and any(self.folder.iterdir()):
            raise UsageError(
                f"{self.folder}: not empty, and not a workspace. Name an empty or new folder "
                "with --workspace."
            )
        new = _make_folders(self.folder)
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise LockedError(
                    f"{self.folder}: process {holder} is writing to this workspace. "
                    "Wait for it to end, or use another --workspace."
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            shutil.rmtree(self.generations_folder / _STAGING, ignore_errors=True)
            try:
                yield
            finally:
                file.truncate(0)
                if not self.names() and not self.rounds_folder.exists():
                    self._remove_new(new)

    def _remove_new(self, new: list[Path]) -> None:
        """Remove what a failed first command created, and nothing else."""
        for folder in (self.generations_folder, self.cache_folder):
            shutil.rmtree(folder, ignore_errors=True)
        (self.folder / _LOCK).unlink()
        with contextlib.suppress(OSError):  # another process put something there
            for folder in new:
                folder.rmdir()

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a folder to write a generation into; it is deleted afterwards unless published.

        Raises:
            NoSpaceError: the disk is full.
        """
        folder = self.generations_folder / _STAGING
        folder.mkdir(parents=True)
        try:
            yield folder
        except Exception as error:
            if is_disk_full(error):
                raise NoSpaceError(
                    f"{self.folder}: the disk is full; nothing was published. Free some space."
                ) from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staged: Path, manifest: Mapping[str, Any]) -> Generation:
        """Make the staged folder the next generation and name it in CURRENT.

        Everything is on disk before the rename, and CURRENT changes last. If the process is killed
        at any point, either the old or the new generation is published, and it is complete.
        """
        names = self.names()
        name = f"{int(names[-1]) + 1 if names else 1:06}"
        files = {
            str(path.relative_to(staged)): {"size": path.stat().st_size, "sha256": digest(path)}
            for path in sorted(staged.rglob("*"))
            if path.is_file()
        }
        try:
            parent = self.current_name()
        except DamagedError:
            parent = None
        complete = {
            "format": FORMAT,
            "generation": name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "parent": parent,
            **manifest,
            "files": files,
        }
        write_json(staged / "manifest.json", {**complete, "digest": _digest_of(complete)})
        for path in [*staged.rglob("*"), staged]:
            _sync(path)
        folder = self.generations_folder / name
        staged.rename(folder)
        _sync(self.generations_folder)
        self._set_current(name)
        return Generation(folder, read_manifest(folder))

    def roll_back(self, name: str | None = None) -> Generation:
        """Publish an older generation again: the named one, or the last intact one.

        Raises:
            UsageError: there is no such generation.
            DamagedError: the named generation is damaged.
        """
        generation = self.generation(name) if name else self._one_before()
        self._set_current(generation.name)
        return generation

    def _one_before(self) -> Generation:
        try:
            current = self.current_name() or ""
        except DamagedError:
            current = "~"  # sorts after every number
        older = [name for name in self.names() if name < current]
        with contextlib.suppress(DamagedError):
            parent = read_manifest(self.generations_folder / current)["parent"]
            if parent in older:
                older.append(parent)  # tried first: after a rollback, it is not the previous number
        for name in reversed(older):
            with contextlib.suppress(DamagedError):
                return self.generation(name)
        raise UsageError(f"{self.folder}: no intact generation before {current or 'the first'}.")

    def _set_current(self, name: str) -> None:
        temporary = self.folder / ".CURRENT"
        temporary.write_text(name + "\n", encoding="utf-8")
        _sync(temporary)
        temporary.replace(self.folder / "CURRENT")
        _sync(self.folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a generation's manifest after checking its digest and format version.

    Raises:
        DamagedError: it cannot be read or differs from its own digest.
        OldFormatError: it is in the format of another version of dotbogi.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        stated = manifest.pop("digest")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DamagedError(f"{path}: cannot be read. {_REMEDY}") from error
    if manifest.get("format") != FORMAT:
        raise OldFormatError(
            f"{path}: written in format {manifest.get('format')}; this version reads {FORMAT}. "
            "Rebuild it: dotbogi index TABLE --model starter"
        )
    if stated != _digest_of(manifest):
        raise DamagedError(f"{path}: does not match its own digest. {_REMEDY}")
    return dict(manifest)


def _check_file(path: Path, expected: Mapping[str, Any]) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DamagedError(f"{path}: missing. {_REMEDY}") from error
    if size != expected["size"]:
        raise DamagedError(f"{path}: {size} bytes, expected {expected['size']}. {_REMEDY}")
    if digest(path) != expected["sha256"]:
        raise DamagedError(f"{path}: its bytes have changed since it was published. {_REMEDY}")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON in UTF-8."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _digest_of(manifest: Mapping[str, Any]) -> str:
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folders(folder: Path) -> list[Path]:
    """Create a folder with its parents; return the new ones, deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be used as a workspace ({error.strerror}).") from error
    return missing
