"""Encoders: texts → unit vectors."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexes.dense import Vectors
from indexes.errors import DamagedError, DotbogiError
from search.static import PieceTable, open_table

_CHUNK = 1024  # texts whose token vectors are gathered at once

MODULE_PREFIX = "sentence_transformers."
UNTRAINED_MARK = "dotbogi_untrained"  # in config_sentence_transformers.json; a fit's save drops it


class Encoder(Protocol):
    """What turns texts into vectors; equal fingerprints mean equal vectors."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def fingerprint(self) -> str:
        """Digest over weights, tokenizer, prompts, pooling and normalisation."""

    @property
    def trained(self) -> bool:
        """False for a scratch model before its first fit."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt; a text without tokens is zeros."""

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the model reads of the texts, without a prompt."""


def open_encoder(folder: Path, *, progress: bool = False) -> Encoder:
    """Load a sentence-transformers folder; a static-embedding model without importing torch.

    Raises:
        DamagedError: the folder is not a sentence-transformers folder, or lacks its weights.
        DotbogiError: it asks for code of its own, which is never run.
    """
    modules = read_modules(folder)
    if is_static(modules):
        return StaticEncoder(folder)
    return TransformerEncoder(folder, progress=progress)


def read_modules(folder: Path) -> list[Mapping[str, Any]]:
    """Return modules.json of a model folder, all of its types known to be the library's."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        types = [module["type"] for module in modules]
        paths = [folder / module["path"] for module in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{folder}: modules.json cannot be read.") from error
    foreign = [name for name in types if not str(name).startswith(MODULE_PREFIX)]
    if foreign:
        raise DotbogiError(
            f"{folder}: the model has a module {foreign[0]!r} with code of its own, which is never "
            f"run. Expected modules of {MODULE_PREFIX.rstrip('.')} only."
        )
    if any(not path.resolve().is_relative_to(folder.resolve()) for path in paths):
        raise DotbogiError(f"{folder}: modules.json names a folder outside of the model.")
    return list(modules)


def is_static(modules: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the model is one StaticEmbedding module, with or without Normalize."""
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    return kinds[:1] == ["StaticEmbedding"] and kinds[1:] in ([], ["Normalize"])


def is_untrained(folder: Path) -> bool:
    """Return whether a model folder holds a scratch model before its first fit."""
    return bool(_settings(folder).get(UNTRAINED_MARK, False))


def prompts_of(folder: Path) -> tuple[str, str]:
    """Return the query and the answer prompt stored with a model; empty where there is none."""
    prompts = _settings(folder).get("prompts") or {}
    # The names that sentence-transformers' encode_query and encode_document look for.
    answer = next((prompts[n] for n in ("document", "passage", "corpus") if prompts.get(n)), "")
    return prompts.get("query") or "", answer


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "config_sentence_transformers.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DamagedError(f"{path}: cannot be read.") from error


class StaticEncoder:
    """Mean of token vectors, by numpy: equal to sentence-transformers' StaticEmbedding to 1e-5."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        inside = folder / read_modules(folder)[0]["path"]
        self._table = open_table(inside)
        try:
            self._tokenizer = Tokenizer.from_file(str(inside / "tokenizer.json"))
        except Exception as error:  # tokenizers raises no narrower class
            raise DamagedError(f"{inside / 'tokenizer.json'}: cannot be read.") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._prompts = prompts_of(folder)
        self.trained = not is_untrained(folder)
        self._fingerprint = ""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._table.rows.shape[1])

    @property
    def fingerprint(self) -> str:
        """Digest over weights, tokenizer and prompts."""
        # No cached_property: its lock, held by another thread during a fork, would stay held.
        if not self._fingerprint:
            weights = self._table.take(np.arange(len(self._table.rows)))
            self._fingerprint = fingerprint(
                {"embedding.weight": weights}, self._tokenizer.to_str(), self._prompts, "static"
            )
        return self._fingerprint

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt."""
        return self._encode(self._prompts[0], texts)

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""
        return self._encode(self._prompts[1], texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the model reads of the texts, without a prompt."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return sum(len(encoding.ids) for encoding in encodings)

    def query_pieces(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the numbers of the different pieces of each query, in the order of the text."""
        return self._pieces(self._prompts[0], texts)

    def answer_pieces(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the numbers of the different pieces of each answer, in the order of the text."""
        return self._pieces(self._prompts[1], texts)

    def piece_vectors(self, pieces: NDArray[np.int64]) -> Vectors:
        """Return pieces × dim rows, as long as training made them."""
        return self._table.take(pieces)

    def _pieces(self, prompt: str, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        encodings = self._tokenizer.encode_batch_fast(
            [prompt + text for text in texts], add_special_tokens=False
        )
        return [np.asarray(list(dict.fromkeys(e.ids)), np.int64) for e in encodings]

    def _encode(self, prompt: str, texts: Sequence[str]) -> Vectors:
        return encode_static(self._tokenizer, self._table, [prompt + text for text in texts])


def encode_static(tokenizer: Any, table: PieceTable, texts: Sequence[str]) -> Vectors:
    """Return texts × dim unit rows: means of the token vectors; a text without tokens is zeros."""
    vectors = np.zeros((len(texts), table.rows.shape[1]), np.float32)
    for start in range(0, len(texts), _CHUNK):
        part = slice(start, start + _CHUNK)
        vectors[part] = _sums_of_tokens(tokenizer, table, texts[part])
    return unit_rows(vectors)  # the sum and the mean of the tokens point the same way


def _sums_of_tokens(tokenizer: Any, table: PieceTable, texts: Sequence[str]) -> Vectors:
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    vectors = np.zeros((len(texts), table.rows.shape[1]), np.float32)
    lengths = np.asarray([len(encoding.ids) for encoding in encodings], np.int64)
    filled = lengths > 0  # reduceat has no empty segments
    if filled.any():
        ids = np.concatenate([encoding.ids for encoding in encodings if encoding.ids])
        starts = np.concatenate([[0], np.cumsum(lengths[filled])[:-1]])
        vectors[filled] = np.add.reduceat(table.take(ids.astype(np.int64)), starts, axis=0)
    return vectors


class TransformerEncoder:
    """Any other sentence-transformers model, by that library."""

    trained = True

    def __init__(self, folder: Path, *, progress: bool = False) -> None:
        self.model = load_sentence_transformer(folder)
        self._progress = progress
        self._fingerprint = fingerprint_of_model(self.model)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        dim = self.model.get_embedding_dimension()
        assert isinstance(dim, int)
        return dim

    @property
    def fingerprint(self) -> str:
        """Digest over weights, tokenizer, prompts, pooling and normalisation."""
        return self._fingerprint

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt."""
        return self._encode(self.model.encode_query, texts)

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""
        return self._encode(self.model.encode_document, texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the model reads of the texts, without a prompt."""
        # By the fast tokenizer as it is set: the library's own call would set it anew, which must
        # not happen while another thread encodes.
        encodings = self.model.tokenizer.backend_tokenizer.encode_batch(list(texts))
        return sum(sum(encoding.attention_mask) for encoding in encodings)

    def _encode(self, encode: Any, texts: Sequence[str]) -> Vectors:
        if not len(texts):
            return np.zeros((0, self.dim), np.float32)  # the library gives shape (0,)
        vectors = encode(
            list(texts), show_progress_bar=self._progress and len(texts) > 256, batch_size=64
        )
        return unit_rows(np.asarray(vectors, np.float32))


def load_sentence_transformer(source: str | Path) -> Any:
    """Load a model with sentence-transformers: a folder or a hub id, no code of the model's own."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(source), trust_remote_code=False)


def unit_rows(vectors: Vectors) -> Vectors:
    """Scale every row to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = np.divide(vectors, lengths, out=vectors.copy(), where=lengths > 0)
    return scaled


def fingerprint_of_model(model: Any) -> str:
    """Return the fingerprint of a loaded SentenceTransformer."""
    import torch

    tensors = {  # as bytes: numpy has no bfloat16
        f"{name} {tensor.dtype} {tuple(tensor.shape)}": tensor.detach()
        .cpu()
        .contiguous()
        .reshape(-1)
        .view(torch.uint8)
        .numpy()
        for name, tensor in model.state_dict().items()
    }
    tokenizer = model.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    settings = []
    for module in model:
        kind = type(module).__name__
        config = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
        settings.append([kind, {key: config[key] for key in sorted(config)}])
    settings.append(["max_seq_length", str(model.max_seq_length)])
    prompts = model.prompts
    answer = next((prompts[n] for n in ("document", "passage", "corpus") if prompts.get(n)), "")
    description = json.dumps(settings, sort_keys=True, default=str)
    return fingerprint(tensors, backend.to_str(), (prompts.get("query") or "", answer), description)


def fingerprint(
    tensors: Mapping[str, Any], tokenizer: str, prompts: tuple[str, str], settings: str
) -> str:
    """Digest of what decides a model's vectors, and of nothing else (no name, path or date).

    Args:
        tensors: arrays by name.
        tokenizer: JSON of the tokenizer; its padding and truncation are run-time state.
        prompts: query and answer prompt.
        settings: pooling, normalisation and length, in words.
    """
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        hasher.update(f"{name} {array.dtype} {array.shape}\n".encode())
        hasher.update(array.reshape(-1).view(np.uint8).data)
    rules = json.loads(tokenizer)
    rules.pop("padding", None)
    rules.pop("truncation", None)
    hasher.update(json.dumps([rules, *prompts, settings], sort_keys=True).encode())
    return hasher.hexdigest()[:16]
