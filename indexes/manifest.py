"""The manifest of a generation: its settings, and the size and digest of each of its files."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from dotbogi.indexes.errors import DamagedError, OldFormatError
from dotbogi.indexes.files import digest_of_json, digest_of_regular, naming, reading
from dotbogi.indexes.holds import Hold
from dotbogi.indexes.json_files import read_object
from dotbogi.indexes.shapes import fits

FORMAT = 5
_NAME = "manifest.json"
_KINDS: Mapping[str, Any] = {
    "created": str, "parent": str | None, "counts": dict[str, int], "dim": int,
    "analyzer_fingerprint": str, "model_fingerprint": str, "vectors_fingerprint": str,
    "weights": str, "confidence": str, "source": dict[str, Any], "index": dict[str, Any],
    "model": dict[str, Any], "encoder": dict[str, Any], "training": dict[str, Any] | None,
    "run": str | None,
}  # fmt: skip
REMEDY = (
    "Publish another generation (dotbogi history rollback), or rebuild "
    "(dotbogi index TABLE --model MODEL)."
)


@dataclass(frozen=True, slots=True)
class Generation:
    """One published state on disk: a folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]
    held: Hold | None = field(default=None, compare=False, repr=False)  # keeps it from removal

    @property
    def name(self) -> str:
        """Its number, in six digits."""
        return self.folder.name


def is_name(name: str) -> bool:
    """Return whether this is a generation's name: a number of six digits or more."""
    return name.isascii() and name.isdecimal() and f"{int(name):06}" == name


def complete_manifest(
    staged: Path, name: str, parent: str | None, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the manifest of a staged generation, with its files and its own digest.

    Raises:
        DamagedError: a link or another thing that is not a regular file is among the files.
    """
    files = {
        file: {"size": _size(staged / file), "sha256": digest_of_regular(staged / file)}
        for file in sorted(_files_in(staged))
    }
    complete = {
        "format": FORMAT,
        "generation": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parent": parent,
        **manifest,
        "files": files,
    }
    return {**complete, "digest": digest_of_json(complete)}


def without_digest(complete: Mapping[str, Any]) -> dict[str, Any]:
    """Return a complete manifest as `read_manifest` returns it once it is written."""
    stored: dict[str, Any] = json.loads(json.dumps(complete))
    del stored["digest"]
    return stored


class Manifest(dict[str, Any]):
    """The entries of a manifest, and those in them; one that is missing raises DamagedError."""

    def __missing__(self, name: str) -> NoReturn:
        raise DamagedError(f"the generation's {_NAME} has no entry {name!r}. {REMEDY}")


def read_manifest(folder: Path) -> Manifest:
    """Return a generation's manifest after checking its digest, its format and its own name.

    Raises:
        DamagedError: it cannot be read, differs from its own digest, belongs to another
            generation, or lists no files or files elsewhere.
        OldFormatError: it is in the format of another version of dotbogi.
    """
    path = folder / _NAME
    try:
        with naming(path):
            stored = read_object(path)
        manifest = Manifest(
            (name, Manifest(entry) if isinstance(entry, dict) and name != "files" else entry)
            for name, entry in stored.items()
        )
        stated = manifest.pop("digest")
    except (DamagedError, KeyError) as error:
        raise DamagedError(f"{path}: cannot be read. {REMEDY}") from error
    if (stated_format := manifest.get("format")) != FORMAT:
        newer = isinstance(stated_format, int) and stated_format > FORMAT
        raise OldFormatError(
            f"{path}: written in format {stated_format!r:.20}; this version reads {FORMAT}. "
            f"{'Update dotbogi, or rebuild' if newer else 'Rebuild'} it: dotbogi index TABLE "
            "--model starter"
        )
    with reading(path):
        is_whole = stated == digest_of_json(manifest)
    if not is_whole:
        raise DamagedError(f"{path}: does not match its own digest. {REMEDY}")
    if manifest.get("generation") != folder.name:
        raise DamagedError(
            f"{folder}: holds generation {manifest.get('generation')} under another name. {REMEDY}"
        )
    _check_list(path, manifest.get("files"))
    for name, kind in _KINDS.items():
        if name in manifest and not fits(manifest[name], kind):
            raise DamagedError(f"{path}: {name} is not what it should be. {REMEDY}")
    return manifest


def _check_list(path: Path, files: Any) -> None:
    """Check that a manifest lists files, all inside the generation's folder."""
    if not isinstance(files, dict) or not files:
        raise DamagedError(f"{path}: lists no files. {REMEDY}")
    for name, expected in files.items():
        parts = PurePosixPath(name).parts
        # The first comparison refuses a//b, ./a and a/, which name a file in a second way.
        is_inside = "/".join(parts) == name and parts and not {"..", "/"} & {*parts, name[:1]}
        if not is_inside or name == _NAME or not name.isprintable():
            raise DamagedError(f"{path}: lists {name!r}, which is no file of its own. {REMEDY}")
        known = isinstance(expected, dict) and set(expected) == {"size", "sha256"}
        if not known or not isinstance(expected["size"], int):
            raise DamagedError(f"{path}: lists {name!r} without size and digest. {REMEDY}")


def check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Check that a generation's folder holds the files of its manifest, as published, and no more.

    Indexes and models are opened by the names in the folder, so a file that is not in the manifest
    could be used without having been checked.

    Raises:
        DamagedError: a file is missing, is not listed, is not a regular file, or has changed.
    """
    files, found = manifest["files"], _files_in(folder)
    for name in sorted({*files} - found):
        raise DamagedError(f"{folder / name}: missing. {REMEDY}")
    for name in sorted(found - {*files, _NAME}):
        raise DamagedError(
            f"{folder / name}: was not published with this generation. Remove it, or rebuild "
            "(dotbogi index TABLE --model MODEL)."
        )
    # All sizes first: reading a file that has grown to gigabytes, or a device, takes long.
    for name, expected in files.items():
        if (size := _size(folder / name)) != expected["size"]:
            raise DamagedError(
                f"{folder / name}: {size} bytes, expected {expected['size']}. {REMEDY}"
            )
    for name, expected in files.items():
        if digest_of_regular(folder / name) != expected["sha256"]:
            raise DamagedError(
                f"{folder / name}: its bytes have changed since it was published. {REMEDY}"
            )


def _files_in(folder: Path) -> set[str]:
    """Return all that is in a folder and its folders, by path; links are not followed."""
    found: set[str] = set()
    for directory, folders, files in os.walk(folder, onerror=_raise):
        inside = Path(directory)
        links = [name for name in folders if (inside / name).is_symlink()]
        found.update((inside / name).relative_to(folder).as_posix() for name in [*files, *links])
    return found


def _raise(error: OSError) -> None:
    raise error


def _size(path: Path) -> int:
    """Return the size of a regular file."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise DamagedError(f"{path}: not a regular file. {REMEDY}")
    return found.st_size
