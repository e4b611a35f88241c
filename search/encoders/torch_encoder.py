"""The encoder for models without a graph: sentence-transformers itself."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.system_errors import explained
from dotbogi.search.encoders.encoder import unit_rows
from dotbogi.search.encoders.foreign import check_model_folder
from dotbogi.search.encoders.onnx_encoder import TEXTS_AT_ONCE, EncoderFacts, bar_of


class TorchEncoder:
    """Texts → unit vectors with sentence-transformers."""

    def __init__(self, model: Path, facts: EncoderFacts, *, progress: bool = False) -> None:
        self._folder = model
        self.model = load_sentence_transformer(model)
        self.facts, self._progress = facts, progress

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.facts.dim

    @property
    def fingerprint(self) -> str:
        """Digest of weights, tokenizer, prompts, pooling and normalisation."""
        return self.facts.fingerprint

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt."""
        return self._encode(self.model.encode_query, texts)

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""
        return self._encode(self.model.encode_document, texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return the number of tokens that the model reads in these texts, prompts excluded."""
        # This uses the fast tokenizer directly: the library's own call would change its settings
        # while another thread encodes.
        tokenizer = self.model.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        return sum(sum(encoding.attention_mask) for encoding in backend.encode_batch(list(texts)))

    def _encode(self, encode: Any, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        with bar_of(len(texts), self._progress) as bar:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                part = list(texts[start : start + TEXTS_AT_ONCE])
                vectors[start : start + len(part)] = encode(
                    part, show_progress_bar=False, batch_size=64
                )
                bar.update(len(part), current_item=start + len(part))
        if not np.isfinite(vectors).all():
            raise DamagedError(f"{self._folder}: the model gives vectors that are not numbers.")
        return unit_rows(vectors)


def load_sentence_transformer(folder: Path) -> Any:
    """Load a folder with sentence-transformers, after checking that it is nothing but data.

    Raises:
        DamagedError: a file cannot be read.
        DotbogiError: the model asks for code, for other files, or for too much memory, or cannot
            be loaded.
    """
    check_model_folder(folder)
    from sentence_transformers import SentenceTransformer

    with loading(folder):
        return SentenceTransformer(str(folder), trust_remote_code=False, local_files_only=True)


@contextlib.contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Turn whatever the libraries of a model raise into one line; there are many of them."""
    try:
        yield
    except DotbogiError:
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0][:200]
        raise explained(error) or DotbogiError(
            f"{folder}: cannot be loaded as a model ({type(error).__name__}: {line})."
        ) from error
