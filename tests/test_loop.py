import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from effort import SOAK

from dotbogi.indexes.collection import (
    Answer,
    Collection,
    KnownQuestion,
    build_collection,
    open_collection,
)
from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import read_table
from dotbogi.indexes.text import same_text_key
from dotbogi.search import ModelConfig, Searcher, index_collection
from dotbogi.search.index import question_digest
from dotbogi.training import LoopConfig, MiningConfig, RunResult, resume_loop, run_loop
from dotbogi.training.judgements.decisions import Decision, save_decisions
from dotbogi.training.ledger import Ended, Ledger, Measured, Mined, Started, Trained, read_events
from dotbogi.training.measure.evaluation import evaluate_table
from dotbogi.training.negatives.files import open_negatives
from dotbogi.training.run import Run

ROOT = Path(__file__).parent.parent
FIT = {"penalty": 1.0, "learning_rate": 0.01}  # a random base is nothing to hold on to
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
) -> tuple[Workspace, RunResult]:
    place = Workspace(tmp_path_factory.mktemp("trained") / "w")
    index_collection(place, small, {"table": "pairs.csv"}, model=ModelConfig())
    mining = MiningConfig(quotas={"bm25": 1, "random": 1})
    config = LoopConfig(rounds=1, folds=3, holdout=0.2, hard_from=1, mining=mining, fit=FIT)
    return place, run_loop(place, small, config)


def hybrid(metrics: object) -> float:
    return metrics["hybrid"]["MRR@10"]  # type: ignore[index,no-any-return]


def test_training_finds_what_neither_bm25_nor_the_untrained_model_can(trained) -> None:  # type: ignore[no-untyped-def]
    _, result = trained
    assert result.test is not None
    for before, after in (
        (result.rounds[0].metrics, result.rounds[1].metrics),
        (result.test.before, result.test.after),
    ):
        assert before["bm25"]["MRR@10"] < 0.1
        assert before["dense"]["MRR@10"] < 0.1
        assert after["dense"]["MRR@10"] > 0.5
        assert hybrid(after) > hybrid(before) + 0.1


def test_what_is_measured_out_of_fold_is_what_untouched_questions_find(trained) -> None:  # type: ignore[no-untyped-def]
    _, result = trained
    assert result.test is not None
    # The refit has learned from all folds, so a little more.
    assert -0.15 < hybrid(result.rounds[1].metrics) - hybrid(result.test.after) < 0.05


def test_every_question_but_those_held_out_is_measured_once(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, result = trained
    folder = place.rounds_folder / result.run
    split = open_collection(folder)
    held_out = split.only(["test"]).questions
    assert 0.15 < len(held_out) / len(small.questions) < 0.25
    assert result.rounds[0].queries == len(small.questions) - len(held_out)
    assert result.started.counts == {
        "train": result.rounds[0].queries, "test": len(held_out),
    }  # fmt: skip
    lines = (folder / "queries.tsv").read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[1] for line in lines]
    assert len(set(texts)) == len(texts) == result.rounds[0].queries
    assert {question.text for question in held_out}.isdisjoint(texts)
    assert sum(part["queries"] for part in result.rounds[0].slices.values()) == len(texts)


def test_no_fold_learns_from_its_own_questions(small: Collection, tmp_path: Path) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, small, {}, model=ModelConfig())
    config = LoopConfig(rounds=1, folds=3, fit=FIT)
    run_loop(place, small, config)
    run = Run(
        place, place.rounds_folder / "run-0001",
        open_collection(place.rounds_folder / "run-0001"), config, progress=False,
    )  # fmt: skip
    for fold, queries in run._queries.items():
        kept = [mark != fold for mark in run.learner.fold_of_question]
        learned = {
            same_text_key(question.text)
            for question, mark in zip(run.learner.train.questions, kept, strict=True)
            if mark
        }
        assert learned.isdisjoint(same_text_key(query.text) for query in queries)
        assert len(learned) + len(queries) == len(run.learner.train.questions)


def test_a_kept_round_is_published_over_the_whole_collection(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, result = trained
    assert result.rounds[1].kept
    assert result.generation == place.current_name() == "000002"
    searcher = Searcher.open(place.folder)
    assert len(searcher.index.collection.questions) == len(small.questions)
    assert searcher.index.geometry.adapter is not None
    assert searcher.index.fitted == result.rounds[1].fitted
    assert place.current().manifest["training"] == {
        "run": "run-0001", "round": 1, "kind": "adapter", "seed": 42, "objective": "mnr",
    }  # fmt: skip


def test_the_ledger_tells_the_run_and_the_working_models_are_gone(trained) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    folder = place.rounds_folder / "run-0001"
    events = Ledger(folder).events
    learned = ["mined"] * 3 + ["trained"] * 3
    assert [event.name for event in events] == [
        "started", "measured", "mined", *learned, "measured", "trained", "tested", "published",
        "ended",
    ]  # fmt: skip
    mined = [event for event in events if isinstance(event, Mined)]
    assert [event.fold for event in mined] == [None, 0, 1, 2]
    assert set(mined[0].yields) == {"bm25", "random"}
    fits = [event for event in events if isinstance(event, Trained)]
    assert [event.fold for event in fits] == [0, 1, 2, None]
    assert fits[-1].settings["epochs"] == 10
    assert fits[-1].rows == sum(event.rows for event in fits[:-1]) / 2
    assert all(event.time for event in events)
    assert (folder / "negatives-1.parquet").is_file()
    assert (folder / "run-1.trec").is_file()
    assert not list(folder.glob("round-*"))
    assert not (folder / "base").exists()


def test_a_model_knows_what_it_trained_on_after_reindexing(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    folder = place.rounds_folder / "run-0001"
    train = {q.text for q in open_collection(folder).questions if q.split == "train"}
    index_collection(place, Collection(small.answers, []), {})  # its questions leave the table
    searcher = Searcher.open(place.folder)
    assert searcher.index.trained_on == {question_digest(text) for text in train}
    _, unseen = evaluate_table(searcher, small)
    assert 0.15 < sum(unseen) / len(unseen) < 0.25
    place.roll_back("000002")


def test_another_run_starts_from_the_base_whatever_its_seed(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, first = trained
    result = run_loop(place, small, LoopConfig(seed=7, rounds=1, folds=2, fit=STILL))
    assert hybrid(result.rounds[0].metrics) == pytest.approx(
        hybrid(first.rounds[0].metrics), abs=0.03
    )
    assert not result.rounds[1].kept
    assert result.generation is None  # the trained model stays
    assert place.current_name() == "000002"


def test_training_never_drops_indexed_answers(trained, small: Collection) -> None:  # type: ignore[no-untyped-def]
    place, _ = trained
    fewer = Collection(
        small.answers[:50],
        [q for q in small.questions if q.answer_id in {a.id for a in small.answers[:50]}],
    )
    with pytest.raises(UsageError, match=r"lacks .* answers that are indexed"):
        run_loop(place, fewer, LoopConfig())


def test_a_first_round_learns_in_batch_and_the_next_from_what_it_mines(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    mining = MiningConfig(quotas={"random": 2})
    config = LoopConfig(rounds=2, patience=2, folds=2, mining=mining, fit=FIT)
    run_loop(place, small, config, model=ModelConfig())
    ledger = Ledger(place.rounds_folder / "run-0001")
    negatives = {
        event.round: event.negatives for event in ledger.events if isinstance(event, Trained)
    }
    assert negatives == {1: 0, 2: 2}
    found = open_negatives(ledger._path.parent / "negatives-2.parquet")
    assert {negative.source for negative in found} == {"random"}


@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="half a minute: in make soak")
def test_full_fits_may_start_from_the_last_kept_round(small: Collection, tmp_path: Path) -> None:
    place = Workspace(tmp_path / "w")
    config = LoopConfig(
        rounds=2, patience=2, folds=1, hard_from=1, start_from="last", kind="full",
        mining=MiningConfig(quotas={"bm25": 1, "random": 1}),
        fit={"epochs": 8, "batch_size": 64, "learning_rate": 0.003},
    )  # fmt: skip
    result = run_loop(place, small, config, model=ModelConfig())
    assert result.rounds[1].kept
    assert 0.05 < result.rounds[0].queries / len(small.questions) < 0.15  # one fold of ten
    fits = [e for e in Ledger(place.rounds_folder / "run-0001").events if isinstance(e, Trained)]
    assert all(event.negatives == 2 for event in fits)
    searcher = Searcher.open(place.folder)
    assert searcher.index.geometry.adapter is not None  # on top of the weights
    evaluation, _ = evaluate_table(searcher, small)
    assert evaluation.mean("dense", "MRR@10") > 0.5


def test_a_full_fit_without_mined_negatives_learns_from_all_pairs(
    small: Collection, tmp_path: Path
) -> None:
    """One answer that a person has rejected must not leave the others out."""
    place = Workspace(tmp_path / "w")
    index_collection(place, small, {}, model=ModelConfig())
    question, wrong = small.questions[0], small.answers[-1]
    assert question.answer_id != wrong.id
    save_decisions(place.folder, [Decision(question.text, wrong.text, False, "now")])
    fit = {"epochs": 1, "batch_size": 64}
    run_loop(place, small, LoopConfig(rounds=1, folds=1, kind="full", fit=fit))
    ledger = Ledger(place.rounds_folder / "run-0001")
    trained = ledger.find(Trained, round=1)
    assert trained is not None
    assert trained.rows > 0.8 * len(small.questions)


def test_a_round_without_gain_is_dropped_and_ends_the_loop(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, small, {}, model=ModelConfig())
    config = LoopConfig(rounds=3, patience=1, folds=2, fit=STILL)
    result = run_loop(place, small, config)
    assert [each.kept for each in result.rounds] == [True, False]
    assert result.ended_early == "ended after round 1 of 3: no gain"
    assert result.generation is None  # nothing is new
    assert place.current_name() == "000001"


def test_a_grown_table_is_published_also_where_no_round_was_better(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, small, {}, model=ModelConfig())
    more = Collection(
        small.answers, [*small.questions, KnownQuestion("새 질문", small.answers[0].id)]
    )
    result = run_loop(place, more, LoopConfig(rounds=1, folds=2, fit=STILL))
    assert result.generation == place.current_name() == "000002"
    assert place.current().manifest["training"] is None


def test_a_test_table_is_asked_once_and_never_learned_from(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    held_out = Collection(small.answers, small.questions[:100])
    config = LoopConfig(rounds=1, folds=2, fit=FIT)
    result = run_loop(place, small, config, model=ModelConfig(), held_out=held_out)
    assert result.test is not None
    assert result.test.queries == 100
    assert result.rounds[0].queries == len(small.questions) - 100
    assert hybrid(result.test.after) > hybrid(result.test.before) + 0.1
    index = Searcher.open(place.folder).index
    assert index.trained_on.isdisjoint(question_digest(q.text) for q in held_out.questions)
    known = {question.text for question in index.collection.questions}
    assert known == {question.text for question in small.questions}  # nothing is lost
    strange = build_collection(read_table(_one_row(tmp_path)))[0]
    with pytest.raises(DotbogiError, match="none of the test table's 1 questions"):
        run_loop(place, small, config, held_out=strange)


def _one_row(folder: Path) -> Path:
    path = folder / "one.csv"
    path.write_text("Q,A\n배고프다,밥 드세요\n", encoding="utf-8")
    return path


def test_too_few_questions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    one = build_collection(read_table(_one_row(tmp_path)))[0]
    with pytest.raises(DotbogiError, match="1 questions for 1 answers: too few"):
        run_loop(Workspace(tmp_path / "w"), one, LoopConfig())
    assert not (tmp_path / "w").exists()


def test_a_single_fold_of_a_tiny_table_is_one_that_has_questions(tmp_path: Path) -> None:
    table = Collection(
        [Answer(f"a{n}", f"답 {n}") for n in range(11)],
        [KnownQuestion(f"물음 {n}", f"a{n}") for n in range(11)],
    )
    config = LoopConfig(rounds=1, folds=1)
    result = run_loop(Workspace(tmp_path / "w"), table, config, model=ModelConfig())
    assert 1 <= result.rounds[0].queries < 11


def test_a_small_table_is_measured_and_gets_a_confidence_of_its_own(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    few = small.questions[:70]
    ids = {question.answer_id for question in few}
    table = Collection([answer for answer in small.answers if answer.id in ids], few)
    result = run_loop(place, table, LoopConfig(rounds=1), model=ModelConfig())
    assert result.rounds[0].queries == 70
    fitted = Searcher.open(place.folder).index.fitted
    assert fitted.calibration.source.startswith("70 questions")
    assert fitted.weights.source.startswith("70 questions")


def test_a_workspace_never_indexed_gets_its_first_generation_by_training(
    small: Collection, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    config = LoopConfig(rounds=1, folds=2, fit=STILL)
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
    Ledger(tmp_path).add(Started(config={"answer": 42}, counts={}, fingerprints={}, libraries={}))
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"event": "measu')
    ledger = Ledger(tmp_path)
    started = ledger.find(Started)
    assert started is not None
    assert started.config["answer"] == 42
    ledger.add(Ended(early="so"))
    ended = Ledger(tmp_path).find(Ended)
    assert ended is not None
    assert ended.early == "so"


@pytest.mark.parametrize(
    "line", ['{"event": "evaluated", "round": 0}', '{"event": "ended", "late": 1}', "[]", "1"]
)
def test_a_ledger_of_another_version_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "ledger.jsonl").write_text(line + "\n")
    with pytest.raises(DamagedError, match=r"ledger\.jsonl, line 1: .*Start another run"):
        Ledger(tmp_path)


def test_events_are_read_as_they_were_written(trained) -> None:  # type: ignore[no-untyped-def]
    place, result = trained
    events = Ledger(place.rounds_folder / result.run).events
    assert [event for event in events if isinstance(event, Measured)] == [
        replace(each, scores=[*each.scores]) for each in result.rounds
    ]


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
    result = run_loop(place, small, LoopConfig(rounds=1, folds=2, fit=STILL))
    assert result.run == "run-0002"
    assert [path.name for path in given_up.iterdir()] == ["config.json"]


def cut_off(command: list[str], when: Callable[[], bool]) -> None:
    """Run a command and kill it when something is there."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=ALONE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not when():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


ALONE = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def json_of(command: list[str]) -> dict:  # type: ignore[type-arg]
    done = subprocess.run(command, cwd=ROOT, env=ALONE, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def without_times(result: dict) -> dict:  # type: ignore[type-arg]
    for entry in [result["started"], *result["rounds"], result["test"] or {}]:
        entry.pop("time", None)
        entry.pop("seconds", None)
    return result


@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="a minute: in make soak; test_kills.py kills runs of adapters")
@pytest.mark.parametrize("kind", ["adapter", "full"])
def test_a_killed_run_resumed_ends_like_an_uninterrupted_one(
    table: Path, tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    rounds = {"adapter": "2", "full": "1"}[kind]
    options = ["--rounds", rounds, "--patience", "2", "--model", str(tiny_model), "--fit", kind]
    options += ["--holdout", "0.1", "--learning-rate", {"adapter": "0.01", "full": "0.003"}[kind]]
    if kind == "full":
        options += ["--epochs", "6", "--batch-size", "16"]
    whole = json_of(train_command(table, tmp_path / "whole", *options))

    cut = tmp_path / "cut"
    run = cut / "rounds" / "run-0001"

    def half_way() -> bool:
        if kind == "adapter":
            return (run / "round-1" / "fold-2" / "geometry.safetensors").is_file()
        checkpoints = run / "round-1" / "fold-0" / "tuned" / "checkpoints"
        return len(list(checkpoints.glob("checkpoint-*/trainer_state.json"))) >= 2

    cut_off(train_command(table, cut, *options), half_way)
    assert Workspace(cut).current_name() is None
    overtaken = tmp_path / "overtaken"
    shutil.copytree(cut, overtaken)
    index_collection(Workspace(overtaken), build_collection(read_table(table))[0], {})
    with pytest.raises(UsageError, match="resuming would undo it"):
        resume_loop(Workspace(overtaken))
    before = [event for event in read_events(run) if isinstance(event, Trained)]
    assert len(before) < {"adapter": 5, "full": 1}[kind]

    resumed = json_of(train_command(table, cut, "--resume"))
    assert without_times(resumed) == without_times(whole)
    manifests = [Workspace(tmp_path / name).current().manifest for name in ("whole", "cut")]
    for name in ("model_fingerprint", "vectors_fingerprint"):
        assert manifests[0][name] == manifests[1][name]
