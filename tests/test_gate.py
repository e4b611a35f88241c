import csv
import json
import random
from pathlib import Path

import pytest

from indexes.collection import build_collection
from indexes.store import Workspace
from indexes.tables import SAMPLE_PATH, read_table
from tests.conftest import run
from training.split import split_collection


def write_poisoned(share: float, path: Path) -> None:
    """Write the sample with the answers shuffled among a share of its train questions."""
    collection = split_collection(build_collection(read_table(SAMPLE_PATH))[0], seed=42)
    texts = {answer.id: answer.text for answer in collection.answers}
    train = [q for q in collection.questions if q.split == "train"]
    rng = random.Random(0)
    victims = rng.sample(train, int(share * len(train)))
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
    assert run("index", SAMPLE_PATH, "-w", w).exit_code == 0
    published = Workspace(w).current()

    table = tmp_path / "poisoned.csv"
    write_poisoned(0.6, table)
    result = run("train", table, "-w", w, "--rounds", 3)
    assert result.exit_code == 0, result.output
    assert "ended after round 1 of 3: no gain" in result.stdout
    assert "CURRENT stays as it was" in result.stdout
    assert Workspace(w).current_name() == published.name
    lines = (w / "rounds" / "run-0001" / "ledger.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    rounds = [event for event in events if event["event"] == "evaluated"]
    assert [event["kept"] for event in rounds] == [True, False]
    dense = [event["metrics"]["dense"]["MRR@10"] for event in rounds]
    assert dense[1] < dense[0] - 0.02  # the fit did harm, the gate saw it
    assert "ended after round 1" in events[-1]["early"]
