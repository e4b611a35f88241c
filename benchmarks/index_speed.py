"""`dotbogi index` of synthetic answers: from scratch, and again after one in a hundred has changed.

    python benchmarks/index_speed.py [--answers 20000 100000]

Each is a process of its own, as a user runs it, on all cores. Printed are the wall time, the
processor time (with the processes that analyse texts) and the peak memory of the command itself.
Nothing is in the cache at first. Needs Linux.

The floor is what the libraries alone take for the same texts, on one thread, in the same run,
measured on a thousand of them: Kiwi.tokenize, the ONNX graph on batches of token numbers, and
adding rows to FAISS. It is compared with the processor time of the first.

Writes benchmarks/results/index_speed.json.
"""

import argparse
import contextlib
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import Synthetic

from dotbogi.indexes.cores import cores
from dotbogi.indexes.store import Workspace
from dotbogi.search.encoders.onnx_encoder import OnnxEncoder, _batches, _run

RESULTS = Path(__file__).parent / "results" / "index_speed.json"
CHANGED = 100  # every hundredth answer
FLOOR_TEXTS = 1_000


def write_table(path: Path, texts: Sequence[str]) -> None:
    """Write a table of answers with ids."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["answer_id", "answer"])
        writer.writerows((f"a{number:07}", text) for number, text in enumerate(texts))


def run_index(table: Path, workspace: Path) -> dict[str, float]:
    """Index a table, and return what it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "dotbogi.cli", "index", str(table), "-w", str(workspace)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, done = 0, 0
    while not done:
        # The kernel's own figure for a child begins with the memory of its parent.
        with contextlib.suppress(OSError, IndexError):
            state = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            peak = int(state.split("VmHWM:")[1].split()[0])
        time.sleep(0.1)
        done, status, used = os.wait4(process.pid, os.WNOHANG)  # with what it started
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "processor": round(used.ru_utime + used.ru_stime, 1),
        "mb": round(peak / 1024),
    }


def floor_of(texts: Sequence[str], workspace: Workspace) -> dict[str, float]:
    """Return the processor time that the libraries alone would take for these texts."""
    import faiss
    from kiwipiepy import Kiwi

    sample = texts[:: max(1, len(texts) // FLOOR_TEXTS)]
    kiwi = Kiwi(load_multi_dict=False, num_workers=1)
    kiwi.tokenize(sample[0])
    encoder = OnnxEncoder.open(workspace.current().folder / "encoder")
    prompted = [encoder.facts.answer_prompt + text for text in sample]
    ids = [encoding.ids for encoding in encoder._tokenizer.encode_batch_fast(prompted)]
    batches = [[ids[row] for row in rows] for rows in _batches(ids)]
    vectors = np.zeros((len(sample), encoder.dim), np.float32)
    jobs: dict[str, Callable[[], Any]] = {
        "tokenising": lambda: [kiwi.tokenize(text) for text in sample],
        "encoding": lambda: [_run(encoder._session, batch) for batch in batches],
        "adding": lambda: faiss.IndexFlatIP(encoder.dim).add(vectors),
    }
    found = {}
    for name, job in jobs.items():
        began = time.process_time()
        job()
        found[name] = round((time.process_time() - began) * len(texts) / len(sample), 2)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--answers", type=int, nargs="+", default=[20_000, 100_000])
    sizes = parser.parse_args().answers
    found: list[dict[str, Any]] = []
    for answers in sizes:
        source = Synthetic()
        texts = source.texts(source.pairs(answers))
        changed = [text + " 수정" * (n % CHANGED == 0) for n, text in enumerate(texts)]
        folder = Path(tempfile.mkdtemp())
        try:
            write_table(folder / "first.csv", texts)
            write_table(folder / "next.csv", changed)
            first = run_index(folder / "first.csv", folder / "workspace")
            again = run_index(folder / "next.csv", folder / "workspace")
            floor = floor_of(texts, Workspace(folder / "workspace"))
        finally:
            shutil.rmtree(folder)
        over = round(first["processor"] / sum(floor.values()), 2)
        found.append(
            {"answers": answers, "first": first, "again": again, "floor": floor, "over": over}
        )
        print(f"{answers} answers: {first}; again after 1% has changed: {again}", flush=True)
        print(f"floor: {floor}; the first takes {over} times as long", flush=True)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.processor() or platform.machine()}, {cores()} cores",
        "sizes": found,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
