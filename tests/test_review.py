import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWERS, QUESTIONS, run

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, open_collection
from dotbogi.indexes.errors import DamagedError
from dotbogi.training.judgements.decisions import (
    Decision,
    apply_decisions,
    read_decisions,
    review_counts,
    save_decisions,
)
from dotbogi.training.judgements.review import Suspect, list_suspects, save_review
from dotbogi.training.ledger import Trained, read_events
from dotbogi.training.negatives import Negative
from dotbogi.training.negatives.files import open_negatives
from dotbogi.training.split import hold_out


def decision(question: str, answer: str, right: bool) -> Decision:
    return Decision(question, answer, right, "2026-11-21T00:00:00+00:00")


def table() -> Collection:
    return Collection(
        [Answer(key, text) for key, text in ANSWERS.items()],
        [KnownQuestion(text, answer_id) for text, answer_id in QUESTIONS],
    )


def test_accepted_pairs_become_known_and_rejected_ones_are_listed() -> None:
    decisions = [
        decision("배 고프다!", "푹 쉬면 나아질 거예요", True),  # found by its normalised texts
        decision("비번 까먹음", ANSWERS["a8"], False),
        decision("모르는 질문", ANSWERS["a1"], True),
    ]
    applied = apply_decisions(table(), decisions)
    assert applied.accepted == [("배고프다", "a2")]
    assert KnownQuestion("배고프다", "a2", origin="review") in applied.collection.questions
    assert applied.rejected == [("비번 까먹음", "a8")]
    assert (applied.withdrawn, applied.overruled, applied.unmatched) == (0, 0, 1)
    assert apply_decisions(applied.collection, decisions).collection == applied.collection


def test_the_last_decision_holds_and_takes_back_an_earlier_one_that_was_published() -> None:
    accepted = decision("배고프다", ANSWERS["a2"], True)
    published = apply_decisions(table(), [accepted]).collection
    applied = apply_decisions(published, [accepted, decision("배고프다", ANSWERS["a2"], False)])
    assert applied.collection == table()
    assert (applied.withdrawn, applied.rejected) == (1, [("배고프다", "a2")])


def test_a_rejected_pair_that_the_table_holds_stays_known() -> None:
    applied = apply_decisions(table(), [decision("배고프다", ANSWERS["a1"], False)])
    assert applied.collection == table()
    assert (applied.overruled, applied.rejected) == (1, [])


def test_a_rejected_answer_is_rejected_under_every_id_of_its_text() -> None:
    answers = [Answer("b1", "네."), Answer("b2", "네."), Answer("b3", "아니요.")]
    users = KnownQuestion("되나요", "b2", None, "feedback", 1)
    collection = Collection(answers, [KnownQuestion("되나요", "b3"), users])
    applied = apply_decisions(collection, [decision("되나요", "네.", False)])
    assert applied.rejected == [("되나요", "b1"), ("되나요", "b2")]
    assert users not in applied.collection.questions


def test_an_accepted_pair_goes_to_the_split_of_its_question() -> None:
    pairs = table()
    splits = {q.text: q.split for q in hold_out(pairs, 0.5, seed=3).questions}
    held_out = next(text for text, split in splits.items() if split != "train")
    applied = apply_decisions(pairs, [decision(held_out, ANSWERS["a7"], True)])
    split = hold_out(applied.collection, 0.5, seed=3)
    assert KnownQuestion(held_out, "a7", splits[held_out], "review") in split.questions
    counts = review_counts(applied, split)["accepted"]
    assert counts == {**dict.fromkeys(("train", "dev", "test"), 0), splits[held_out]: 1}


def test_a_damaged_line_of_decisions_is_named(tmp_path: Path) -> None:
    save_decisions(tmp_path, [decision("q", "a", True)])
    save_decisions(tmp_path, [decision("q", "b", False)])
    assert [d.answer for d in read_decisions(tmp_path)] == ["a", "b"]
    path = tmp_path / "review.jsonl"
    with path.open("a") as file:
        file.write("{}\n")
    with pytest.raises(DamagedError, match=r"review\.jsonl: differs from the digest .* first line"):
        read_decisions(tmp_path)
    path.write_bytes(path.read_bytes().partition(b"\n")[2])  # as the message says
    with pytest.raises(DamagedError, match=r"review\.jsonl, line 3"):
        read_decisions(tmp_path)


def negative(question: str, answer_id: str, cosine: float, **changes: Any) -> Negative:
    facts: dict[str, Any] = {
        "question": question, "positive_id": "a1", "answer_id": answer_id,
        "text": ANSWERS[answer_id], "source": "model", "rank": 1, "score": cosine,
        "cosine": cosine, "positive_cosine": 0.5, "bound": 0.4,
    }  # fmt: skip
    return Negative(**{**facts, **changes})


def test_the_list_has_a_pair_once_those_above_their_positive_first() -> None:
    suspects = [
        negative("배고프다", "a2", 0.45),
        negative("배고프다", "a3", 0.60),
        negative("배 고프다", "a3", 0.55, source="bm25"),
        negative("배고프다", "a4", 0.90),
    ]
    suspects.append(negative("피곤해 죽겠다", "a5", 0.70, positive_cosine=0.72))
    decided = [decision("배고프다", ANSWERS["a4"], True)]
    listed = list_suspects([suspects], table(), decided)
    assert [(s.answer_id, s.cosine) for s in listed] == [
        ("a3", 0.6), ("a5", 0.7), ("a2", 0.45),
    ]  # fmt: skip
    assert listed[0].known_answer == ANSWERS["a1"]
    many = [negative("배고프다", f"a{number}", number / 10) for number in range(2, 9)]
    assert [s.answer_id for s in list_suspects([many], table(), [])] == ["a8", "a7", "a6"]
    later = [negative("배고프다", "a2", 0.45)]
    assert [s.answer_id for s in list_suspects([later, many], table(), [])] == ["a2", "a8", "a7"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Trained once, on questions some of which a spreadsheet takes for formulas."""
    pairs = tmp_path / "pairs.csv"
    signs = ["=", "+", "-", "@", "'=", ""]
    with pairs.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        for number in range(80):
            sign = signs[number % len(signs)]
            writer.writerow([f"{sign}질문 {number} 배송 언제", f"{sign}답변 {number // 2} 배송"])
    result = run(
        "train", pairs, "-w", tmp_path / "w", "--model", "starter", "--rounds", 1, "--epochs", 1
    )
    assert result.exit_code == 0, result.output
    assert "review:" not in result.stdout
    return tmp_path / "w"


def read_list(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_list(rows: list[dict[str, str]], path: Path, encoding: str) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def events(workspace: Path, number: int) -> dict[str, Any]:
    lines = (workspace / f"rounds/run-{number:04}/ledger.jsonl").read_text().splitlines()
    return {event["event"]: event for event in map(json.loads, lines)}


def test_decisions_go_out_as_csv_come_back_from_a_spreadsheet_and_are_used(
    workspace: Path, tmp_path: Path
) -> None:
    written = workspace / "rounds" / "run-0001" / "review.csv"
    assert written.read_bytes().startswith(b"\xef\xbb\xbf")  # Excel reads UTF-8 by this mark
    rows = read_list(written)
    shown = json.loads(run("review", "-w", workspace, "-n", 3, "--json").stdout)
    assert shown["count"] == len(rows)
    assert len(shown["suspects"]) == 3
    texts = [cell for row in rows for cell in row.values() if not re.fullmatch(r"-?[\d.]*", cell)]
    assert texts
    assert not any(text[:1] in "=+-@" for text in texts)
    risky = [row for row in rows if row["question"].startswith("'")]
    first, second = risky[0], next(r for r in risky if r["question"] != risky[0]["question"])
    first["decision"], second["decision"] = "맞음", " X "
    write_list(rows, tmp_path / "back.csv", "cp949")

    imported = run("review", "--import", tmp_path / "back.csv", "-w", workspace, "--json")
    assert json.loads(imported.stdout) == {
        "right": 1, "wrong": 1, "changed": 0, "undecided": len(rows) - 2, "unknown": [],
    }  # fmt: skip
    assert run("review", "-w", workspace, "--out", tmp_path / "left.csv").exit_code == 0
    left = {(row["question"], row["answer_id"]) for row in read_list(tmp_path / "left.csv")}
    assert left.isdisjoint((row["question"], row["answer_id"]) for row in (first, second))

    trained = run("train", "-w", workspace, "--rounds", 1, "--epochs", 1)
    assert trained.exit_code == 0, trained.output
    assert "review: 1 accepted, 1 rejected" in trained.stdout
    ledger = events(workspace, 2)
    assert ledger["started"]["review"]["accepted"] == {"train": 1, "dev": 0, "test": 0}
    assert ledger["started"]["review"]["rejected"] == 1
    used = ledger["mined"]["yields"]["review"]
    assert used["asked"] == used["kept"] >= 1

    folder = workspace / "rounds" / "run-0002"
    known = {(q.text, q.answer_id): q.split for q in open_collection(folder).questions}
    assert known[first["question"][1:], first["answer_id"]] == "train"
    confirmed = [n for n in open_negatives(folder / "negatives-1.parquet") if n.source == "review"]
    assert {(n.question, n.answer_id) for n in confirmed} == {
        (second["question"][1:], second["answer_id"])
    }
    ledgers = [read_events(workspace / f"rounds/run-000{number}") for number in (1, 2)]
    before, after = (
        sum(e.rows for e in events if isinstance(e, Trained) and e.fold is not None)
        for events in ledgers
    )
    assert after == before + 4  # of five folds, the four that it is not in


def test_a_later_decision_replaces_an_earlier_one(workspace: Path, tmp_path: Path) -> None:
    row = read_list(workspace / "rounds" / "run-0001" / "review.csv")[0]
    path = tmp_path / "one.csv"
    write_list([{**row, "decision": "yes"}], path, "utf-8")
    assert run("review", "--import", path, "-w", workspace).exit_code == 0
    write_list([{**row, "decision": "no"}], path, "utf-8")
    result = run("review", "--import", path, "-w", workspace)
    assert re.search("0 right, 1 wrong, 0 undecided; 1 changed", result.output)
    both = [{**row, "decision": "o"}, {**row, "decision": "x"}]
    write_list(both, path, "utf-8")
    result = run("review", "--import", path, "-w", workspace)
    assert result.exit_code == 2
    assert re.search("rows 2 and 3: .* right and wrong", result.stderr)
    assert len(read_decisions(workspace)) == 2


def test_a_list_that_cannot_be_read_is_one_clear_line_and_stores_nothing(
    workspace: Path, tmp_path: Path
) -> None:
    row = read_list(workspace / "rounds" / "run-0001" / "review.csv")[0]
    path = tmp_path / "list.csv"
    write_list([{**row, "decision": "no"}, {**row, "decision": "maybe"}], path, "utf-8")
    result = run("review", "--import", path, "-w", workspace)
    assert result.exit_code == 2
    assert re.search("row 3: .*'maybe'.* accept, yes", result.stderr)
    path.write_text("question,answer\nx,y\n")
    result = run("review", "--import", path, "-w", workspace)
    assert "no column 'decision' among 'question', 'answer'" in result.stderr
    assert not (workspace / "review.jsonl").exists()
    stranger = {**row, "decision": "no", "question": "남의 질문"}
    write_list([stranger, {**row, "decision": "no"}], path, "utf-8")
    result = run("review", "--import", path, "-w", workspace)
    assert result.exit_code == 0
    assert "not in this workspace: row 2: '남의 질문'" in result.output
    assert len(read_decisions(workspace)) == 1


def test_mine_writes_the_pool_whole_and_never_over_other_files(
    workspace: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pool"
    arguments = ["mine", "-w", workspace, "--out", out, "--negatives", "bm25:1,model:1"]
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    files = {path.name for path in out.iterdir()}
    assert files == {*report["files"], "mining.json"}
    assert {"negatives.parquet", "n-tuple.jsonl", "flagembedding.jsonl", "review.csv"} < files
    tuples = [json.loads(line) for line in (out / "n-tuple.jsonl").read_text().splitlines()]
    assert len(tuples) == report["pairs"]
    assert set(tuples[0]) == {"anchor", "positive", "negative_1", "negative_2"}
    assert len(open_negatives(out / "negatives.parquet")) == 2 * report["pairs"]
    assert len(read_list(out / "review.csv")) == report["suspects"]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".pool")]

    assert "bm25" in run(*arguments).stdout  # over its own
    with (out / "review.csv").open("a") as file:
        file.write("\n")
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert re.search("review.csv .*changed", refused.stderr)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    refused = run(*arguments[:4], tmp_path / "mine")
    assert refused.exit_code == 2
    assert "not from dotbogi mine" in refused.stderr


def test_a_review_before_any_run_says_what_to_run(tmp_path: Path, pairs_csv: Path) -> None:
    assert run("index", pairs_csv, "-w", tmp_path / "w").exit_code == 0
    result = run("review", "-w", tmp_path / "w")
    assert result.exit_code == 2
    assert "Run: dotbogi train" in result.stderr


def test_cells_that_a_spreadsheet_would_compute_survive_both_ways(tmp_path: Path) -> None:
    from dotbogi.indexes.tables.neutral import restored

    texts = ["=1+1", "'=1+1", "''@x", "-3도", "+82", "@이름", "\t탭", "'인용'", "보통"]
    save_review([Suspect(t, t, "a", t, 0.5, 0.4, "model") for t in texts], tmp_path / "r.csv")
    rows = read_list(tmp_path / "r.csv")
    assert [restored(row["question"]) for row in rows] == texts
    assert not any(row["question"][0] in "=+-@\t" for row in rows)
