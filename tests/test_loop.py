import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexes.collection import Collection, build_collection, open_collection
from indexes.errors import DotbogiError, UsageError
from indexes.store import Workspace
from indexes.tables import read_table
from indexes.text import same_text_key
from search import ModelConfig, Searcher, index_collection
from search.index import question_digest
from training import LoopConfig, MiningConfig, resume_loop, run_loop
from training.ledger import Ledger
from training.measure.evaluation import evaluate_table
from training.negatives.files import open_negatives
from training.run import Run

ROOT = Path(__file__).parent.parent
FAST = {"epochs": 3, "batch_size": 64}
STILL = {"penalty": 1e9}  # holds the maps at zero


def secret_language() -> list[tuple[str, str]]:
    """Pairs in which each question word stands for one answer word, and for no letter of it.

    BM25 can find no answer, and no two questions share one; a model that learns the words from
    the training pairs finds those of unseen combinations.
    """
    letters = [chr(0xAC00 + 28 * 9 * n) for n in range(40)]
    ours, theirs = letters[:20], letters[20:]
    rng = random.Random(0)
    rng.shuffle(theirs)
    triples = rng.sample(list(itertools.combinations(range(20), 3)), 700)
    return [
        (" ".join(ours[i] for i in triple), " ".join(theirs[i] for i in triple))
        for triple in triples
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "pairs.csv"
    lines = ["question,answer", *(",".join(pair) for pair in secret_language())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def small(table: Path) -> Collection:
    return build_collection(read_table(table))[0]


@pytest.fixture(scope="module")
def trained(
    small: Collection, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, object]:
    place = Workspace(tmp_path_factory.mktemp("trained") / "w")
    index_collection(place, small, {"table": "pairs.csv"}, model=ModelConfig())
    mining = MiningConfig(quotas={"bm25": 1, "random": 1})
    fit = {"penalty": 1.0, "learning_rate": 0.01}  # a random base is nothing to hold on to
    result = run_loop(place, small, LoopConfig(rounds=1, mining=mining, fit=fit))
    return place, result


def test_training_finds_what_neither_bm25_nor_the_untrained_model_can(trained) -> None:  # type: ignore[no-untyped-def]
    _, result = trained
    for before, after in (
        (result.dev[0]["metrics"], result.dev[1]["metrics"]),
        (result.test["base"], result.test["kept"]),
    ):
        assert before["bm25"]["MRR@10"] < 0.1
        assert before["dense"]["MRR@10"] < 0.1
        assert after["dense"]["MRR@10"] > 0.5
        assert after["hybrid"]["MRR@10"] > before["hybrid"]["MRR@10"] + 0.1


def test_a_kept_round_is_published_over_the_whole_collection(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, result = trained
    assert result.dev[1]["kept"]
    assert result.generation == place.current_name() == "000002"
    searcher = Searcher.open(place.folder)
    assert len(searcher.index.collection.questions) == len(small.questions)
    assert searcher.index.geometry.adapter is not None
    assert place.current().manifest["training"] == {
        "run": "run-0001", "round": 1, "seed": 42, "objective": "mnr",
    }  # fmt: skip


def test_the_ledger_tells_the_run_and_the_working_models_are_gone(trained) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    folder = place.rounds_folder / "run-0001"
    events = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == [
        "started", "evaluated", "mined", "trained", "evaluated", "tested", "published", "ended",
    ]  # fmt: skip
    mined = events[2]
    assert set(mined["yields"]) == {"bm25", "random"}
    assert events[3]["fit"]["epochs"] == 10
    assert all(event["time"] for event in events)
    assert (folder / "negatives-1.parquet").is_file()
    assert (folder / "run.trec").is_file()
    assert not list(folder.glob("round-*"))
    assert not (folder / "base").exists()


def test_a_model_knows_what_it_trained_on_after_reindexing(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    folder = place.rounds_folder / "run-0001"
    from indexes.collection import open_collection

    train = {q.text for q in open_collection(folder).questions if q.split == "train"}
    index_collection(place, Collection(small.answers, []), {})  # its questions leave the table
    searcher = Searcher.open(place.folder)
    assert searcher.index.trained_on == {question_digest(text) for text in train}
    _, unseen = evaluate_table(searcher, small)
    assert 0.15 < sum(unseen) / len(unseen) < 0.25
    place.roll_back("000002")


def test_another_seed_would_test_on_training_questions_and_is_refused(
    trained, small: Collection
) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    with pytest.raises(UsageError, match=r"has trained on .* Use --seed 42, or"):
        run_loop(place, small, LoopConfig(seed=7))


def test_training_never_drops_indexed_answers(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    fewer = Collection(
        small.answers[:50],
        [q for q in small.questions if q.answer_id in {a.id for a in small.answers[:50]}],
    )
    with pytest.raises(UsageError, match=r"lacks .* answers that are indexed"):
        run_loop(place, fewer, LoopConfig())


def test_rounds_may_start_from_the_last_kept_model_and_keep_their_negatives(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    mining = MiningConfig(quotas={"bm25": 1, "random": 1})
    config = LoopConfig(
        rounds=3, patience=3, mining=mining, start_from="last", keep_negatives=True,
        kind="full", fit={**FAST, "epochs": 8, "learning_rate": 0.003},
    )  # fmt: skip
    result = run_loop(place, small, config, model=ModelConfig())
    folder = place.rounds_folder / "run-0001"
    ledger = Ledger(folder)
    kept = [entry["round"] for entry in result.dev if entry["kept"]]
    assert kept[:2] == [0, 1]
    for number in (1, 2, 3):
        trained = ledger.get("trained", number)
        assert trained is not None
        assert trained["start"] == max(n for n in kept if n < number)
        assert trained["negatives"] == 2 * number
    texts = [
        {
            (n.question, n.positive_id, n.text)
            for n in open_negatives(folder / f"negatives-{i}.parquet")
        }
        for i in (1, 2, 3)
    ]
    assert sum(map(len, texts)) == len(set.union(*texts))


def test_a_round_without_gain_is_dropped_and_ends_the_loop(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, small, {}, model=ModelConfig())
    config = LoopConfig(rounds=3, patience=1, fit=STILL)
    result = run_loop(place, small, config)
    assert [entry["kept"] for entry in result.dev] == [True, False]
    assert result.ended_early == "ended after round 1 of 3: no gain"
    assert result.generation == place.current_name() == "000002"  # what was fitted for it
    assert place.current().manifest["training"] is None


def test_too_few_questions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text("Q,A\n배고프다,밥 드세요\n")
    with pytest.raises(DotbogiError, match="1 questions for 1 answers: too few"):
        run_loop(Workspace(tmp_path / "w"), build_collection(read_table(one))[0], LoopConfig())
    assert not (tmp_path / "w").exists()


def test_a_workspace_never_indexed_gets_its_first_generation_by_training(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    config = LoopConfig(rounds=1, fit=STILL)
    result = run_loop(place, small, config, model=ModelConfig(query_prompt="질문: "))
    assert result.generation == place.current_name() == "000001"
    with pytest.raises(UsageError, match="this run has ended"):
        resume_loop(place)


def test_evaluation_does_not_let_a_question_find_itself(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    evaluation, _ = evaluate_table(Searcher.open(place.folder), small)
    # Each question is in the index word for word; found by itself, BM25 would have it right.
    assert evaluation.mean("bm25", "recall@1") < 0.1


def test_a_line_torn_by_a_kill_has_not_happened(tmp_path: Path) -> None:
    Ledger(tmp_path).add("started", answer=42)
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"event": "evalua')
    ledger = Ledger(tmp_path)
    assert ledger.get("started")["answer"] == 42  # type: ignore[index]
    ledger.add("evaluated", 0)
    assert Ledger(tmp_path).get("evaluated", 0)


def train_command(table: Path, workspace: Path, *options: str) -> list[str]:
    return [
        sys.executable, "cli.py", "train", *([] if "--resume" in options else [str(table)]),
        "--workspace", str(workspace), *options, "--json",
    ]  # fmt: skip


def test_a_new_run_clears_the_models_of_one_that_was_given_up(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, small, {}, model=ModelConfig())
    given_up = place.rounds_folder / "run-0001"
    (given_up / "round-1" / "checkpoints").mkdir(parents=True)
    (given_up / "base").mkdir()
    (given_up / "config.json").write_text("{}")
    result = run_loop(place, small, LoopConfig(rounds=1, fit=STILL))
    assert result.run == "run-0002"
    assert [path.name for path in given_up.iterdir()] == ["config.json"]


@pytest.mark.slow
def test_a_killed_run_resumed_ends_like_an_uninterrupted_one(
    table: Path, tiny_model: Path, tmp_path: Path
) -> None:
    options = ["--rounds", "2", "--patience", "2", "--epochs", "6", "--batch-size", "16"]
    options += ["--model", str(tiny_model), "--fit", "full", "--learning-rate", "0.003"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(*command: str) -> dict:  # type: ignore[type-arg]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    whole = run(*train_command(table, tmp_path / "whole", *options))

    cut = tmp_path / "cut"
    process = subprocess.Popen(
        train_command(table, cut, *options),
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    checkpoints = cut / "rounds" / "run-0001" / "round-1" / "checkpoints"
    deadline = time.monotonic() + 300
    while not len(list(checkpoints.glob("checkpoint-*/trainer_state.json"))) >= 2:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Workspace(cut).current_name() is None
    overtaken = tmp_path / "overtaken"
    shutil.copytree(cut, overtaken)
    index_collection(Workspace(overtaken), build_collection(read_table(table))[0], {})
    with pytest.raises(UsageError, match="resuming would undo it"):
        resume_loop(Workspace(overtaken))
    ledger = (cut / "rounds" / "run-0001" / "ledger.jsonl").read_text()
    assert '"event": "trained"' not in ledger

    resumed = run(*train_command(table, cut, "--resume"))
    for result in (whole, resumed):
        for entry in [*result["dev"], result["test"]]:
            entry.pop("time")
            entry.pop("seconds")
    assert resumed == whole
    manifests = [Workspace(tmp_path / name).current().manifest for name in ("whole", "cut")]
    assert manifests[0]["model_fingerprint"] == manifests[1]["model_fingerprint"]


def test_a_model_that_knows_the_development_questions_is_no_incumbent(
    trained, small: Collection
) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    result = run_loop(place, small, LoopConfig(seed=7, rounds=1), model=ModelConfig())
    ledger = Ledger(place.rounds_folder / result.run)
    assert ledger.get("incumbent") is None


def test_an_unmeasured_text_is_left_out_of_the_measuring(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, result = trained
    folder = place.rounds_folder / result.run
    split = open_collection(folder)
    seen = split.only(["dev"]).questions[0]
    known = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    (folder / "trained.json").write_text(
        json.dumps([*known, question_digest(seen.text)]), encoding="utf-8"
    )
    config = LoopConfig()
    run = Run(place, folder, split, config, progress=False)
    assert same_text_key(seen.text) not in {same_text_key(query.text) for query in run.dev}
    (folder / "trained.json").write_text(json.dumps(known), encoding="utf-8")
