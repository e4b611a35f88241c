"""Write a sentence-transformers folder; the same model always gives the same bytes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.training.starter.e5_file import E5File, Floats
from dotbogi.training.starter.float8 import to_float8
from dotbogi.training.starter.vocabulary import tokenizer_settings

PROMPTS = {"query": "query: ", "document": "passage: "}

_LIBRARY = "sentence_transformers"
_TABLES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
}
_IN_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def write_model_folder(model: E5File, kept: Sequence[int], folder: Path) -> None:
    """Write a folder that SentenceTransformer(folder) loads.

    Args:
        model: the encoder with all its pieces.
        kept: ids of the pieces that are kept, in rising order.
        folder: created.
    """
    folder.mkdir(parents=True)
    for name, settings in _settings(model, len(kept)).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    pieces = [model.pieces[id_] for id_ in kept]
    scores = model.scores[list(kept)].tolist()
    rules = json.dumps(
        tokenizer_settings(pieces, scores), ensure_ascii=False, separators=(",", ":")
    )
    (folder / "tokenizer.json").write_text(rules, encoding="utf-8")
    write_safetensors(bert_tensors(model, kept), folder / "model.safetensors")


def bert_tensors(model: E5File, kept: Sequence[int]) -> dict[str, Floats]:
    """Return the weights under the names and in the shapes of transformers' BertModel."""
    width = model.hidden
    given = model.tensors
    tensors: dict[str, Floats] = {}
    for short, name in _TABLES.items():
        tensors[name] = given[short].reshape(-1, width)
    words = _TABLES["emb.word"]
    tensors[words] = tensors[words][list(kept)]
    parts = {"emb.ln": "embeddings.LayerNorm"}
    for layer in range(model.layers):
        for short, name in _IN_LAYER.items():
            parts[f"l{layer}.{short}"] = f"encoder.layer.{layer}.{name}"
    for short, name in parts.items():
        tensors[f"{name}.bias"] = given[f"{short}.b"]
        weight = given[f"{short}.w"]
        rows = model.feed_forward if short.endswith(".fi") else width
        tensors[f"{name}.weight"] = weight if short.endswith("ln") else weight.reshape(rows, -1)
    # E5 has no pooler. Without these, BertModel would report it missing and make random weights.
    tensors["pooler.dense.bias"] = np.zeros(width, np.float32)
    tensors["pooler.dense.weight"] = np.zeros((width, width), np.float32)
    return tensors


def write_safetensors(tensors: Mapping[str, Floats], path: Path) -> None:
    """Write weights, matrices in float8 and the others in float32.

    safetensors' own writer cannot do it: numpy has no float8.
    """
    stored = {name: _stored(tensors[name]) for name in sorted(tensors)}
    # float32 first: its data have to begin at a multiple of four.
    names = sorted(stored, key=lambda name: stored[name][0] != "F32")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in names:
        kind, data = stored[name]
        start, end = end, end + data.nbytes
        header[name] = {"dtype": kind, "shape": data.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(stored[name][1].tobytes())


def _stored(tensor: Floats) -> tuple[str, NDArray[Any]]:
    return ("F8_E4M3", to_float8(tensor)) if tensor.ndim == 2 else ("F32", tensor.astype("<f4"))


def _settings(model: E5File, pieces: int) -> dict[str, Any]:
    """Return the contents of the JSON files by their path in the folder."""
    modules = {
        "": "base.modules.transformer.Transformer",
        "1_Pooling": "sentence_transformer.modules.pooling.Pooling",
        "2_Normalize": "base.modules.normalize.Normalize",
    }
    return {
        "config.json": _bert_config(model, pieces),
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": PROMPTS,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"{_LIBRARY}.{kind}"}
            for number, (path, kind) in enumerate(modules.items())
        ],
        "sentence_bert_config.json": {
            "transformer_task": "feature-extraction",
            "modality_config": {
                "text": {"method": "forward", "method_output_name": "last_hidden_state"}
            },
            "module_output_name": "token_embeddings",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.positions,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
        },
        "1_Pooling/config.json": {
            "embedding_dimension": model.hidden,
            "pooling_mode": "mean",
            "include_prompt": True,
        },
        "2_Normalize/config.json": {
            "module_input_name": "sentence_embedding",
            "module_output_name": "sentence_embedding",
        },
    }


def _bert_config(model: E5File, pieces: int) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "dtype": "float32",
        "vocab_size": pieces,
        "hidden_size": model.hidden,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "intermediate_size": model.feed_forward,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": model.positions,
        "type_vocab_size": model.token_types,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 1,
    }
