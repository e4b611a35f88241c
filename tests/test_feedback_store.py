import itertools
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import run
from feedback_writers import feedback

import dotbogi.search.feedback
from dotbogi.indexes.errors import (
    DamagedError,
    LockedError,
    NoSpaceError,
    OldFormatError,
    UsageError,
)
from dotbogi.search.feedback import FeedbackStore
from dotbogi.search.feedback_file import insert_vote

ROOT = Path(__file__).parent.parent


def writers(kind: str, folder: Path) -> dict[str, int]:
    command = [
        sys.executable,
        str(Path(__file__).with_name("feedback_writers.py")),
        kind,
        str(folder),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    found = writers("killed", tmp_path)
    assert found["kills"] == 200
    assert found["acknowledged"] > 200
    assert found["lost"] == 0
    with closing(sqlite3.connect(tmp_path / "feedback.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_threads_and_processes_store_every_row_once(tmp_path: Path) -> None:
    found = writers("crowd", tmp_path)
    assert found["workers"] == 16
    assert found["new"] == 15  # each row was new to one of the 16
    assert found["stored"] == found["distinct"] == 17
    assert found["after fork"] == 1


def test_what_was_added_comes_back_oldest_first_and_only_once(tmp_path: Path) -> None:
    rows = [
        feedback("1", query="배 '고프다'\n\x00;--", shown=()),
        feedback("0", client="다른 사람", verdict="wrong"),
        feedback("1", client="다른 사람"),
    ]
    store = FeedbackStore.open(tmp_path)
    assert list(store.export()) == []
    assert not (tmp_path / "feedback.sqlite").exists()
    assert [store.add(row) for row in rows] == [True] * 3
    assert not store.add(replace(rows[0], verdict="wrong"))  # the first word of an id stands
    store.close()
    again = FeedbackStore.open(tmp_path)
    assert list(again.export()) == rows
    assert list(again.export("다른 사람")) == rows[1:]
    assert list(again.export("")) == []
    again.close()


def test_an_export_goes_on_over_pages_while_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dotbogi.search.feedback, "_PAGE", 2)
    store = FeedbackStore.open(tmp_path)
    for number in range(5):
        store.add(feedback(f"{number}"))
    rows = store.export()
    first = next(rows)
    store.add(feedback("5"))
    assert [first.id, *(row.id for row in rows)] == ["0", "1", "2", "3", "4", "5"]
    store.close()


@pytest.mark.parametrize(
    "row",
    [
        feedback("1", verdict="perhaps"),
        feedback("1", query="\ud800"),
        feedback("1", shown=("\udfff",)),
        feedback("1", client=""),
        feedback(""),
    ],
)
def test_what_cannot_be_stored_is_refused(
    tmp_path: Path, row: dotbogi.search.feedback.Feedback
) -> None:
    with pytest.raises(UsageError):
        FeedbackStore.open(tmp_path).add(row)


def test_erasing_a_client_leaves_none_of_its_bytes_in_any_file(tmp_path: Path) -> None:
    """Deleting alone leaves copies that SQLite made when it split pages."""
    store, other = FeedbackStore.open(tmp_path), FeedbackStore.open(tmp_path)
    other.add(feedback("0", client="public"))  # its connection stays open
    rng = random.Random(1)
    clients = [rng.choice(["secret", "public"]) for _ in range(10_000)]
    rows = [(rng.randbytes(8).hex(), c, c * rng.randint(1, 80)) for c in clients]
    with store._database() as database:
        database.execute("BEGIN")
        for row in rows:
            insert_vote(database, [*row, "[]", "a1", "right", "000001", ""])
        database.execute("COMMIT")
    assert store.erase("secret") == clients.count("secret")
    assert b"secret" not in bytes_of(tmp_path)
    assert len(list(other.export())) == 1 + clients.count("public")
    assert other.add(feedback("new"))
    store.close()
    other.close()


def test_an_erase_says_when_a_reader_holds_on_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dotbogi.search.feedback, "_BUSY_SECONDS", 0.1)
    store = FeedbackStore.open(tmp_path)
    store.add(feedback("1", query="secret-words"))
    with closing(sqlite3.connect(tmp_path / "feedback.sqlite")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM feedback").fetchall()
        with pytest.raises(LockedError, match="1 rows were deleted, but another process reads"):
            store.erase("c")
    assert store.erase("c") == 0  # again, as the message says
    assert b"secret-words" not in bytes_of(tmp_path)
    store.close()


def test_a_full_disk_and_a_writer_that_does_not_end_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dotbogi.search.feedback, "_BUSY_SECONDS", 0.1)
    store = FeedbackStore.open(tmp_path)
    store.add(feedback("1"))
    with store._database() as database:
        database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(NoSpaceError, match="the disk is full; nothing was stored"):
        store.add(feedback("big", query="긴 질문 " * 5000))
    assert [row.id for row in store.export()] == ["1"]
    assert store.add(feedback("2"))  # with a new connection, there is space again
    with closing(sqlite3.connect(tmp_path / "feedback.sqlite")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockedError, match="Try again"):
            store.add(feedback("3"))
    assert store.add(feedback("3"))
    store.close()


def test_a_file_that_is_not_ours_or_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    for raw in (b"", b"not a database, but long enough to be read as one" * 100):
        path.write_bytes(raw)
        with pytest.raises(DamagedError, match=r"feedback\.sqlite: .*move it away"):
            FeedbackStore.open(tmp_path)
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE feedback (id TEXT)")
    with pytest.raises(DamagedError, match="not a feedback database"):
        FeedbackStore.open(tmp_path)
    path.unlink()
    store = FeedbackStore.open(tmp_path)
    for number in range(50):
        store.add(feedback(f"{number}", query="질문 " * 100))
    store.close()
    raw = path.read_bytes()
    path.write_bytes(raw[:8192] + b"\xff" * (len(raw) - 8192))
    with pytest.raises(DamagedError):
        FeedbackStore.open(tmp_path)
    path.write_bytes(raw)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(OldFormatError, match=r"format 9\b.*up to 2.*Update dotbogi"):
        FeedbackStore.open(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        FeedbackStore.open(tmp_path / "nowhere")


def test_feedback_is_listed_exported_and_erased_from_the_command_line(tmp_path: Path) -> None:
    store = FeedbackStore.open(tmp_path)
    store.add(feedback("1"))
    store.add(feedback("2", verdict="wrong", client="d"))
    store.add(feedback("3", client="d", answer_id="a2"))
    store.close()
    listed = run("feedback", "list", "-w", tmp_path)
    assert listed.stdout.splitlines() == [
        "3 votes of 2 clients",
        "  d: 1 right, 1 wrong, about 2 answers",
        "  c: 1 right, 0 wrong, about 1 answers",
        "1 pairs with as many right as wrong votes, not used:",
        "  1:1  배고프다  [a1]",
    ]
    assert json.loads(run("feedback", "list", "-w", tmp_path, "--json").stdout)["votes"] == 3
    out = tmp_path / "out.jsonl"
    exported = run("feedback", "export", "-w", tmp_path, "--client", "d", "--out", out)
    assert exported.stdout == f"2 lines in {out}\n"
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["2", "3"]
    assert lines[0] == {
        "id": "2", "client": "d", "query": "배고프다", "shown": ["a1", "a2"], "answer_id": "a1",
        "verdict": "wrong", "generation": "000001", "time": "2026-11-21T00:00:00+00:00",
    }  # fmt: skip
    assert run("feedback", "export", "-w", tmp_path, "--client", "d").stdout == out.read_text()
    refused = run("feedback", "export", "-w", tmp_path, "--out", tmp_path / "no" / "out.jsonl")
    assert refused.exit_code == 2
    assert "no such folder to write into" in refused.stderr
    assert run("feedback", "erase", "-w", tmp_path, "--client", "d").stdout == "2 votes erased\n"
    rest = json.loads(run("feedback", "export", "-w", tmp_path, "--json").stdout)["feedback"]
    assert [row["id"] for row in rest] == ["1"]


def test_a_backup_made_while_others_write_is_whole_and_takes_the_place_of_the_file(
    tmp_path: Path,
) -> None:
    workspace, copy = tmp_path / "w", tmp_path / "votes.sqlite"
    workspace.mkdir()
    store, other = FeedbackStore.open(workspace), FeedbackStore.open(workspace)
    with pytest.raises(UsageError, match="no feedback yet"):
        store.back_up(copy)
    ends = threading.Event()

    def write() -> None:
        for number in itertools.count():
            other.add(feedback(f"{number}"))
            if ends.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while store.check() < 20:
            pass
        said = run("feedback", "backup", copy, "-w", workspace)
    finally:
        ends.set()
        writer.join()
    assert said.exit_code == 0, said.output
    votes = int(said.stdout.split()[0])
    assert votes >= 20
    everything = list(store.export())
    assert len(everything) > votes
    copy.rename(workspace / "feedback.sqlite")  # under the open stores
    assert list(store.export()) == everything[:votes]
    assert other.add(feedback("new"))
    assert store.check() == votes + 1
    store.close()
    other.close()


def test_a_damaged_file_is_not_backed_up_and_the_earlier_backup_stays(tmp_path: Path) -> None:
    workspace, copy = tmp_path / "w", tmp_path / "votes.sqlite"
    workspace.mkdir()
    store = FeedbackStore.open(workspace)
    store.add(feedback("1"))
    assert run("feedback", "backup", copy, "-w", workspace, "--json").exit_code == 0
    before = copy.read_bytes()
    store.add(feedback("2", query="숨긴 말"))
    store.close()
    path = workspace / "feedback.sqlite"
    path.write_bytes(path.read_bytes().replace("숨긴".encode(), "다른".encode()))
    said = run("feedback", "backup", copy, "-w", workspace)
    assert said.exit_code == 3
    assert "row 2 differs from its checksum" in said.stderr
    assert copy.read_bytes() == before
    for wrong in (tmp_path, tmp_path / "nowhere" / "x"):
        assert run("feedback", "backup", wrong, "-w", workspace).exit_code in (2, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["votes.sqlite", "w"]


def test_a_damaged_name_in_the_schema_is_refused_though_sqlite_cannot_quote_it(
    tmp_path: Path,
) -> None:
    store = FeedbackStore.open(tmp_path)
    store.add(feedback("1"))
    store.close()
    path = tmp_path / "feedback.sqlite"
    raw = path.read_bytes()
    assert b"triggeraddedfeedback" in raw
    raw = raw.replace(b"triggeraddedfeedback", b"trigger\x92ddedfeedback")
    path.write_bytes(raw.replace(b"CREATE TRIGGER added", b"CRAATE TRIGGER added"))
    with pytest.raises(DamagedError, match=r"feedback\.sqlite: "):
        FeedbackStore.open(tmp_path)
