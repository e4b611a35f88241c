"""Before a generation is published, it is opened and compared with what was built."""

import json
from pathlib import Path

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import open_regular, reading
from dotbogi.indexes.manifest import Generation
from dotbogi.search.index import SearchIndex, open_index


def check_staged(generation: Generation, built: SearchIndex) -> None:
    """Open a staged generation as a search would, and compare it with the index in memory.

    The encoder is not opened again: `built` has encoded the collection with the staged one.

    Raises:
        DamagedError: a file cannot be read, or says something else than what was built.
    """
    folder = generation.folder
    for path in sorted(folder.rglob("*.safetensors")):
        _check_length(path)
    opened = open_index(generation, built.encoder)
    fingerprint = built.encoder.fingerprint
    same = {
        "answers.parquet": opened.collection.answers == built.collection.answers,
        "questions.parquet": opened.collection.questions == built.collection.questions,
        "removed_answers.parquet": opened.collection.removed == built.collection.removed,
        "trained.json": opened.trained_on == built.trained_on,
        "fusion.json": opened.fitted.weights == built.fitted.weights,
        "calibration.json": opened.fitted.calibration == built.fitted.calibration,
        "geometry.safetensors": opened.geometry.fingerprint(fingerprint)
        == built.geometry.fingerprint(fingerprint),
    }
    for name, is_same in same.items():
        if not is_same:
            raise DamagedError(
                f"{folder / name}: does not say what was written; nothing was published. "
                "Check the disk, and run the command again."
            )


def _check_length(path: Path) -> None:
    """Check that a safetensors file is as long as its own header says: libraries write some."""
    with open_regular(path) as file, reading(path):
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
        if path.stat().st_size != 8 + length + max(ends, default=0):
            raise ValueError("cut short")
