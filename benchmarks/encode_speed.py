"""The encoder beside sentence-transformers (torch, float32) with the same model, one thread each.

Each figure is from a fresh process, the two in turn three times; the best of each, and ratios.
Short texts are the questions of the bundled sample.

    python benchmarks/encode_speed.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.search.models import STARTER_FOLDER, ModelConfig, enter_model

ROOT = Path(__file__).parent.parent
RUNS = 3

COMMON = """
import sys, time
from pathlib import Path
from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
texts = [q.text for q in build_collection(read_table(SAMPLE_PATH))[0].questions][:1000]
started = time.perf_counter()
"""
OURS = """
from dotbogi.search.encoders import open_encoder
encode = open_encoder(Path(sys.argv[1])).encode_queries
"""
THEIRS = """
import torch
torch.set_num_threads(1)
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
encode = lambda texts: model.encode_query(texts, show_progress_bar=False)
"""
PRINT = """
loaded = time.perf_counter()
encode(texts[:100])
began = time.perf_counter()
encode(texts)
speed = len(texts) / (time.perf_counter() - began)
singles = []
for text in texts[:50]:
    began = time.perf_counter()
    encode([text])
    singles.append(time.perf_counter() - began)
print(loaded - started, speed, 1000 * sorted(singles)[len(singles) // 2])
"""


def measure(code: str, folder: Path) -> list[float]:
    """Return seconds to import and load, texts a second, and milliseconds of a query."""
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMMON + code + PRINT, str(folder)],
        cwd=ROOT,
        env={**os.environ, **one, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(figure) for figure in done.stdout.split()]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        answers = build_collection(read_table(SAMPLE_PATH))[0].answers
        enter_model(ModelConfig(), Path(place), [answer.text for answer in answers])
        ours, theirs = [], []
        for _ in range(RUNS):
            ours.append(measure(OURS, Path(place)))
            theirs.append(measure(THEIRS, STARTER_FOLDER))
    for number, (what, best) in enumerate(
        (("import and load, s", min), ("short texts a second", max), ("one query, ms", min))
    ):
        mine, other = (best(run[number] for run in runs) for runs in (ours, theirs))
        print(
            f"{what:20} onnxruntime {mine:7.2f}, sentence-transformers {other:7.2f}, "
            f"ratio {mine / other:.2f}"
        )


if __name__ == "__main__":
    main()
