"""The disk changes under a running service: no vote is lost silently, and /readyz tells."""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service_process import Service, publish, serving

from dotbogi.search.feedback import FeedbackStore, _create

VOTE: dict[str, Any] = {
    "client": "c", "query": "배고프다", "shown": [], "answer_id": "a1",
    "verdict": "right", "generation": "000001",
}  # fmt: skip


def vote(service: Service, number: int) -> int:
    return service.call("POST", "/v1/feedback", {**VOTE, "id": str(number)}).status


def stored(workspace: Path) -> set[str]:
    if not workspace.is_dir():
        return set()
    with contextlib.closing(FeedbackStore.open(workspace)) as store:
        return {each.id for each in store.export()}


def file_deleted(workspace: Path) -> None:
    (workspace / "feedback.sqlite").unlink()


def files_deleted(workspace: Path) -> None:
    for path in workspace.glob("feedback.sqlite*"):
        path.unlink()


def log_deleted(workspace: Path) -> None:
    (workspace / "feedback.sqlite-wal").unlink()


def file_replaced(workspace: Path) -> None:
    backup = workspace.with_name("backup")
    backup.mkdir()
    _create(backup / "feedback.sqlite")
    (backup / "feedback.sqlite").rename(workspace / "feedback.sqlite")


def workspace_deleted(workspace: Path) -> None:
    shutil.rmtree(workspace)


def workspace_moved(workspace: Path) -> None:
    workspace.rename(workspace.with_name("moved"))
    workspace.mkdir()


CHANGES = (
    file_deleted, files_deleted, log_deleted, file_replaced, workspace_moved, workspace_deleted,
)  # fmt: skip


def test_a_vote_is_acknowledged_if_it_is_where_the_path_leads(tmp_path: Path) -> None:
    """Read by another process, from the files that are there after each change."""
    workspace = tmp_path / "w"
    publish(workspace)
    told: set[str] = set()
    acknowledged = kept = refused = 0
    with serving(workspace) as service:
        for start, change in enumerate(CHANGES):
            assert vote(service, 10 * start) == 201
            change(workspace)
            answers = {str(n): vote(service, n) for n in range(10 * start + 1, 10 * start + 6)}
            told = {number for number, status in answers.items() if status == 201}
            assert set(answers.values()) <= {201, 503}, change.__name__
            assert bool(told) == (change is not workspace_deleted), answers
            there = len(told & stored(workspace))
            print(f"{change.__name__}: {len(told)} of 5 acknowledged, {there} there")
            acknowledged += len(told)
            kept += there
            refused += len(answers) - len(told)
        assert "Traceback" not in service.log.read_text(encoding="utf-8")
    print(f"{acknowledged} acknowledged after a change, {kept} there, {refused} refused")
    assert (acknowledged, kept) == (25, 25)


def current_damaged(workspace: Path) -> None:
    (workspace / "CURRENT").write_bytes(b"\xff\x00 not a name")


def current_deleted(workspace: Path) -> None:
    (workspace / "CURRENT").unlink()


def generation_deleted(workspace: Path) -> None:
    shutil.rmtree(workspace / "generations" / "000001")


def next_generation_damaged(workspace: Path) -> None:
    shutil.copytree(workspace / "generations" / "000001", workspace / "generations" / "000002")
    (workspace / "generations" / "000002" / "answers.parquet").write_bytes(b"damaged")
    (workspace / "CURRENT").write_text("000002\n", encoding="utf-8")


PROBLEMS: dict[Callable[[Path], None], str] = {
    current_damaged: "current_damaged",
    current_deleted: "current_damaged",
    generation_deleted: "generation_damaged",
    next_generation_damaged: "generation_damaged",
    workspace_deleted: "workspace_missing",
}


def until_ready_tells(service: Service, problem: str | None) -> None:
    until = time.monotonic() + 10
    while (ready := service.call("GET", "/readyz")).json.get("problem") != problem:
        assert time.monotonic() < until, ready.json
        time.sleep(0.05)
    assert ready.status == 200


def test_readyz_tells_what_is_wrong_on_the_disk_and_the_old_generation_answers(
    tmp_path: Path,
) -> None:
    workspace, good = tmp_path / "w", tmp_path / "good"
    publish(workspace)
    shutil.copytree(workspace, good)
    answered = 0
    with serving(workspace) as service:
        for harm, problem in PROBLEMS.items():
            until_ready_tells(service, None)
            harm(workspace)
            until_ready_tells(service, problem)
            found = service.call("POST", "/v1/search", {"query": "배고프다"})
            answered += found.status == 200 and found.json["generation"] == "000001"
            print(f"{harm.__name__}: {problem}")
            shutil.copytree(good, workspace, dirs_exist_ok=True)
        shutil.rmtree(workspace)
        time.sleep(2.5)  # the watcher looks once a second
        assert service.call("POST", "/v1/search", {"query": "배고프다"}).status == 200
        lines = service.log.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if "the new generation cannot be opened" in line]
    print(f"{len(PROBLEMS)} problems told, {answered} answered, {len(told)} lines in the log")
    assert answered == len(PROBLEMS)
    assert 1 <= len(told) <= len(PROBLEMS) + 1
    assert not [line for line in lines if "Traceback" in line]
