"""Before a generation is published, it is opened and compared with what was built."""

from dotbogi.indexes.arrays import read_header
from dotbogi.indexes.errors import DamagedError
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
        read_header(path)  # libraries write some of them
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
