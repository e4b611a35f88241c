"""Damage of any file in a workspace is refused with the file's name, or changes nothing."""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWERS, run
from effort import SOAK, effort
from feedback_writers import feedback

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.store import Workspace
from dotbogi.search import ModelConfig, Searcher, index_collection
from dotbogi.search.feedback import FeedbackStore
from dotbogi.training import LoopConfig, MiningConfig, resume_loop, run_loop
from dotbogi.training.fit.config import TrainConfig, TrainingRow
from dotbogi.training.fit.full import _Seal, finetune
from dotbogi.training.judgements.decisions import Decision, read_decisions, save_decisions
from dotbogi.training.judgements.feedback import read_votes
from dotbogi.training.judgements.review import last_review
from dotbogi.training.ledger import Event, Ledger, make_resumable, read_record
from dotbogi.training.report import report_on
from dotbogi.training.run_files import changed_files
from dotbogi.training.verification import verify_workspace

LEDGER = "run-0001/ledger.jsonl"
BLOCK = 64  # bytes set to zero
QUERY = "배고프다 내일"


def small() -> Collection:
    questions = [
        KnownQuestion(f"{text[:4]} {ending}", id_)
        for id_, text in ANSWERS.items()
        for ending in ("알려 줘", "내일", "왜요", "부탁")
    ]
    return Collection([Answer(id_, text) for id_, text in ANSWERS.items()], questions)


def config() -> LoopConfig:
    mining = MiningConfig(quotas={"bm25": 1, "random": 1})
    return LoopConfig(
        rounds=1, folds=2, holdout=0.2, hard_from=1, mining=mining, votes_per_client=5
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with all that there can be: a generation, a run, votes, decisions and a cache."""
    workspace = Workspace(tmp_path_factory.mktemp("damage") / "w")
    index_collection(workspace, small(), {"table": "pairs.csv"}, model=ModelConfig())
    with closing(FeedbackStore.open(workspace.folder)) as store:
        for number in range(60):
            store.add(feedback(f"{number}", client=f"c{number % 7}", query=f"질문 {number} " * 5))
    texts = list(ANSWERS.values())
    save_decisions(
        workspace.folder,
        [Decision(f"{texts[i][:4]} 내일", texts[i - 1], i % 2 == 0, "2026") for i in range(6)],
    )
    run_loop(workspace, small(), config())
    return workspace


class Interrupted(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def interrupted(whole: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same workspace, with a second run that was interrupted after its first fit."""
    copy = Workspace(shutil.copytree(whole.folder, tmp_path_factory.mktemp("cut") / "w"))
    add = Ledger.add

    def until_trained(ledger: Ledger, event: Event) -> Event:
        added = add(ledger, event)
        if event.name == "trained":
            raise Interrupted
        return added

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "add", until_trained)
        with pytest.raises(Interrupted):
            run_loop(copy, small(), replace(config(), seed=7))
    return copy


def damages(
    data: bytes, other: bytes, flips: int, rng: random.Random
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the kinds of damage to a file's bytes, with what is there then; None: it is deleted."""
    size = len(data)
    for length in {0, 1, size // 3, size // 2, size - 1} if size else ():
        yield "truncated", data[:length]
    for _ in range(flips if size else 0):
        place = rng.randrange(size)
        flipped = bytearray(data)
        flipped[place] ^= rng.randrange(1, 256)
        yield "flipped", bytes(flipped)
    if size:
        start = rng.randrange(max(size - BLOCK, 1))
        end = min(start + BLOCK, size)
        yield "zeroed", data[:start] + bytes(end - start) + data[end:]
    yield "deleted", None
    yield "swapped", other


def put(path: Path, data: bytes | None) -> None:
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)


def outcome(read: Callable[[], Any]) -> tuple[Any, str]:
    """Return what was read, and the line of the refusal."""
    try:
        return read(), ""
    except DamagedError as error:
        return None, str(error)


class Readers:
    """What reads a workspace; all of it is compared with what the undamaged one gives."""

    def __init__(self, workspace: Workspace, names: tuple[str, ...]) -> None:
        self.workspace = workspace
        self._readers = {name: getattr(self, name) for name in names}
        self.expected = {name: read() for name, read in self._readers.items()}

    def query(self) -> object:
        return [(h.answer_id, h.score) for h in Searcher.open(self.workspace.folder).search(QUERY)]

    def report(self) -> object:
        return report_on(self.workspace).html.read_bytes()

    def review(self) -> object:
        return last_review(self.workspace)

    def decisions(self) -> object:
        return read_decisions(self.workspace.folder)

    def votes(self) -> object:
        with closing(FeedbackStore.open(self.workspace.folder)) as store:
            return list(store.export())

    def vote(self) -> object:
        """Store a vote that is there already: with damage, it would be stored twice or be lost."""
        with closing(FeedbackStore.open(self.workspace.folder)) as store:
            return store.add(feedback("3", client="c3", query="질문 3 " * 5))

    def verify(self) -> object:
        parts = list(verify_workspace(self.workspace))
        if wrong := [part.said for part in parts if part.damaged]:
            raise DamagedError(" | ".join(wrong))
        return parts

    def judge(self, path: Path, label: str) -> str:
        """Return whether a damaged file was refused by name, or harmless; else fail."""
        verdict = "harmless"
        for name, read in self._readers.items():
            found, refusal = outcome(read)
            if refusal:
                assert path.name in refusal, f"{label}: {name} names another file: {refusal}"
                verdict = "refused"
            else:
                assert found == self.expected[name], f"{label}: {name} gives something else"
        return verdict


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def try_damage(
    readers: Readers, paths: list[Path], flips: int, *, may_be_deleted: tuple[str, ...] = ()
) -> Counter[str]:
    """Damage each file in each way, and count what became of it."""
    rng, counts = random.Random(0), Counter[str]()
    for path in rng.sample(paths, min(len(paths), effort(6, len(paths)))):
        data, other = path.read_bytes(), paths[paths.index(path) - 1].read_bytes()
        for kind, damaged in damages(data, other, flips, rng):
            if damaged == data or (damaged is None and path.name in may_be_deleted):
                continue
            put(path, damaged)
            try:
                label = f"{path.relative_to(readers.workspace.folder)} {kind}"
                counts[f"{kind}, {readers.judge(path, label)}"] += 1
            finally:
                for suffix in ("-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
                put(path, data)
    return counts


def show(what: str, counts: Counter[str]) -> None:
    sys.stdout.write(f"{what}: {counts.total()} tried → {dict(sorted(counts.items()))}\n")


@pytest.mark.soak
def test_a_damaged_file_of_a_generation_is_refused(whole: Workspace) -> None:
    generation = whole.current().folder
    paths = [*files_in(generation), whole.folder / "CURRENT"]
    counts = try_damage(Readers(whole, ("query",)), paths, effort(3, 200))
    show("generation", counts)
    # A line feed at the end of manifest.json or CURRENT may be lost, or be another white space.
    assert sum(counts[name] for name in counts if "harmless" in name) <= effort(8, 20), counts


@pytest.mark.soak
def test_a_damaged_file_of_a_run_is_refused(whole: Workspace) -> None:
    """What people may change is made again: the pages by `report`, the list by `review`."""
    paths = files_in(whole.rounds_folder)
    free = [path for path in paths if path.name in ("report.html", "report.md", "review.csv")]
    readers = Readers(whole, ("report", "review", "verify"))
    counts = try_damage(readers, [p for p in paths if p not in free], effort(4, 200))
    show("run", counts)
    assert not [name for name in counts if "harmless" in name], counts
    assert len(paths) > 15, paths
    counts = try_damage(Readers(whole, ("report",)), free[: effort(1, 3)], effort(0, 20))
    show("pages and list", counts)
    assert not [name for name in counts if "refused" in name], counts


@pytest.mark.soak
def test_a_run_is_not_resumed_on_a_damaged_file(interrupted: Workspace, tmp_path: Path) -> None:
    """What it began with is refused; of the rest, the step that made it is done again."""
    folder = interrupted.rounds_folder / "run-0002"
    assert (folder / "round-1" / "fold-0" / "geometry.safetensors").is_file()
    whole = shutil.copytree(folder, tmp_path / "whole")
    rng, counts = random.Random(1), Counter[str]()
    paths = files_in(folder)
    for path in rng.sample(paths, effort(6, len(paths))):
        data, other = path.read_bytes(), paths[paths.index(path) - 1].read_bytes()
        for kind, damaged in damages(data, other, effort(2, 200), rng):
            if damaged == data:
                continue
            put(path, damaged)
            try:
                make_resumable(folder)
            except DamagedError as error:
                assert path.name in str(error)  # noqa: PT017 – most are done again
                counts[f"{kind}, refused"] += 1
            else:
                assert not dict(changed_files(folder, read_record(folder).files))
                counts[f"{kind}, done again"] += 1
            shutil.rmtree(folder)
            shutil.copytree(whole, folder)
    show("resume", counts)
    kinds = {name.split(",")[0] for name in counts}
    assert kinds == {"truncated", "flipped", "zeroed", "deleted", "swapped"}, counts
    assert resume_loop(interrupted).run == "run-0002"


@pytest.mark.soak
def test_damaged_votes_and_decisions_are_refused(whole: Workspace) -> None:
    """The owner of a workspace may move these two away, so one that is missing is none."""
    names = ("feedback.sqlite", "review.jsonl")
    paths = [whole.folder / name for name in names]
    readers = Readers(whole, ("votes", "vote", "decisions", "verify"))
    counts = try_damage(readers, paths, effort(10, 2000), may_be_deleted=names)
    show("feedback and decisions", counts)
    assert counts["flipped, refused"] > effort(5, 1000), counts
    assert not [n for n in counts if "harmless" in n and n[:7] not in ("flipped", "zeroed,")]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the votes of a process that was killed: most are only in SQLite's log."""
    folder = tmp_path_factory.mktemp("killed")
    child = os.fork()
    if child == 0:
        store = FeedbackStore.open(folder)
        for number in range(12):
            store.add(feedback(f"{number}", query="질문 " * 20 * number))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (folder / "feedback.sqlite-wal").stat().st_size > 12 * 4096
    return folder


def ids_in(folder: Path) -> list[str]:
    with closing(FeedbackStore.open(folder)) as store:
        return [vote.id for vote in store.export()]


@pytest.mark.soak
def test_votes_in_a_damaged_log_are_not_lost_in_silence(killed: Path, tmp_path: Path) -> None:
    whole = {path.name: path.read_bytes() for path in killed.iterdir()}
    assert set(whole) == {"feedback.sqlite", "feedback.sqlite-wal", "feedback.sqlite-shm"}
    rng, counts = random.Random(2), Counter[str]()
    for suffix in ("", "-wal", "-shm"):
        name, other = f"feedback.sqlite{suffix}", whole["feedback.sqlite-wal" if not suffix else
                                                       "feedback.sqlite"]  # fmt: skip
        for kind, damaged in damages(whole[name], other, effort(6, 2000), rng):
            if suffix == "" and damaged is None:
                continue
            for each, data in {**whole, name: damaged}.items():
                put(tmp_path / each, data)
            found, refusal = outcome(lambda: ids_in(tmp_path))
            if refusal:
                assert name in refusal, f"{name} {kind}: {refusal}"
            else:
                assert found == [f"{n}" for n in range(12)], f"{name} {kind}: {found}"
            counts[f"{name} {kind}, {'refused' if refusal else 'harmless'}"] += 1
    show("after a kill", counts)
    refused = [name for name in counts if "refused" in name]
    assert any("-wal" in name for name in refused), counts
    assert not any("-shm" in name for name in refused), counts


def test_votes_that_are_gone_do_not_take_known_questions_along(tmp_path: Path) -> None:
    taught = [KnownQuestion("새 질문", "a1", origin="feedback", preferred=1)]
    with pytest.raises(DamagedError, match=r"feedback\.sqlite: missing, but 1 known questions"):
        read_votes(tmp_path, replace(small(), questions=taught), 5)
    assert read_votes(tmp_path, small(), 5).votes == 0


@pytest.mark.soak
def test_a_damaged_cache_changes_no_answer_and_verify_names_it(whole: Workspace) -> None:
    paths = files_in(whole.cache_folder)
    counts = try_damage(Readers(whole, ("verify",)), paths, effort(10, 200), may_be_deleted=(
        *(path.name for path in paths),  # it is made anew
    ))  # fmt: skip
    show("cache, by verify", counts)
    assert counts["flipped, refused"], counts


@pytest.mark.parametrize(
    ("file", "commands"),
    [
        ("generations/000001/manifest.json", ["query 배고프다", "evaluate", "export OUT"]),
        ("generations/000001/answers.parquet", ["query 배고프다", "evaluate"]),
        ("CURRENT", ["query 배고프다", "evaluate", "index TABLE", "history prune --keep 1"]),
        ("rounds/run-0001/ledger.jsonl", ["report", "review", "train --resume"]),
        ("rounds/run-0001/ledger.head", ["report", "review", "train --resume"]),
        ("rounds/run-0001/questions-0.parquet", ["report", "review"]),
        ("rounds/run-0001/suspects-1.parquet", ["report", "review"]),
        ("feedback.sqlite", ["feedback list", "feedback export", "feedback backup OUT",
                             "feedback erase --client c1", "serve", "train --with-feedback"]),
        ("review.jsonl", ["train", "review", "mine --out OUT"]),
    ],
)  # fmt: skip
def test_every_command_that_meets_damage_says_so_in_one_line(
    whole: Workspace, tmp_path: Path, pairs_csv: Path, file: str, commands: list[str]
) -> None:
    copy = shutil.copytree(whole.folder, tmp_path / "w")
    path = copy / file
    if file.startswith("generations"):
        path = copy / file.replace("000001", Workspace(copy).current_name() or "")
    data = path.read_bytes()
    for damaged in (data[: len(data) // 3], b"", b"\xff" * len(data))[: effort(1, 3)]:
        for command in commands:
            path.write_bytes(damaged)
            words = command.replace("TABLE", str(pairs_csv)).replace("OUT", f"{tmp_path}/out")
            said = run(*words.split(), "-w", copy)
            label = f"{command}, {path.name}: {said.output}{said.exception!r}"
            assert said.exit_code == 3, label
            assert path.name in said.stderr, label
            assert len(said.stderr.strip().splitlines()) == 1, label
    path.write_bytes(b"")
    verified = run("history", "verify", "-w", copy, "--json")
    assert verified.exit_code == 3
    assert len(json.loads(verified.stdout)["damaged"]) >= 1


@pytest.mark.soak
def test_a_damaged_run_of_the_first_form_is_never_a_traceback(tmp_path: Path) -> None:
    """It has no digests, so some damage is not noticed; what is noticed is one line."""
    with tarfile.open(Path(__file__).with_name("formats") / "1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    workspace, rng, counts = Workspace(tmp_path), random.Random(4), Counter[str]()
    paths = [p for p in files_in(workspace.rounds_folder) if p.suffix in (".parquet", ".json")]
    readers = [lambda: last_review(workspace), lambda: report_on(workspace)]
    for path in [*rng.sample(paths, effort(4, len(paths))), workspace.rounds_folder / LEDGER]:
        data, other = path.read_bytes(), paths[0].read_bytes()
        for _, damaged in damages(data, other, effort(3, 10), rng):
            put(path, damaged)
            for read in readers[: effort(1, 2)]:
                with contextlib.suppress(DotbogiError):
                    counts["refused"] += 1
                    read()
                    counts["refused"] -= 1
                    counts["not noticed"] += 1
        put(path, data)
    show("first form", counts)
    assert counts["refused"] > effort(5, 100), counts


ROWS = [TrainingRow(question.text, ANSWERS[question.answer_id]) for question in small().questions]


def fitted(model: Path, folder: Path) -> bytes:
    """Train a model, and return its weights."""
    finetune(model, ROWS, TrainConfig(epochs=3, batch_size=16, learning_rate=0.003), folder)
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.skipif(not SOAK, reason="trains four times: in make soak")
@pytest.mark.soak
def test_a_damaged_checkpoint_is_not_used_and_the_fit_ends_the_same(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = fitted(tiny_model, tmp_path / "whole")
    seal = _Seal.on_save

    def until_second(self: _Seal, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seal(self, args, state, control, **kwargs)
        if state.epoch == 2:
            raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Seal, "on_save", until_second)
        with pytest.raises(Interrupted):
            fitted(tiny_model, tmp_path / "cut")
    found = {int(path.name.split("-")[1]): path for path in (tmp_path / "cut").glob("*/check*-*")}
    newest = found[max(found)].relative_to(tmp_path / "cut")
    assert len(found) == 2
    tried = [newest / name for name in (
        "optimizer.pt", "digests.json", "model.safetensors", "trainer_state.json", "rng_state.pth"
    )]  # fmt: skip
    rng = random.Random(3)
    for name in rng.sample(tried, effort(1, 5)):
        copy = Path(shutil.copytree(tmp_path / "cut", tmp_path / "copy"))
        data = (copy / name).read_bytes()
        _, damaged = rng.choice(list(damages(data, b"other", 3, rng)))
        put(copy / name, damaged)
        caplog.clear()
        assert fitted(tiny_model, copy) == expected, name
        said = [r.getMessage() for r in caplog.records if "earlier checkpoint" in r.getMessage()]
        assert len(said) == 1, f"{name}: {caplog.text}"
        assert name.name in said[0]
        shutil.rmtree(copy)
    for of_model in ("model/model.safetensors", "log.json", "model/config.json")[: effort(1, 3)]:
        path = tmp_path / "whole" / of_model
        put(path, path.read_bytes()[:-3])
        assert fitted(tiny_model, tmp_path / "whole") == expected, of_model
