"""What `train` adds to what it cannot do without: processor time on one thread.

    OMP_NUM_THREADS=1 python benchmarks/train_speed.py [--repeats 3]

On the bundled sample.

adapter: `train --rounds 2 --patience 2`, five folds. Fitting is learn_adapter; searching is
find_candidates and mining. The rest is what the loop adds: weights, confidence, metrics, the
ledger, the report. The vectors are in the cache, as after `index`.

full: a full fit of the starter, three epochs over 960 pairs, compared with
SentenceTransformerTrainer on the same pairs with the same loss, batches and epochs, which saves
the model at the end and nothing before. In turns; the median of --repeats.

Writes benchmarks/results/train_speed.json.
"""

import argparse
import json
import logging
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from dotbogi.indexes.collection import Collection, build_collection
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.search import index_collection
from dotbogi.training import learner, run
from dotbogi.training.config import LoopConfig
from dotbogi.training.fit.config import TrainConfig, TrainingRow
from dotbogi.training.loop import run_loop

RESULTS = Path(__file__).parent / "results" / "train_speed.json"
PAIRS = 960


def main() -> None:
    """Measure both kinds of fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sample = build_collection(read_table(SAMPLE_PATH))[0]
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": platform.machine(),
        "adapter": adapter(sample),
        "full": full(sample, arguments.repeats),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def adapter(sample: Collection) -> dict[str, float]:
    """Return the seconds of a run and of its parts."""
    import torch  # noqa: F401 – importing is no part of the loop

    spent: Counter[str] = Counter()

    def timed(module: Any, name: str, part: str) -> None:
        inner: Callable[..., Any] = getattr(module, name)

        def outer(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            result = inner(*arguments, **named)
            spent[part] += time.thread_time() - began
            return result

        setattr(module, name, outer)

    timed(learner, "learn_adapter", "fitting")
    timed(learner, "mine", "mining")
    timed(run, "ask", "searching")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        index_collection(workspace, sample, {})
        began = time.process_time()
        run_loop(workspace, sample, LoopConfig(rounds=2, patience=2))
        whole = time.process_time() - began
    parts = {name: round(seconds, 2) for name, seconds in spent.items()}
    return {"whole": round(whole, 2), **parts, "rest": round(1 - sum(spent.values()) / whole, 3)}


def full(sample: Collection, repeats: int) -> dict[str, Any]:
    """Return the median seconds of dotbogi's fit and of the bare trainer's, and their ratio."""
    from dotbogi.search.models import STARTER_FOLDER
    from dotbogi.training.fit.full import finetune

    texts = {answer.id: answer.text for answer in sample.answers}
    rows = [TrainingRow(q.text, texts[q.answer_id]) for q in sample.questions[:PAIRS]]
    config = TrainConfig()
    spent: dict[str, list[float]] = {"dotbogi": [], "bare": []}
    for _ in range(repeats):
        for name in spent:
            with tempfile.TemporaryDirectory() as place:
                began = time.process_time()
                if name == "bare":
                    bare(STARTER_FOLDER, rows, config, Path(place))
                else:
                    finetune(STARTER_FOLDER, rows, config, Path(place))
                spent[name].append(round(time.process_time() - began, 2))
    ratio = median(spent["dotbogi"]) / median(spent["bare"])
    return {"pairs": PAIRS, "epochs": config.epochs, "ratio": round(ratio, 3), **spent}


def bare(base: Path, rows: list[TrainingRow], config: TrainConfig, place: Path) -> None:
    """Train as the documentation of sentence-transformers does."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(str(base), device="cpu")
    columns = {"anchor": [r.question for r in rows], "positive": [r.positive for r in rows]}
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(place),
            num_train_epochs=config.epochs,
            per_device_train_batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(columns),
        loss=MultipleNegativesRankingLoss(model, scale=1 / config.temperature),
    )
    trainer.train()
    model.save(str(place / "model"), create_model_card=False)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    main()
