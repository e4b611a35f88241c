"""A sentence-transformers folder that is made in milliseconds: a BERT of random weights."""

import json
import string
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

DIM, LAYERS, HEADS, WIDE, POSITIONS = 32, 2, 2, 64, 128
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
# Every syllable is a piece of its own: any Korean text has pieces.
LETTERS = [*string.ascii_lowercase, *string.digits, *map(chr, range(0xAC00, 0xD7A4))]


def write_tiny_model(folder: Path, *, prompts: dict[str, str] | None = None, seed: int = 0) -> None:
    """Write the folder: BERT over single letters, mean pooling, unit vectors."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    weights = {
        "embeddings.word_embeddings.weight": rng.standard_normal((len(SPECIAL + LETTERS), DIM)),
        "embeddings.position_embeddings.weight": 0.05 * rng.standard_normal((POSITIONS, DIM)),
        "embeddings.token_type_embeddings.weight": np.zeros((2, DIM)),
        "pooler.dense.weight": np.zeros((DIM, DIM)),
        "pooler.dense.bias": np.zeros(DIM),
    }
    _normalisation(weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            _linear(weights, rng, f"{name}attention.self.{part}", DIM, DIM)
        _linear(weights, rng, f"{name}attention.output.dense", DIM, DIM)
        _normalisation(weights, f"{name}attention.output.LayerNorm")
        _linear(weights, rng, f"{name}intermediate.dense", DIM, WIDE)
        _linear(weights, rng, f"{name}output.dense", WIDE, DIM)
        _normalisation(weights, f"{name}output.LayerNorm")
    tensors = {name: array.astype(np.float32) for name, array in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer().save(str(folder / "tokenizer.json"))
    _write_settings(folder, prompts or {})


def _normalisation(weights: dict[str, np.ndarray], name: str) -> None:
    weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(DIM), np.zeros(DIM)


def _linear(
    weights: dict[str, np.ndarray], rng: np.random.Generator, name: str, inside: int, outside: int
) -> None:
    weights[f"{name}.weight"] = 0.1 * rng.standard_normal((outside, inside))
    weights[f"{name}.bias"] = np.zeros(outside)


def _tokenizer() -> Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate(SPECIAL + LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _write_settings(folder: Path, prompts: dict[str, str]) -> None:
    inside = "sentence_transformers.sentence_transformer.modules."
    base = "sentence_transformers.base.modules."
    modules = [("", base + "transformer.Transformer"), ("1_Pooling", inside + "pooling.Pooling"),
               ("2_Normalize", base + "normalize.Normalize")]  # fmt: skip
    for path in ("1_Pooling", "2_Normalize"):
        (folder / path).mkdir()
    files = {
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": kind}
            for i, (path, kind) in enumerate(modules)
        ],
        "config.json": {
            "architectures": ["BertModel"], "model_type": "bert", "dtype": "float32",
            "hidden_act": "gelu", "hidden_size": DIM, "intermediate_size": WIDE,
            "layer_norm_eps": 1e-12, "max_position_embeddings": POSITIONS,
            "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "pad_token_id": 0,
            "type_vocab_size": 2, "vocab_size": len(SPECIAL + LETTERS),
        },
        "sentence_bert_config.json": {
            "transformer_task": "feature-extraction",
            "modality_config": {
                "text": {"method": "forward", "method_output_name": "last_hidden_state"}
            },
            "module_output_name": "token_embeddings",
        },
        "tokenizer_config.json": {
            "backend": "tokenizers", "tokenizer_class": "TokenizersBackend",
            "model_max_length": POSITIONS, "pad_token": "[PAD]", "unk_token": "[UNK]",
            "cls_token": "[CLS]", "sep_token": "[SEP]",
        },
        "1_Pooling/config.json": {
            "embedding_dimension": DIM, "pooling_mode": "mean", "include_prompt": True
        },
        "2_Normalize/config.json": {},
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer", "prompts": prompts,
            "default_prompt_name": None, "similarity_fn_name": "cosine",
        },
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
