"""How fast the starter encodes and loads, beside sentence-transformers on the same texts, one core.

Each figure is from a fresh process with one thread, the two in turn five times; medians and ratios.

    python benchmarks/encode_speed.py
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 5

COMMON = """
import sys, time
from pathlib import Path
from indexes.collection import build_collection
from indexes.tables import SAMPLE_PATH, read_table
from search.models import STARTER_FOLDER
texts = [q.text for q in build_collection(read_table(SAMPLE_PATH))[0].questions] * 5
"""
OURS = """
import search.encoders
started = time.perf_counter()
encoder = search.encoders.open_encoder(STARTER_FOLDER)
loaded = time.perf_counter()
encoder.encode_queries(texts[:100])
began = time.perf_counter()
encoder.encode_queries(texts)
assert "torch" not in sys.modules
"""
THEIRS = """
import torch
from sentence_transformers import SentenceTransformer
torch.set_num_threads(1)
started = time.perf_counter()
model = SentenceTransformer(str(STARTER_FOLDER))
loaded = time.perf_counter()
model.encode(texts[:100])
began = time.perf_counter()
model.encode(texts, batch_size=1024, normalize_embeddings=True)
"""
PRINT = "print(loaded - started, len(texts) / (time.perf_counter() - began), len(texts))"


def measure(code: str) -> tuple[float, float, int]:
    """Return seconds to load, texts a second, and the number of texts."""
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}
    command = [sys.executable, "-c", COMMON + code + PRINT]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **one, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    load, speed, count = done.stdout.split()
    return float(load), float(speed), int(count)


def main() -> None:
    """Measure and print."""
    ours, theirs = [], []
    for _ in range(RUNS):
        ours.append(measure(OURS))
        theirs.append(measure(THEIRS))
    print(f"{ours[0][2]} short texts, one thread, medians of {RUNS}")
    for number, (what, unit) in enumerate((("load", "s"), ("encode", "texts a second"))):
        mine = statistics.median(run[number] for run in ours)
        other = statistics.median(run[number] for run in theirs)
        print(
            f"{what:7} numpy {mine:,.2f} {unit}, sentence-transformers {other:,.2f} {unit}, "
            f"ratio {mine / other:.2f}"
        )


if __name__ == "__main__":
    main()
