"""Commands that are killed at any moment: nothing is lost, nothing mixed, nothing left behind."""

import json
import random
import re
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from effort import SOAK, effort
from forked_commands import ForkedCommands, Ran, forked_commands
from test_loop import secret_language

from dotbogi.indexes.store import Workspace
from dotbogi.training.ledger import Ended, read_events

KILLED = -9
PUBLISHING = {
    "the model is written": "after dotbogi.search.publish:copy_model",
    "the texts are encoded": "after dotbogi.search.publish:EncodedCollection.of",
    "the indexes are written": "after dotbogi.search.publish:save_index",
    "the manifest is written": "after dotbogi.indexes.store:write_json",
    "all is on the disk": "before dotbogi.search.publish:check_staged",
    "the staged generation is opened": "after dotbogi.search.publish:check_staged",
    "its name is noted": "after dotbogi.indexes.store:replace_file#1",
    "its folder is renamed": "before dotbogi.indexes.store:Workspace._set_current",
    "CURRENT is replaced": "after dotbogi.indexes.store:replace_file#2",
    "the cache is tidied": "after dotbogi.indexes.cache:Cache.keep_only",
}
INDEX = {
    "the table is read": "after dotbogi.commands.index:read",
    "the lock is taken": "after dotbogi.indexes.store:Workspace._clear",
    **PUBLISHING,
}
# started, measured, mined, trained twice, measured, trained, tested, published, ended
EVENTS = 10
TRAIN = {
    "the collection is saved": "after dotbogi.training.loop:save_collection",
    "the base is saved": "after dotbogi.training.loop:_save_base",
    "the run has its name": "before dotbogi.training.run:Run.start",
    **{
        f"{when} event {number}": f"{when} dotbogi.training.ledger:Ledger.add#{number}"
        for number in range(1, EVENTS + 1)
        for when in ("before", "after")
    },
    **PUBLISHING,
    "the model is written": "after dotbogi.training.publication:copy_model",
    "the models are deleted": "after dotbogi.training.rounds:clear_models",
}


def moments(stages: dict[str, str], short: int, long: int, seed: int) -> list[tuple[str, object]]:
    """Return when to kill: at each stage in turn, and as often at random; (name, stage or share).

    A share is of the time that the command takes.
    """
    rng, count = random.Random(seed), effort(short, long)
    named: list[tuple[str, object]] = list(stages.items())
    if count < len(named):
        named = rng.sample(named, count - 1)
    else:
        named *= max(1, count // 2 // len(named))
    return named + [("at random", rng.random()) for _ in range(count - len(named))]


def kill(commands: ForkedCommands, when: object, takes: float, *arguments: object) -> Ran:
    if isinstance(when, str):
        return commands.run(*arguments, kill_at=when)
    assert isinstance(when, float)
    return commands.run(*arguments, kill_after=when * takes)


def timed(commands: ForkedCommands, *arguments: object) -> float:
    """Return the seconds that a command takes in which nothing happens to it."""
    ran = commands.run(*arguments)
    assert ran.exit_code == 0, ran.output
    return ran.seconds


def edition(place: Path, number: int) -> Path:
    """Write a table whose first answer tells its number."""
    path = place / "edition.csv"
    path.write_text(
        f"question,answer\n배고프다,맛있는 걸 드세요 {number}판\n택배 언제,이틀이면 옵니다\n"
        "환불 되나요,사흘 안에 됩니다\n",
        encoding="utf-8",
    )
    return path


def left(folder: Path) -> set[str]:
    """Return what no command may leave behind."""
    here = {path.name for path in folder.iterdir()}
    inside = {path.name for path in (folder / "generations").iterdir()}
    cached = {path.name for path in (folder / "cache").iterdir() if path.suffix != ".sqlite"}
    names = {*Workspace(folder).names()}
    return (
        here - {"CURRENT", ".dotbogi-lock", "cache", "generations", "rounds"}
        | inside - names
        | cached
    )


def answers(commands: ForkedCommands, folder: Path) -> tuple[str, str]:
    """Return the generation that answers, and its first answer; all generations are whole."""
    verified = commands.run("history", "verify", "-w", folder)
    assert verified.exit_code == 0, verified.output
    ran = commands.run("query", "배고프다", "-w", folder, "--json")
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.output)
    return found["generation"], found["hits"][0]["text"]


@pytest.mark.soak
def test_a_killed_index_leaves_the_old_or_the_new_generation(
    place: Path, commands: ForkedCommands
) -> None:
    folder = place / "w"
    options = ("--analyzer", "bigram", "--tolerance", "none", "-w", folder)
    said = {}  # generation → the first answer it has to give
    for number in (1, 2):
        takes = timed(commands, "index", edition(place, number), *options)
        said[f"{number:06}"] = f"맛있는 걸 드세요 {number}판"
    tried: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for number, (name, when) in enumerate(moments(INDEX, 2, 200, 1), 3):
        old = max(said)
        new = f"{int(old) + 1:06}"
        text = f"맛있는 걸 드세요 {number}판"
        ran = kill(commands, when, takes, "index", edition(place, number), *options)
        tried[name] += 1
        assert ran.exit_code == KILLED or isinstance(when, float), f"{name}: {ran.output}"
        current, first = answers(commands, folder)
        assert current in (old, new), f"{name}, {sum(tried.values())} tried"
        assert first == (said[old] if current == old else text), f"{name}: mixed"
        assert current == new or "published generation" not in ran.output, f"{name}: lost"
        outcomes["new" if current == new else "old"] += 1
        if current == new:
            said[new] = text
        again = commands.run("index", edition(place, -number), *options)
        assert again.exit_code == 0, f"{name}: {again.output}"
        said[f"{int(max(said)) + 1:06}"] = f"맛있는 걸 드세요 {-number}판"
        assert left(folder) == set(), f"{name}, {sum(tried.values())} tried"
        assert Workspace(folder).names() == sorted(said), f"{name}: an orphan, or one is lost"
        assert answers(commands, folder) == (max(said), said[max(said)])
        assert commands.run("history", "prune", "--keep", 2, "-w", folder).exit_code == 0
        said = {name: said[name] for name in sorted(said)[-2:]}
    print(
        f"{sum(tried.values())} kills of index at {len(tried)} kinds of moments: {dict(outcomes)}"
    )
    assert outcomes.keys() == {"old", "new"} or not SOAK


def told(folder: Path) -> dict[str, object]:
    """Return all that a run leaves, without times."""
    run = folder / "rounds" / "run-0001"
    events = [asdict(event) for event in read_events(run)]
    for event in events:
        event.pop("time")
        event.pop("seconds", None)
    current = Workspace(folder).current().manifest
    reports = ("ledger.jsonl", "ledger.head", "report.html", "report.md")  # with times
    return {
        "events": events,
        "generation": current["files"],
        "run": {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
            for path in (folder / "rounds").rglob("*")
            if path.name not in reports
        },
        "left": left(folder),
    }


@dataclass(frozen=True, slots=True)
class Trained:
    """A workspace before a run and after it, and the command between them."""

    before: Path
    command: tuple[object, ...]
    seconds: float
    expected: dict[str, object]


@pytest.fixture(scope="module")
def trained(place: Path, commands: ForkedCommands) -> Trained:
    table = place / "pairs.csv"
    pairs = [",".join(pair) for pair in secret_language()[:240]]
    table.write_text("\n".join(["question,answer", *pairs]) + "\n", encoding="utf-8")
    before, whole = place / "indexed", place / "trained"
    options = ("--analyzer", "whitespace", "--tolerance", "none")
    timed(commands, "index", table, "-w", before, *options)
    train = ("train", "--rounds", 1, "--folds", 2, "--holdout", 0.1, "--learning-rate", 0.01)
    shutil.copytree(before, whole)
    seconds = timed(commands, *train, "-w", whole)
    found = Trained(before, train, seconds, told(whole))
    assert len(found.expected["events"]) == EVENTS  # type: ignore[arg-type]
    return found


@pytest.mark.soak
def test_a_killed_train_resumes_to_what_an_uninterrupted_one_gives(
    place: Path, commands: ForkedCommands, trained: Trained
) -> None:
    cut, outcomes = place / "cut", Counter[str]()
    stages = moments(TRAIN, 1, 50, 2)
    for name, when in stages:
        shutil.rmtree(cut, ignore_errors=True)
        shutil.copytree(trained.before, cut)
        ran = kill(commands, when, trained.seconds, *trained.command, "-w", cut)
        assert ran.exit_code == KILLED or isinstance(when, float), f"{name}: {ran.output}"
        current, _ = answers(commands, cut)
        assert current in ("000001", "000002"), name
        run = cut / "rounds" / "run-0001"
        has_ended = run.is_dir() and any(isinstance(e, Ended) for e in read_events(run))
        resume = ("train", "--resume") if run.is_dir() else trained.command
        resumed = commands.run(*resume, "-w", cut)
        outcomes[f"{current}, {'ended' if has_ended else resume[1]}"] += 1
        if has_ended:
            assert resumed.exit_code == 2, f"{name}: {resumed.output}"
            assert "this run has ended" in resumed.last
            assert current == "000002"
            continue
        assert resumed.exit_code == 0, f"{name}: {resumed.output}"
        assert_same(told(cut), trained.expected, name)
    print(f"{len(stages)} kills of train: {dict(outcomes)}")


def assert_same(found: dict[str, object], expected: dict[str, object], name: str) -> None:
    for part, value in expected.items():
        assert found[part] == value, f"{name}: {part} differs"


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.soak
def test_a_run_with_a_damaged_file_goes_back_to_the_step_that_made_it(
    place: Path, commands: ForkedCommands, trained: Trained
) -> None:
    """All that a step made, whatever step it was, once the run is about to publish."""
    cut, damaged = place / "interrupted", place / "damaged"
    shutil.copytree(trained.before, cut)
    ran = commands.run(
        *trained.command,
        "-w",
        cut,
        kill_at=f"before dotbogi.training.ledger:Ledger.add#{EVENTS - 1}",
    )
    assert ran.exit_code == KILLED
    ledger = (cut / "rounds" / "run-0001" / "ledger.jsonl").read_text().splitlines()
    start, *steps = (json.loads(line)["files"] for line in ledger)
    cases = [(name, act) for act in (empty, Path.unlink, flip) for step in steps for name in step]
    assert len(cases) > 30
    cases += [(name, empty) for name in start]
    chosen = random.Random(3).sample(cases, min(len(cases), effort(1, 1000)))
    for name, act in chosen:
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(cut, damaged)
        act(damaged / "rounds" / "run-0001" / name)
        ran = commands.run("train", "--resume", "-w", damaged)
        where = f"{act.__name__} {name}"
        if name in start:
            assert ran.exit_code == 3, f"{where}: {ran.output}"
            assert f"{name}: " in ran.last
            assert "Start another run" in ran.last
            continue
        assert ran.exit_code == 0, f"{where}: {ran.output}"
        assert re.search(re.escape(name) + ": .*; its step is repeated", ran.output), ran.output
        assert_same(told(damaged), trained.expected, where)
    print(f"{len(chosen)} damaged files of a run")


def test_a_fit_that_ends_in_no_numbers_is_refused(
    place: Path, commands: ForkedCommands, trained: Trained
) -> None:
    folder = place / "nan"
    shutil.copytree(trained.before, folder)
    ran = commands.run(*trained.command[:-1], 1e38, "-w", folder)
    assert ran.exit_code == 1, ran.output
    assert "its weights are no numbers any more" in ran.last
    assert Workspace(folder).current_name() == "000001"


@pytest.mark.skipif(not SOAK, reason="minutes: in make soak")
@pytest.mark.soak
def test_a_full_fit_goes_on_from_a_checkpoint_that_is_whole(
    place: Path, tiny_model: Path, trained: Trained
) -> None:
    cut, damaged, whole = place / "fit", place / "fit-damaged", place / "fit-whole"
    fit = ("--fit", "full", "--epochs", 4, "--batch-size", 16)
    command = (*trained.command[:3], *trained.command[5:-1], 0.003, *fit, "-w")
    tried = 0
    with forked_commands(tiny_model, full_fits=True) as commands:
        for folder in (cut, whole):
            shutil.copytree(trained.before, folder)
        assert commands.run(*command, whole).exit_code == 0
        expected = told(whole)
        at = "after dotbogi.training.fit.full:_Trainer._save_checkpoint#3"
        assert commands.run(*command, cut, kill_at=at).exit_code == KILLED
        checkpoints = [*(cut / "rounds").glob("run-0001/round-1/*/tuned/checkpoints/*")]
        newest = max(checkpoints, key=lambda path: int(path.name.partition("-")[2]))
        for path in sorted(newest.rglob("*")):
            if path.is_dir():
                continue
            shutil.rmtree(damaged, ignore_errors=True)
            shutil.copytree(cut, damaged)
            empty(damaged / path.relative_to(cut))
            ran = commands.run("train", "--resume", "-w", damaged)
            assert ran.exit_code == 0, f"{path.name}: {ran.output}"
            assert "the fit continues from before" in ran.output, path.name
            assert_same(told(damaged), expected, path.name)
            tried += 1
    assert tried > 5
    print(f"{tried} damaged files of a checkpoint")
