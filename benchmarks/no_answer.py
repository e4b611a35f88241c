"""Does confidence tell queries without an answer? Area under the ROC curve, after `dotbogi train`.

    OMP_NUM_THREADS=1 python benchmarks/no_answer.py [DATA]

- sample: its test questions against its own 221 questions that no answer serves, and with DATA
  against 1,500 (seed 0) of kochat's out-of-domain questions. Those are small talk, and so is nearly
  half of the sample: the categories of shops and services alone are measured beside it.
- clinc: the test questions of clinc_oos's 150 intents against its 1,200 out-of-scope ones.

Each collection is split, trained on for one round and calibrated as `dotbogi train` does, in a
workspace of its own; then both kinds of questions are searched. A test question counts whether its
first answer is right or not; the second figure is for those whose first answer is right.
"""

import argparse
import csv
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from indexes.cache import Cache
from indexes.collection import Answer, Collection, KnownQuestion, build_collection
from indexes.store import Workspace
from indexes.tables import SAMPLE_PATH, read_table
from indexes.text import clean, same_text_key
from search.index import build_index
from search.known_questions import queries_of
from search.searcher import Searcher
from training.config import LoopConfig
from training.loop import run_loop
from training.measure.reliability import expected_calibration_error, roc_auc
from training.split import split_collection

SMALL_TALK = {
    "일상", "음식", "건강", "감정", "연애", "취미", "직장", "챗봇", "날씨", "집안일", "학교",
    "가족", "친구", "인사", "고민", "반려생활",
}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    data = parser.parse_args().data
    sample, _ = build_collection(read_table(SAMPLE_PATH))
    own = [row["question"] for row in _rows(SAMPLE_PATH.parent / "no_answer.csv")]
    strangers = {"its own": own}
    if data:
        kochat = [row["question"] for row in _rows(data / "kochat" / "ood_data.csv")]
        strangers["kochat"] = random.Random(0).sample(kochat, 1500)
    report("sample", sample, strangers)
    services = _only(sample, lambda answer: answer.metadata["category"] not in SMALL_TALK)
    report("sample, shops and services alone", services, strangers)
    if data:
        report("clinc_oos", *clinc(data))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _only(collection: Collection, wanted: Callable[[Answer], bool]) -> Collection:
    answers = [answer for answer in collection.answers if wanted(answer)]
    ids = {answer.id for answer in answers}
    return Collection(answers, [q for q in collection.questions if q.answer_id in ids])


def clinc(data: Path) -> tuple[Collection, dict[str, list[str]]]:
    """Return the intents' names as answers with all their questions, and what is out of scope."""
    parts = json.loads((data / "clinc_oos" / "data_small.json").read_text(encoding="utf-8"))
    rows = [
        (clean(text), intent) for part in ("train", "val", "test") for text, intent in parts[part]
    ]
    intents = sorted({intent for _, intent in rows})
    out = [text for part in ("oos_train", "oos_val", "oos_test") for text, _ in parts[part]]
    return Collection(
        [Answer(intent, intent.replace("_", " ")) for intent in intents],
        [KnownQuestion(text, intent) for text, intent in dict.fromkeys(rows)],
    ), {"out of scope": out}


def report(name: str, collection: Collection, strangers: dict[str, list[str]]) -> None:
    """Train, calibrate, search and print."""
    with tempfile.TemporaryDirectory() as place:
        workspace = Workspace(place)
        run_loop(workspace, collection, LoopConfig(rounds=1))
        trained = Searcher.open(place)
        split = split_collection(collection, seed=42)
        test = queries_of(split.only(["test"]).questions)
        held_out = {same_text_key(query.text) for query in test}
        known = [q for q in split.questions if same_text_key(q.text) not in held_out]
        cache = Cache(workspace.cache_folder)
        searcher = without(trained, Collection(collection.answers, known), cache)
        stated = _confidences(searcher, [query.text for query in test])
        firsts = searcher.search_many([query.text for query in test], 1)
        right = np.asarray(
            [hits[0].answer_id in q.grades for hits, q in zip(firsts, test, strict=True)]
        )
        error, _ = expected_calibration_error(stated, right.astype(np.float64))
        print(f"{name}: {len(test)} test questions, {right.mean():.3f} right, ECE {error:.3f}")
        for label, texts in strangers.items():
            strange = _confidences(searcher, texts)
            print(
                f"  against {label} ({len(texts)}): AUROC {roc_auc(stated, strange):.3f}, "
                f"of right first answers {roc_auc(stated[right], strange):.3f}"
            )


def without(trained: Searcher, collection: Collection, cache: Cache) -> Searcher:
    """Return a searcher like the published one over a collection without the test questions."""
    index = trained.index
    built = build_index(
        collection,
        index.encoder,
        index.config,
        cache=cache,
        geometry=index.geometry,
        weights=index.weights,
        calibration=index.calibration,
    )
    return Searcher(built)


def _confidences(searcher: Searcher, texts: Sequence[str]) -> np.ndarray:  # type: ignore[type-arg]
    found = searcher.search_many(texts, 1)
    return np.asarray([(hits[0].confidence or 0.0) if hits else 0.0 for hits in found])


if __name__ == "__main__":
    main()
