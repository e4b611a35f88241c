"""Turn a model that sentence-transformers can load into a folder of safe files."""

from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import UsageError
from dotbogi.search.encoders.model_folder import first_position
from dotbogi.search.encoders.torch_encoder import load_sentence_transformer, loading

# If unset, the library asks on the terminal whether to run the model's own code.
_NO_CODE: Any = {
    kind: {"trust_remote_code": False}
    for kind in ("model_kwargs", "processor_kwargs", "config_kwargs")
}


def convert(source: Path, folder: Path, *, name: str, max_seq_length: int | None) -> None:
    """Load a model with sentence-transformers, and save it as that library does.

    Args:
        source: a folder that has been checked; it may get a tokenizer.
        folder: must not exist; it is created.
        name: of the model, for errors.
        max_seq_length: tokens per text; None for the model's own.

    Raises:
        UsageError: the model cannot read texts of this length.
        DotbogiError: the model cannot be loaded.
    """
    with loading(Path(name)):
        model = _load(source)
    _set_length(model, name, max_seq_length)
    model.save(str(folder), create_model_card=False)


def _load(source: Path) -> Any:
    if (source / "modules.json").is_file():
        return load_sentence_transformer(source)
    return _load_plain(source)


def _load_plain(source: Path) -> Any:
    """Load a plain BERT/RoBERTa folder as Transformer + mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    has_tokenizer = any(
        (source / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")
    )
    if has_tokenizer or not (source / "vocab.txt").is_file():
        transformer = Transformer(str(source), **_NO_CODE)
    else:
        # With vocab.txt alone the library would guess the tokenizer from the model's type, and
        # a RoBERTa with a WordPiece vocabulary (klue) would get the wrong one.
        _wordpiece(source / "vocab.txt").save_pretrained(source)
        transformer = Transformer(str(source), **_NO_CODE)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling])


def _wordpiece(vocabulary: Path) -> Any:
    from transformers import BertTokenizerFast

    pieces = vocabulary.read_text(encoding="utf-8").rstrip("\n").replace("\r", "").split("\n")
    cased = any(piece.isascii() and piece[:1].isupper() for piece in pieces)
    syllables = any("가" <= char <= "힣" for piece in pieces for char in piece)
    return BertTokenizerFast(
        vocab={piece: number for number, piece in enumerate(pieces)},
        do_lower_case=not cased,
        # Stripping accents splits Hangul syllables into letters, which a syllable vocabulary lacks.
        strip_accents=False if syllables else None,
    )


def _set_length(model: Any, name: str, wanted: int | None) -> None:
    settings = getattr(getattr(model[0], "auto_model", None), "config", None)
    limit = getattr(settings, "max_position_embeddings", None)
    if limit is not None and settings is not None:
        limit -= first_position(settings.to_dict())
    if limit is None and wanted is not None:
        raise UsageError(
            f"--max-seq-length does not apply to {name}, which reads texts of any length. "
            "Leave it out."
        )
    if limit is not None and (wanted or 0) > limit:
        raise UsageError(f"--max-seq-length is {wanted}; {name} allows at most {limit}.")
    if wanted is not None:
        model.max_seq_length = wanted
    elif limit is not None and (model.max_seq_length or limit + 1) > limit:
        model.max_seq_length = limit  # a tokenizer may state no limit, or one that is too high
