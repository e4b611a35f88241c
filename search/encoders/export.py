"""Make the encoder of a workspace's model, and check it on the collection."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.files import copy_file
from dotbogi.search.encoders.architecture import NotExportableError
from dotbogi.search.encoders.encoder import Encoder, unit_rows
from dotbogi.search.encoders.model_folder import (
    fingerprint_of_folder,
    first_position,
    prompts_of,
    read_modules,
    read_settings,
)
from dotbogi.search.encoders.onnx_encoder import EncoderFacts, OnnxEncoder
from dotbogi.search.encoders.torch_encoder import TorchEncoder, load_sentence_transformer

LEAST_OVERLAP = 0.85  # of the ten nearest texts; with less, int8 is not used
_CHECKED_TEXTS = 128
_CHECKED_LETTERS = 100  # characters of each
_NEAREST = 10

logger = logging.getLogger(__name__)


def export_encoder(model: Path, folder: Path, texts: Sequence[str]) -> EncoderFacts:
    """Write the encoder of a sentence-transformers folder: graph, tokenizer and facts.

    The graph is int8 if that agrees with float32 on texts of the collection, else float32. A model
    that has no graph gets only facts; sentence-transformers encodes with it.

    Args:
        model: a sentence-transformers folder.
        folder: must not exist; it is created.
        texts: texts of the collection; some are encoded in both precisions and compared.
    """
    from dotbogi.search.encoders.graph import (
        GRAPH_VERSION,
        build_graph,
        save_graph,
    )

    folder.mkdir(parents=True)
    try:
        int8 = build_graph(model, "int8")
    except NotExportableError as reason:
        logger.info("this model runs on torch, which is slow: no ONNX graph for %s", reason)
        facts = _facts_by_torch(model, str(reason))
        facts.save(folder)
        return facts
    facts = _facts(model, fingerprint_of_folder(model, f"int8, graph {GRAPH_VERSION}"))
    tokenizer = folder / "tokenizer.json"
    copy_file(model / read_modules(model)[0]["path"] / "tokenizer.json", tokenizer)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        float32 = Path(temporary) / "model.onnx"
        save_graph(build_graph(model, "float32"), float32)
        facts = _checked(
            facts,
            OnnxEncoder(int8.SerializeToString(), tokenizer, facts),
            OnnxEncoder(float32, tokenizer, facts),
            texts,
        )
        if facts.precision == "int8":
            save_graph(int8, folder / "model.onnx")
        else:
            for path in Path(temporary).iterdir():
                shutil.move(path, folder / path.name)
            fingerprint = fingerprint_of_folder(model, f"float32, graph {GRAPH_VERSION}")
            facts = replace(facts, fingerprint=fingerprint)
    facts.save(folder)
    return facts


def open_encoder(folder: Path, *, progress: bool = False) -> Encoder:
    """Open the encoder of a generation or of a round.

    Args:
        folder: contains `encoder`, which `export_encoder` wrote, and `model`.
        progress: show a bar while many texts are encoded.

    Raises:
        DamagedError: the encoder cannot be read.
    """
    facts = EncoderFacts.open(folder / "encoder")
    if facts.precision == "torch":
        return TorchEncoder(folder / "model", facts, progress=progress)
    from dotbogi.search.encoders.graph_file import check_graph

    check_graph(folder / "encoder" / "model.onnx", folder / "model", facts)
    return OnnxEncoder.open(folder / "encoder", progress=progress)


def _facts(model: Path, fingerprint: str) -> EncoderFacts:
    transformer = model / read_modules(model)[0]["path"]
    config = read_settings(transformer / "config.json")
    query_prompt, answer_prompt = prompts_of(model)
    return EncoderFacts(
        fingerprint=fingerprint,
        dim=config["hidden_size"],
        max_tokens=_max_tokens(transformer, config),
        query_prompt=query_prompt,
        answer_prompt=answer_prompt,
        precision="int8",
    )


def _max_tokens(transformer: Path, config: Mapping[str, Any]) -> int:
    """Return the smallest token limit that a transformer's files state."""
    limits = [config["max_position_embeddings"] - first_position(config)]
    for name, key in (
        ("sentence_bert_config", "max_seq_length"),
        ("tokenizer_config", "model_max_length"),
    ):
        path = transformer / f"{name}.json"
        limit = read_settings(path).get(key) if path.is_file() else None
        limits += [int(limit)] if limit else []
    return int(min(limits))


def _facts_by_torch(model: Path, why: str) -> EncoderFacts:
    loaded = load_sentence_transformer(model)
    query_prompt, answer_prompt = prompts_of(model)
    return EncoderFacts(
        fingerprint=fingerprint_of_folder(model, "torch"),
        dim=loaded.get_embedding_dimension(),
        max_tokens=int(min(loaded.max_seq_length or sys.maxsize, sys.maxsize)),
        query_prompt=query_prompt,
        answer_prompt=answer_prompt,
        precision="torch",
        why=why,
    )


def _checked(
    facts: EncoderFacts, int8: OnnxEncoder, float32: OnnxEncoder, texts: Sequence[str]
) -> EncoderFacts:
    """Add int8's agreement to the facts; if it is too low, change the precision to float32."""
    rng = np.random.default_rng(0)
    chosen = [texts[i] for i in sorted(rng.permutation(len(texts))[:_CHECKED_TEXTS])]
    short = [text[:_CHECKED_LETTERS] for text in chosen]
    ours, exact = int8.encode_answers(short), float32.encode_answers(short)
    cosine = float((ours * exact).sum(axis=1).mean()) if short else 1.0
    overlap = _overlap_of_nearest(ours, exact)
    facts = replace(facts, cosine=round(cosine, 6), overlap=round(overlap, 4))
    if overlap >= LEAST_OVERLAP:
        return facts
    why = f"int8 keeps {overlap:.0%} of the ten nearest texts, below {LEAST_OVERLAP:.0%}"
    logger.info("%s: the model runs in float32", why)
    return replace(facts, precision="float32", why=why)


def _overlap_of_nearest(ours: Vectors, exact: Vectors) -> float:
    """Return the mean share of a text's ten nearest neighbours that both precisions share."""
    count = min(_NEAREST, len(exact) // 4)
    if not count:
        return 1.0

    def nearest(vectors: Vectors) -> NDArray[np.int64]:
        centred = unit_rows(vectors - vectors.mean(axis=0))
        cosines = centred @ centred.T
        np.fill_diagonal(cosines, -2)
        return np.argsort(-cosines, axis=1)[:, :count]

    pairs = zip(nearest(ours), nearest(exact), strict=True)
    return float(np.mean([len(set(a) & set(b)) / count for a, b in pairs]))
