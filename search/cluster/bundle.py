"""A folder of files as bytes, for machines that share no disk."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.files import open_regular


@dataclass(frozen=True, slots=True)
class Bundle:
    """The regular files of a folder: bytes by relative path."""

    files: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, parts: Sequence[str] = ("",)) -> "Bundle":
        """Read a folder, or only these parts of it; a part that does not exist is left out."""
        files: dict[str, Any] = {}
        for part in parts:
            for path in sorted((folder / part).rglob("*")):
                if path.is_file():
                    with open_regular(path) as file:
                        files[str(path.relative_to(folder))] = file.read()
        return cls(files)

    def unpack(self) -> tempfile.TemporaryDirectory[str]:
        """Write the files into a temporary folder, which goes with the object returned."""
        folder = tempfile.TemporaryDirectory(prefix="dotbogi-")
        for name, data in self.files.items():
            path = Path(folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder
