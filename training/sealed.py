"""Files that are on the disk for certain, with digests that tell whether they are still whole."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import digest_of_regular, sync, sync_tree, write_json

Files = Mapping[str, str]  # path inside a folder → SHA-256


def put_on_disk(folder: Path, made: Iterable[Path]) -> Files:
    """Put files, and folders with all that is in them, on the disk; return their digests.

    Args:
        folder: what the paths of the result start from.
        made: files and folders inside it.
    """
    files: dict[str, str] = {}
    for path in made:
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file():
                files[each.relative_to(folder).as_posix()] = digest_of_regular(each)
        sync_tree(path)
        for parent in path.relative_to(folder).parents:
            sync(folder / parent)
    return files


def damaged(folder: Path, files: Files) -> list[Path]:
    """Return those files that are missing, or that are not as they were put on the disk."""
    return [folder / name for name, expected in files.items() if not _is(folder / name, expected)]


def _is(path: Path, expected: str) -> bool:
    try:
        return digest_of_regular(path) == expected
    except (FileNotFoundError, NotADirectoryError, DamagedError):
        return False


def seal(path: Path, *made: Path) -> None:
    """Put files and folders on the disk, and then a file that says that they are whole."""
    write_json(path, put_on_disk(path.parent, made))
    sync(path.parent)


def is_sealed(path: Path) -> bool:
    """Return whether `seal` has written this file, and all that it lists is still whole."""
    try:
        files = json.loads(path.read_text(encoding="utf-8"))
        return bool(files) and not damaged(path.parent, files)
    except (FileNotFoundError, NotADirectoryError, ValueError, AttributeError):
        return False
