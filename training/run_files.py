"""The digests of a run's files, which its ledger records: a file that has changed is not used."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import digest_of_regular, sync, tree

REMEDY = "Start another run: dotbogi train"
LEDGER, HEAD = "ledger.jsonl", "ledger.head"

# For people: they fill in the list, and `dotbogi report` writes the pages again at any time.
_FREE = {LEDGER, HEAD, "review.csv", "report.html", "report.md"}
# Left out with all that is in them: what a fit writes and deletes while it goes on.
_PASSING = ("checkpoints", "tensorboard")

_Seen = tuple[int, int, int]  # inode, size and time of change


class RunFiles:
    """Finds the files that a step has written: those that were not there, or have changed."""

    def __init__(self, folder: Path, recorded: Mapping[str, str]) -> None:
        """Start from what the ledger has; a file that is not in it is new."""
        self._folder, self._digests = folder, dict(recorded)
        self._seen: dict[str, _Seen] = {}

    def new(self) -> dict[str, str]:
        """Put the files that were written since the call before on the disk; return their digests.

        Returns:
            Digests by path.
        """
        found: dict[str, str] = {}
        for name in files_of(self._folder):
            status = (self._folder / name).stat()
            seen = status.st_ino, status.st_size, status.st_mtime_ns
            if self._seen.get(name) != seen:
                self._seen[name] = seen
                digest = digest_of_regular(self._folder / name)
                if self._digests.get(name) != digest:
                    sync(self._folder / name)
                    self._digests[name] = found[name] = digest
        for folder in {parent for name in found for parent in Path(name).parents}:
            sync(self._folder / folder)
        return found


def files_of(folder: Path) -> Iterator[str]:
    """Yield the paths, relative to a folder, of its files that are recorded, in order."""
    for path in tree(folder):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") or part in _PASSING for part in name.parts)
        if not hidden and str(name) not in _FREE and path.is_file():
            yield name.as_posix()


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of each file in a folder by its path, for `check_files`."""
    return {name: digest_of_regular(folder / name) for name in files_of(folder)}


def check_files(
    folder: Path, recorded: Mapping[str, str], *, models: bool = True, remedy: str = REMEDY
) -> None:
    """Check that files are as they were recorded.

    Args:
        folder: of a run, or any other.
        recorded: digests by path.
        models: also the working models of a run, which are deleted when it ends.
        remedy: what the user can do, as a sentence.

    Raises:
        DamagedError: a file is missing or has changed; the first one is named.
    """
    for path, what in changed_files(folder, recorded, models=models):
        raise DamagedError(f"{path}: {what}. {remedy}")


def changed_files(
    folder: Path, recorded: Mapping[str, str], *, models: bool = True
) -> Iterator[tuple[Path, str]]:
    """Yield the files that are not as they were recorded, and what is wrong; see `check_files`."""
    for name, expected in recorded.items():
        path = folder / name
        if not models and name.split("/")[0].startswith(("base", "guide", "round-")):
            continue
        try:
            if digest_of_regular(path) != expected:
                yield path, "its bytes have changed since the run wrote it"
        except (FileNotFoundError, NotADirectoryError):
            yield path, "missing"
        except DamagedError:
            yield path, "not a regular file"
