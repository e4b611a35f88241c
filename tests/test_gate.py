import csv
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import run

from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.training.gate import LEVEL, judge, judge_searches
from dotbogi.training.ledger import Measured, read_events
from dotbogi.training.measure.bootstrap import paired_draws


def test_a_round_is_kept_at_the_level_and_not_below() -> None:
    draws = np.linspace(-0.05, 1, 10_000)
    assert judge(draws - np.quantile(draws, 1 - LEVEL) + 1e-3, 0.5).kept
    assert not judge(draws - np.quantile(draws, 1 - LEVEL) - 1e-3, 0.5).kept
    same = judge(*paired_draws([0.5] * 50, [0.5] * 50, seed=0))
    assert (same.kept, same.probability, same.gain.mean) == (False, 0.5, 0)


def test_chance_alone_is_seldom_kept_and_a_real_gain_mostly() -> None:
    rng = np.random.default_rng(0)

    def kept(gain: float) -> float:
        verdicts = []
        for seed in range(60):
            before = rng.choice([0, 0.2, 0.5, 1], 500)
            moved = rng.choice([-0.5, 0, 0.5], 500, p=[0.05, 0.9, 0.05])
            after = before + moved + rng.choice([0, 0.5], 500, p=[1 - 2 * gain, 2 * gain])
            verdicts.append(judge(*paired_draws(after.tolist(), before.tolist(), seed=seed)).kept)
        return float(np.mean(verdicts))

    assert kept(0) <= 0.1  # 4 of 100 are expected
    assert kept(0.02) >= 0.5
    assert kept(0.05) >= 0.95


def test_dense_search_is_a_witness_and_no_more() -> None:
    """Dense search alone may show a gain of the hybrid, and cannot make one."""
    rng = np.random.default_rng(1)
    before = np.full(300, 0.5)
    blurred = before + 0.01 + rng.choice([-0.2, 0.2], 300)
    clear = before + 0.05 + rng.choice([-0.1, 0.1], 300)

    def judged(hybrid: np.ndarray, dense: np.ndarray) -> bool:
        return judge_searches((hybrid, before), (dense, before), seed=0).kept

    blurred += 0.012 - (blurred - before).mean()  # a gain of .012, P = .85 or so
    assert not judged(blurred, blurred)
    assert judged(blurred, clear)
    assert not judged(before - 0.001, clear)
    assert not judged(blurred, before - 0.05)


def write_poisoned(share: float, path: Path) -> None:
    """Write a part of the sample with the answers shuffled among a share of its questions."""
    collection = build_collection(read_table(SAMPLE_PATH))[0]
    collection = replace(collection, questions=collection.questions[::3])
    texts = {answer.id: answer.text for answer in collection.answers}
    rng = random.Random(0)
    victims = rng.sample(collection.questions, int(share * len(collection.questions)))
    shuffled = [question.answer_id for question in victims]
    rng.shuffle(shuffled)
    wrong = dict(zip(victims, shuffled, strict=True))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer", "answer_id"])
        for question in collection.questions:
            answer_id = wrong.get(question, question.answer_id)
            writer.writerow([question.text, texts[answer_id], answer_id])


@pytest.mark.slow
@pytest.mark.starter
def test_a_poisoned_run_is_dropped_ends_early_and_leaves_what_is_published(tmp_path: Path) -> None:
    w = tmp_path / "w"
    table = tmp_path / "poisoned.csv"
    write_poisoned(0.6, table)
    assert run("index", table, "-w", w).exit_code == 0
    published = Workspace(w).current()

    result = run("train", table, "-w", w, "--rounds", 3)
    assert result.exit_code == 0, result.output
    assert "ended after round 1 of 3: no gain" in result.stdout
    assert "with the model as it was" in result.stdout
    assert Workspace(w).current_name() == published.name
    rounds = [e for e in read_events(w / "rounds" / "run-0001") if isinstance(e, Measured)]
    assert [event.kept for event in rounds] == [True, False]
