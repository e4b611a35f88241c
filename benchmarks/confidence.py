"""Can the confidence be believed? Of the index alone, before any training.

    OMP_NUM_THREADS=1 python benchmarks/confidence.py DATA [--set NAME] [--draws 20] [--defaults]

- Tables: 60 or 170 random rows of a set, over the answers of these rows alone; 20 draws of each.
- Whole sets, at most 2,000 of their questions asked.
- Queries without an answer: of the sample, its own 221 and 1,500 of kochat's; of its shops and
  services, the same; of clinc_oos, its 1,200 out-of-scope questions. Those of kochat are small
  talk, and so is nearly half of the sample.

Every question is asked of an index without its fold (ten of them), with weights and confidence
fitted on the other folds. Queries without an answer are asked of the whole index, with those fitted
on all folds. ECE is the expected calibration error in ten bins; it is not 0 of so few questions, so
beside it stands what a confidence that is exactly true would have. AUROC is the chance that a
question that has an answer gets more confidence than one that has none. `kept` and `refused` are at
the threshold fitted on all folds, so `kept` is near what the fit aims at.

Writes benchmarks/results/confidence.json; of sets that were not run, what is there stays. With
--defaults: prints the constants of search/calibration.py in place of all that.
"""

import argparse
import csv
import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from public_data import SETS as PUBLIC
from public_data import collection_of

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, build_collection
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.indexes.text import clean
from dotbogi.search.calibration import DEFAULT, logistic
from dotbogi.search.candidates import Floats
from dotbogi.search.confidence import FEATURES, features_of
from dotbogi.search.encoded import EncodedCollection, IndexConfig
from dotbogi.search.encoders import CachedEncoder, Encoder, open_encoder
from dotbogi.search.fusion import fuse
from dotbogi.search.index import index_encoded
from dotbogi.search.known_questions import Asked, ask, fit, folds_of
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.search.searcher import Searcher
from dotbogi.training.measure.crossfit import out_of_fold
from dotbogi.training.measure.reliability import expected_calibration_error, roc_auc

TABLES = ("sample", *PUBLIC)  # the development sets
SETS = (*TABLES, "services", "clinc_oos")
ROWS = (60, 170)
FOLDS = 10
MOST = 2000  # questions of a whole set that are asked
MOST_FOR_DEFAULTS = 1500  # as many of each set: each counts as much
SMALL_TALK = {
    "일상", "음식", "건강", "감정", "연애", "취미", "직장", "챗봇", "날씨", "집안일", "학교",
    "가족", "친구", "인사", "고민", "반려생활",
}  # fmt: skip
# What is asked for: set, figure, and whether it has to be at least or at most so much.
WANTED = (
    *((name, "170 rows", "ece", "<=", 0.10) for name in TABLES),
    *((name, "whole", "ece", "<=", 0.05) for name in TABLES),
    ("services", "its own", "auroc", ">=", 0.85),
    ("services", "its own", "kept", ">=", 0.90),
    ("clinc_oos", "out of scope", "auroc", ">=", 0.95),
    ("clinc_oos", "out of scope", "kept", ">=", 0.90),
)
ROOT = Path(__file__).parent.parent
CACHE = Cache(ROOT / "build" / "benchmark-cache")  # of vectors and tokens
RESULT = ROOT / "benchmarks" / "results" / "confidence.json"


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=SETS, action="append", help="only this one")
    parser.add_argument("--draws", type=int, default=20, help="of each table")
    parser.add_argument("--defaults", action="store_true", help="print the constants")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        enter_model(ModelConfig(), Path(folder), [])
        encoder = CachedEncoder(open_encoder(Path(folder)), CACHE)
        if arguments.defaults:
            print_defaults(arguments.data, encoder)
            return
        found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        for name in arguments.set or SETS:
            found[name] = measure(name, arguments.data, arguments.draws, encoder)
            RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show_wanted(found)


def measure(name: str, data: Path, draws: int, encoder: Encoder) -> dict[str, Any]:
    """Return and print the figures of one set: of its tables, as a whole, against strangers."""
    collection, strangers = open_set(name, data)
    found: dict[str, Any] = {}
    for rows in ROWS if name in TABLES else ():
        tables = (table(collection, rows, draw) for draw in range(draws))
        found[f"{rows} rows"] = mean_of([of_table(each, encoder) for each in tables])
        print(name, f"{rows} rows:", described(found[f"{rows} rows"]), flush=True)
    encoded = encode(collection, encoder)
    found |= of_whole(encoded, strangers)
    print(name, "whole:", described(found["whole"]), flush=True)
    for label in strangers:
        print(f"  against {label}:", described(found[label]), flush=True)
    return found


def open_set(name: str, data: Path) -> tuple[Collection, dict[str, list[str]]]:
    """Return a set, and queries that it has no answer to, by where they are from."""
    if name in PUBLIC:
        return collection_of(name, data), {}
    if name == "clinc_oos":
        return clinc(data)
    sample = build_collection(read_table(SAMPLE_PATH))[0]
    kochat = read_questions(data / "kochat" / "ood_data.csv")
    strangers = {
        "its own": read_questions(SAMPLE_PATH.parent / "no_answer.csv"),
        "kochat": random.Random(0).sample(kochat, 1500),
    }
    if name == "services":
        sample = only(sample, lambda answer: answer.metadata["category"] not in SMALL_TALK)
    return sample, strangers


def read_questions(path: Path) -> list[str]:
    """Return the column `question` of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row["question"] for row in csv.DictReader(file)]


def only(collection: Collection, wanted: Callable[[Answer], bool]) -> Collection:
    """Return some of the answers, with their known questions."""
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


def table(collection: Collection, rows: int, draw: int) -> Collection:
    """Return random rows, and the answers of these alone."""
    drawn = random.Random(1000 * draw + rows).sample(collection.questions, rows)
    ids = {question.answer_id for question in drawn}
    return Collection([answer for answer in collection.answers if answer.id in ids], drawn)


def encode(collection: Collection, encoder: Encoder) -> EncodedCollection:
    """Return a collection as the starter reads it."""
    return EncodedCollection.of(collection, encoder, IndexConfig(), CACHE)


def ask_folds(encoded: EncodedCollection, most: int) -> list[Asked]:
    """Return at most so many known questions, each asked of an index without its fold."""
    rng, share = random.Random(0), most // FOLDS
    asked = []
    for fold in folds_of(encoded, FOLDS, 0):
        queries = rng.sample(fold.queries, min(share, len(fold.queries)))
        asked.append(ask(index_encoded(fold.rest), queries, seed=0))
    return asked


def of_table(collection: Collection, encoder: Encoder) -> dict[str, float]:
    """Return how far the confidence of one table can be believed."""
    evaluation = out_of_fold(ask_folds(encode(collection, encoder), MOST)).evaluation
    return quality(np.asarray(evaluation.confidence), np.asarray(evaluation.first_is_right()))


def of_whole(
    encoded: EncodedCollection, strangers: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Return the same of a whole set, and how well strangers are told from its questions."""
    found = out_of_fold(ask_folds(encoded, MOST))
    stated = np.asarray(found.evaluation.confidence)
    right = np.asarray(found.evaluation.first_is_right())
    threshold = found.fitted.calibration.threshold
    figures = {"whole": quality(stated, right)}
    searcher = Searcher(index_encoded(encoded, fitted=found.fitted))
    for label, texts in strangers.items():
        hits = searcher.search_many(texts, 1)
        strange = np.asarray([(of[0].confidence or 0.0) if of else 0.0 for of in hits])
        figures[label] = {
            "queries": len(texts),
            "auroc": roc_auc(stated, strange),
            "auroc_right": roc_auc(stated[right], strange),  # of right first answers alone
            "threshold": threshold,
            "kept": float((stated[right] >= threshold).mean()),  # of right first answers
            "refused": float((strange < threshold).mean()),
        }
    return figures


def quality(stated: Floats, right: Floats) -> dict[str, float]:
    """Return the share of right first answers, the ECE, and the ECE of a true confidence."""
    rng = np.random.default_rng(0)
    true = [(rng.random(len(stated)) < stated).astype(np.float64) for _ in range(50)]
    return {
        "queries": len(stated),
        "right": float(right.mean()),
        "ece": expected_calibration_error(stated, right.astype(np.float64))[0],
        "ece_if_true": float(np.mean([expected_calibration_error(stated, t)[0] for t in true])),
    }


def mean_of(draws: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means over the draws, and the spread and the worst of the ECE."""
    errors = [draw["ece"] for draw in draws]
    means = {name: float(np.mean([draw[name] for draw in draws])) for name in draws[0]}
    spread = {"ece_spread": float(np.std(errors)), "ece_worst": max(errors)}
    return {**means, **spread, "draws": len(draws)}


def described(figures: Mapping[str, float]) -> str:
    """Return figures in one line."""
    counts = ("queries", "draws")
    return ", ".join(
        f"{name} {value:.0f}" if name in counts else f"{name} {value:.3f}"
        for name, value in figures.items()
    )


def show_wanted(found: Mapping[str, Any]) -> None:
    """Print what was asked for beside what was found."""
    for name, part, figure, sign, bound in WANTED:
        if name in found:
            value = found[name][part][figure]
            met = value <= bound if sign == "<=" else value >= bound
            verdict = "met   " if met else "MISSED"
            print(f"{verdict} {name}, {part}: {figure} {value:.3f} {sign} {bound}")


def print_defaults(data: Path, encoder: Encoder) -> None:
    """Print the constants of search/calibration.py, and what their threshold does to each set."""
    sets = {
        name: features(ask_folds(encode(open_set(name, data)[0], encoder), MOST_FOR_DEFAULTS))
        for name in TABLES
    }
    found, marks, orphaned = (np.concatenate(each) for each in zip(*sets.values(), strict=True))
    rows = np.concatenate([found, orphaned])
    centres, spreads = rows.mean(axis=0), rows.std(axis=0)
    count = len(FEATURES)
    labels = np.concatenate([marks, np.zeros(len(orphaned))])
    slopes = logistic(
        (rows - centres) / spreads, labels, prior=np.zeros(count + 1), ridge=(1.0, 0.0)
    )[:-1]

    def logits(values: Floats) -> Floats:
        scaled: Floats = (values - centres) / spreads @ slopes
        return scaled

    scale, intercept = logistic(
        logits(found)[:, None], marks, prior=np.asarray([1.0, 0.0]), ridge=(0.0, 0.0)
    )
    print("_USUAL = {")
    for name, *three in zip(FEATURES, centres, spreads, slopes, strict=True):
        print(f'    "{name}": ({", ".join(f"{value:.4f}" for value in three)}),')
    print(f"}}\n_SCALE, _INTERCEPT = {scale:.4f}, {intercept:.4f}")
    for name, (of_set, right, orphans) in sets.items():
        kept, refused = (
            1 / (1 + np.exp(-(scale * logits(values) + intercept))) >= DEFAULT.threshold
            for values in (of_set[right > 0], orphans)
        )
        print(
            f"# {name}: at {DEFAULT.threshold} {kept.mean():.3f} of the right first answers are "
            f"kept, {1 - refused.mean():.3f} of the queries without their answers refused"
        )


def features(asked: Sequence[Asked]) -> tuple[Floats, Floats, Floats]:
    """Return FEATURES of each query, whether its first answer is right, and FEATURES without it."""
    found: list[Floats] = []
    orphaned: list[Floats] = []
    right: list[bool] = []
    for place, part in enumerate(asked):
        weights = fit([*asked[:place], *asked[place + 1 :]], "questions of other folds").weights
        for query, candidates in zip(part.queries, part.found, strict=True):
            for left, kept in ((candidates, found), (candidates.without(query.grades), orphaned)):
                if ranked := fuse(left, weights=weights, k=2):
                    kept.append(features_of(clean(query.text), left, ranked))
                    if kept is found:
                        right.append(query.grades.get(ranked[0].answer_id, 0) > 0)
    return np.stack(found), np.asarray(right, np.float64), np.stack(orphaned)


if __name__ == "__main__":
    main()
