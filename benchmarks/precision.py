"""int8 beside float32: MRR@10 of the same model, the same questions and the same weights.

    OMP_NUM_THREADS=1 python benchmarks/precision.py DATA [--set chatbot]

For each set a fifth of the questions is asked (seed 0), the others are known. Prints the mean
cosine between the two precisions and the paired difference of dense search and of the hybrid.
"""

import argparse
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from public_data import collection_of
from starter import CACHE, apart

from dotbogi.indexes.cache import Cache
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import CachedEncoder, Encoder, open_encoder
from dotbogi.search.encoders.graph import build_graph, save_graph
from dotbogi.search.encoders.model_folder import fingerprint_of_folder
from dotbogi.search.encoders.onnx_encoder import EncoderFacts, OnnxEncoder
from dotbogi.search.fusion import fuse
from dotbogi.search.index import index_encoded
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.search.ranking import find_candidates
from dotbogi.training.measure.bootstrap import paired_bootstrap
from dotbogi.training.measure.metrics import reciprocal_rank_at

SETS = ("chatbot", "welfare_qa")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        enter_model(ModelConfig(), place, [])
        precisions = {"int8": open_encoder(place), "float32": open_float32(place)}
        for name in arguments.set or SETS:
            report(name, arguments.data, precisions)


def open_float32(place: Path) -> Encoder:
    """Return the model of a place in float32."""
    graph = place / "float32.onnx"
    save_graph(build_graph(place / "model", "float32"), graph)
    facts = EncoderFacts.open(place / "encoder")
    facts = replace(facts, fingerprint=fingerprint_of_folder(place / "model", "float32"))
    return OnnxEncoder(graph, place / "encoder" / "tokenizer.json", facts)


def report(name: str, data: Path, precisions: dict[str, Encoder]) -> None:
    """Print the figures of one set."""
    whole = collection_of(name, data)
    fifth = random.Random(0).sample(whole.questions, len(whole.questions) // 5)
    collection, queries = apart(whole, fifth)
    cache = Cache(CACHE)
    found: dict[str, dict[str, list[float]]] = {}
    vectors = []
    for precision, encoder in precisions.items():
        source = CachedEncoder(encoder, cache)
        encoded = EncodedCollection.of(collection, source, IndexConfig(), cache)
        vectors.append(np.concatenate([encoded.answer_vectors, encoded.question_vectors]))
        asked = find_candidates(index_encoded(encoded), [query.text for query in queries])
        found[precision] = {
            method: [
                reciprocal_rank_at(10, [c.answer_id for c in fuse(each, method)], query.grades)
                for each, query in zip(asked, queries, strict=True)
            ]
            for method in ("dense", "hybrid")
        }
    cosine = float((vectors[0] * vectors[1]).sum(axis=1).mean())
    print(f"{name}: {len(queries)} queries, mean cosine {cosine:.4f}")
    for method in ("dense", "hybrid"):
        ours, exact = found["int8"][method], found["float32"][method]
        gain = paired_bootstrap(ours, exact, seed=0)
        print(f"  {method}: float32 {np.mean(exact):.4f}, int8 {np.mean(ours):.4f}, {gain}")


if __name__ == "__main__":
    main()
