"""Generations on disk: written to a staging folder, published by a rename, never changed."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import (
    DamagedError,
    DotbogiError,
    NothingIndexedError,
    UsageError,
)
from dotbogi.indexes.files import (
    listed,
    naming,
    open_regular,
    remove,
    replace_file,
    sync,
    sync_tree,
    write_json,
)
from dotbogi.indexes.holds import REMOVING, hold, remove_unless_held
from dotbogi.indexes.manifest import (
    REMEDY,
    Generation,
    check_files,
    complete_manifest,
    is_name,
    read_manifest,
    without_digest,
)
from dotbogi.indexes.system_errors import explained, for_user
from dotbogi.indexes.writer_lock import LOCK, writer_lock

__all__ = ["Generation", "Workspace", "read_manifest"]

_LONGEST = 40  # bytes of CURRENT
_STAGING = ".staging"
_PUBLISHING = ".publishing"  # the name of the generation that is being published


class Workspace:
    """The folder that holds one collection: its generations, rounds and caches."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.generations_folder = self.folder / "generations"
        self.rounds_folder = self.folder / "rounds"
        self.cache_folder = self.folder / "cache"
        self.blocks_folder = self.cache_folder / "blocks"  # of work on a cluster, until published

    def check_folders(self) -> None:
        """Check that no folder of the workspace is a link: what is written would land elsewhere.

        Raises:
            DamagedError: one is.
        """
        for folder in (self.generations_folder, self.rounds_folder):
            if folder.is_symlink():
                raise DamagedError(f"{folder}: a link. Put the folder itself there.")

    def current_name(self) -> str | None:
        """Return the name of the published generation, or None before the first `index`.

        Raises:
            UsageError: the folder is not a workspace.
            DamagedError: CURRENT does not name a generation, or is missing though there are some.
        """
        self.check_folders()
        path = self.folder / "CURRENT"
        try:
            with naming(path), open_regular(path) as file:
                names = file.read(_LONGEST + 1).decode().split()
        except FileNotFoundError as error:
            # The first generation is in its place for a moment before CURRENT names it.
            if self.names() and not (self.generations_folder / _PUBLISHING).exists():
                raise DamagedError(f"{path}: missing. {REMEDY}") from error
            return None
        except OSError as error:
            if explained(error):
                raise
            raise UsageError(f"{self.folder}: not a workspace ({error.strerror}).") from error
        except UnicodeDecodeError:
            names = []
        # The name is there twice, so that a damaged one is not that of another generation.
        if len(set(names)) != 1 or len(names) > 2 or not is_name(name := names[0]):
            raise DamagedError(f"{path}: does not name a generation. {REMEDY}")
        return name

    def current(self) -> Generation:
        """Return the published generation after checking its files.

        Raises:
            NothingIndexedError: nothing has been indexed yet.
            DamagedError: a file is missing or differs from the manifest.
        """
        while (name := self.current_name()) is not None:
            try:
                if name not in self.names():
                    raise DamagedError(
                        f"{self.folder / 'CURRENT'}: published generation {name} is missing. "
                        f"{REMEDY}"
                    )
                return self.generation(name)
            except DotbogiError:
                # It may have been removed since CURRENT was read; then another one is published.
                if self._name_in_current() == name:
                    raise
        raise NothingIndexedError(
            f"{self.folder}: nothing is indexed here yet. Run: dotbogi index TABLE "
            f"--workspace {self.folder}"
        )

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
        held = hold(folder)
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        return Generation(folder, manifest, held)

    def names(self) -> list[str]:
        """Return the names of all generations, oldest first."""
        return sorted(p.name for p in self._numbered() if p.is_dir() and not p.is_symlink())

    def _numbered(self) -> list[Path]:
        if self.generations_folder.is_symlink() or not self.generations_folder.is_dir():
            return []
        return [path for path in self.generations_folder.iterdir() if is_name(path.name)]

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
            DotbogiError: an error of the system; see `system_errors`.
        """
        self.check_folders()
        with _told(self.folder), writer_lock(self.folder) as new:
            try:
                for folder in new:
                    with contextlib.suppress(PermissionError):  # others may own what is around it
                        sync(folder.parent)
                sync(self.folder)  # the lock comes first: it marks what else is there as ours
                self._clear()
                yield
            finally:
                with contextlib.suppress(OSError):  # what was done is done, or its error is raised
                    if not self.names() and not self.rounds_folder.exists():
                        self._remove_new(new)

    def _clear(self) -> None:
        """Remove what a killed writer left: parts of a generation, or one that was never named.

        While a generation is published, `_PUBLISHING` has its name. If CURRENT has another one,
        the writer was killed before it could name the new generation there.
        """
        remove(self.generations_folder / _STAGING)
        for path in listed(self.generations_folder):
            if path.name.startswith(REMOVING):
                remove(path)
        marker = self.generations_folder / _PUBLISHING
        with contextlib.suppress(FileNotFoundError, DamagedError):  # CURRENT may be damaged
            with naming(marker), open_regular(marker) as file:
                name = file.read(_LONGEST).decode("ascii", "replace")
            orphan = self.generations_folder / name
            is_orphan = self.current_name() != name and name in self.names()
            if not is_orphan or remove_unless_held(orphan):
                remove(marker)

    def prune(self, keep: int) -> tuple[list[str], list[str]]:
        """Remove old generations; return the names of those removed and of those still open.

        The newest `keep` stay, and so do the published one and any that is open in a process.
        The caller holds the writer lock.

        Raises:
            DamagedError: CURRENT does not name a generation.
        """
        current, names = self.current_name(), self.names()
        old = [name for name in names[: max(len(names) - keep, 0)] if name != current]
        removed = [name for name in old if remove_unless_held(self.generations_folder / name)]
        return removed, [name for name in old if name not in removed]

    def _remove_new(self, new: list[Path]) -> None:
        """Remove what a failed first command created, and nothing else."""
        for folder in (self.generations_folder, self.cache_folder):
            shutil.rmtree(folder, ignore_errors=True)
        (self.folder / LOCK).unlink()
        with contextlib.suppress(OSError):  # another process put something there
            for folder in new:
                folder.rmdir()

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a folder to write a generation into; it is deleted afterwards unless published.

        Raises:
            NoSpaceError: the disk is full.
            DotbogiError: another error of the system; see `system_errors`.
        """
        folder = self.generations_folder / _STAGING
        folder.mkdir(parents=True)
        try:
            with _told(self.folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self, staged: Path, manifest: Mapping[str, Any], check: Callable[[Generation], None]
    ) -> Generation:
        """Make the staged folder the next generation and name it in CURRENT.

        Everything is on disk before the rename, and CURRENT changes last. If the process is killed
        at any point, either the old or the new generation is published, and it is complete. After
        any error, it is the old one.

        Args:
            staged: the folder that `staging` yielded, with all files but the manifest.
            manifest: what it says besides the entries that every manifest has.
            check: opens the staged generation as a search would, and raises an error if it is not
                what it should be.
        """
        name = f"{max((int(path.name) for path in self._numbered()), default=0) + 1:06}"
        before = self._name_in_current()
        complete = complete_manifest(staged, name, before, manifest)
        write_json(staged / "manifest.json", complete)
        sync_tree(staged)
        check_files(staged, complete)
        check(Generation(staged, complete))
        folder = self.generations_folder / name
        # Held before it is published: nothing may fail afterwards.
        published = Generation(folder, without_digest(complete), hold(staged))
        try:
            sync(self.folder)  # it has the name of a new `generations`
            replace_file(self.generations_folder / _PUBLISHING, name.encode())
            sync(self.generations_folder)
            staged.rename(folder)
            sync(self.generations_folder)
            self._set_current(name)
        except BaseException:
            self._take_back(name, before)
            raise
        return published

    def _take_back(self, name: str, before: str | None) -> None:
        """Undo a publication that could not be put on the disk to the end.

        If that fails too, the new generation stays published, and it is whole.
        """
        with contextlib.suppress(OSError, DamagedError):
            if self._name_in_current() == name:
                if before is None:
                    (self.folder / "CURRENT").unlink()
                else:
                    self._write_current(before)
            remove(self.generations_folder / name)
            remove(self.generations_folder / _PUBLISHING)

    def _name_in_current(self) -> str | None:
        try:
            return self.current_name()
        except DamagedError:
            return None

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
        self._write_current(name)
        sync(self.folder)

    def _write_current(self, name: str) -> None:
        replace_file(self.folder / "CURRENT", f"{name}\n{name}\n".encode())
        remove(self.generations_folder / _PUBLISHING)


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Raise an error of the system as one line for users, about a folder if it names no file."""
    try:
        yield
    except Exception as error:
        shown = for_user(error, folder)
        if shown and shown is not error:
            raise shown from error
        raise
