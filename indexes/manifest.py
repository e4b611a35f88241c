"""The manifest of a generation: its settings, and the size and digest of each of its files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, OldFormatError
from dotbogi.indexes.files import digest_of_regular

FORMAT = 5
REMEDY = (
    "Publish another generation (dotbogi history rollback), or rebuild "
    "(dotbogi index TABLE --model MODEL)."
)


@dataclass(frozen=True, slots=True)
class Generation:
    """One published state on disk: a folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its number, in six digits."""
        return self.folder.name


def complete_manifest(
    staged: Path, name: str, parent: str | None, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the manifest of a staged generation, with its files and its own digest."""
    files = {
        str(path.relative_to(staged)): {
            "size": path.stat().st_size,
            "sha256": digest_of_regular(path),
        }
        for path in sorted(staged.rglob("*"))
        if not path.is_dir()
    }
    complete = {
        "format": FORMAT,
        "generation": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parent": parent,
        **manifest,
        "files": files,
    }
    return {**complete, "digest": _digest_of(complete)}


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
        raise DamagedError(f"{path}: cannot be read. {REMEDY}") from error
    if manifest.get("format") != FORMAT:
        raise OldFormatError(
            f"{path}: written in format {manifest.get('format')}; this version reads {FORMAT}. "
            "Rebuild it: dotbogi index TABLE --model starter"
        )
    if stated != _digest_of(manifest):
        raise DamagedError(f"{path}: does not match its own digest. {REMEDY}")
    return dict(manifest)


def check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Check the size and the digest of each file of a generation.

    Raises:
        DamagedError: a file is missing or differs from the manifest.
    """
    for name, expected in manifest["files"].items():
        _check_file(folder / name, expected)


def _check_file(path: Path, expected: Mapping[str, Any]) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DamagedError(f"{path}: missing. {REMEDY}") from error
    if size != expected["size"]:
        raise DamagedError(f"{path}: {size} bytes, expected {expected['size']}. {REMEDY}")
    if digest_of_regular(path) != expected["sha256"]:
        raise DamagedError(f"{path}: its bytes have changed since it was published. {REMEDY}")


def _digest_of(manifest: Mapping[str, Any]) -> str:
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
