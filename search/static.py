"""Static-embedding models on disk: a tokenizer and one vector a piece."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.dense import Vectors
from indexes.errors import DamagedError, DotbogiError
from indexes.store import write_json

UNKNOWN = "[UNK]"
_MODULE = "0_StaticEmbedding"
_TYPE = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
_LONGEST = 10_000  # characters of a text that pieces are learned from


def save_static_model(
    folder: Path, tokenizer: Any, weights: Vectors, settings: Mapping[str, Any] | None = None
) -> None:
    """Write a sentence-transformers folder with one StaticEmbedding module.

    Args:
        folder: where to write; created.
        tokenizer: a tokenizers.Tokenizer.
        weights: pieces × dim.
        settings: added to config_sentence_transformers.json.
    """
    inside = folder / _MODULE
    inside.mkdir(parents=True)
    tokenizer.save(str(inside / "tokenizer.json"), pretty=False)
    _write_weights(inside, weights)
    write_json(
        folder / "modules.json", [{"idx": 0, "name": "0", "path": inside.name, "type": _TYPE}]
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
            **(settings or {}),
        },
    )


def _write_weights(inside: Path, weights: Vectors) -> None:
    """Write the rows as bytes with a scale each, a quarter of the size.

    It is the form that model2vec has and that StaticEmbedding reads: row = embeddings × weights,
    in float32. A row moves by less than 1/254 of its largest element in any element.
    """
    from safetensors.numpy import save_file

    scales = np.maximum(np.abs(weights).max(axis=1), np.finfo(np.float32).tiny) / 127
    rows = np.rint(weights / scales[:, None]).astype(np.int8)
    tensors = {"embeddings": rows, "weights": scales.astype(np.float32)}
    save_file(tensors, inside / "model.safetensors")


def compress(folder: Path) -> None:
    """Rewrite the float rows of a static model that sentence-transformers has saved as bytes."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    inside = folder / modules[0]["path"]
    _write_weights(inside, read_weights(inside))


@dataclass(frozen=True, slots=True)
class PieceTable:
    """A vector a piece, as bytes with a scale each or as floats; 60,000 rows open in no time."""

    rows: NDArray[Any]  # pieces × dim
    scales: NDArray[np.float32] | None = None

    def take(self, pieces: NDArray[np.int64]) -> Vectors:
        """Return the float32 rows of some pieces."""
        taken: Vectors = self.rows[pieces].astype(np.float32, copy=False)
        if self.scales is not None:
            taken *= self.scales[pieces, None]
        return taken


def open_table(inside: Path) -> PieceTable:
    """Open the table of a StaticEmbedding module's folder.

    Raises:
        DamagedError: there is no readable table.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(inside / "model.safetensors")
        if "embedding.weight" in tensors:
            return PieceTable(tensors["embedding.weight"].astype(np.float32, copy=False))
        rows = tensors["embeddings"]
        if "mapping" in tensors:
            rows = rows[tensors["mapping"]]
        scales = tensors.get("weights")
        if rows.ndim != 2 or (scales is not None and scales.shape != rows.shape[:1]):
            raise ValueError("shapes")
        return PieceTable(rows, None if scales is None else scales.astype(np.float32))
    except (OSError, KeyError, SafetensorError, ValueError, IndexError) as error:
        raise DamagedError(f"{inside}: no readable weights of a static model.") from error


def read_weights(inside: Path) -> Vectors:
    """Return the pieces × dim float32 rows of a StaticEmbedding module's folder."""
    table = open_table(inside)
    return table.take(np.arange(len(table.rows)))


def train_unigram(texts: Sequence[str], *, vocabulary: int, coverage: float = 1.0) -> Any:
    """Return a tokenizers.Tokenizer with Unigram pieces learned from the texts (Kudo 2018).

    The pieces are learned by sentencepiece on one thread: the trainer of `tokenizers` itself
    sums in an order that changes from run to run, and its pieces' scores with it.

    Args:
        texts: in any order; each counts once.
        vocabulary: pieces at most.
        coverage: share of all letters that pieces must be able to spell; the rarest beyond it are
            unknown.
    """
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    normalized = sorted({normalizer.normalize_str(text[:_LONGEST]) for text in texts})
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(normalized),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocabulary,
            hard_vocab_limit=False,
            character_coverage=coverage,
            normalization_rule_name="identity",
            split_digits=True,
            num_threads=1,
            max_sentence_length=16 * _LONGEST,  # bytes; NFKC may lengthen a text
            unk_id=0,
            unk_piece=UNKNOWN,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DotbogiError(
            f"no model can be made from these {len(normalized)} texts "
            f"({str(error).splitlines()[0][:120]}). Name a model with --model."
        ) from error
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scored = [
        (pieces.id_to_piece(number), pieces.get_score(number))
        for number in range(pieces.get_piece_size())
    ]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=0))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.Metaspace()
    # Rebuilt from its own text, so that a saved tokenizer and this one are the same to the byte.
    return Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str())))
