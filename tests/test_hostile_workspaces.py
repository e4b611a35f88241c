"""A workspace that somebody else has made: its digests fit, and its contents mean harm."""

import hashlib
import os
import pickle
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ANSWERS, QUESTIONS, run
from effort import SOAK
from hostile import SECRET, Canary, check, in_child, load_torch, some
from hostile_generations import ANOTHER_MODEL, BY_TORCH, GENERATIONS, seal
from tiny_model import DIM, write_tiny_model

from dotbogi.search.feedback import Feedback, FeedbackStore

Shape = Callable[[Path], object]  # changes a workspace
NO_NUMBER = float("nan")


class Workspaces:
    """Two whole workspaces to make hostile ones of, and what must never be touched."""

    def __init__(self, place: Path) -> None:
        self.place, self.count = place, 0
        self.model = place / "model"
        write_tiny_model(self.model)
        self.table = place / "pairs.csv"
        lines = [f"{question},{ANSWERS[answer]}" for question, answer in QUESTIONS]
        self.table.write_text("\n".join(["question,answer", *lines]) + "\n", encoding="utf-8")
        self.canary = place / "canary"
        self.canary.write_text(SECRET)
        self.ran = place / "it-ran"
        for name, kinds in (("exact", ()), ("hnsw", ("--dense", "hnsw", "--bm25", "rank-bm25"))):
            made = run("index", self.table, "-w", place / name, "--model", self.model, *kinds)
            assert made.exit_code == 0, made.output
            assert run("query", "배고프다", "-w", place / name).exit_code == 0
        load_torch(self.model)

    def copy(self, kind: str) -> Path:
        self.count += 1
        return Path(shutil.copytree(self.place / kind, self.place / f"copy-{self.count}"))

    def check(self, job: Callable[[], Any], codes: tuple[int, ...]) -> None:
        check(in_child(job), codes, canary=self.canary, ran=self.ran)


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    made = Workspaces(tmp_path_factory.mktemp("hostile"))
    yield made
    shutil.rmtree(made.place)


# Links and other things in the place of files and folders.


def linked(name: str) -> Shape:
    """Put a link to the canary, or to a folder with it, in the place of a file of a workspace."""

    def shape(workspace: Path) -> None:
        path = workspace / name
        target = workspace.parent / "canary"
        if path.is_dir():
            shutil.rmtree(path)
            target = workspace.parent / "elsewhere"
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return shape


PLACES: dict[str, Shape] = {
    **{f"link: {name}": linked(name) for name in (
        "CURRENT", "generations", "generations/000001", "rounds",
        "generations/000001/answers.parquet", "generations/000001/manifest.json",
        "generations/000001/model/config.json", "generations/000001/encoder/tokenizer.json",
    )},
    "CURRENT: leads out": lambda w: (w / "CURRENT").write_text("../../../etc\n"),
    "CURRENT: a long name": lambda w: (w / "CURRENT").write_text("0" * 10_000_000),
}  # fmt: skip
HARMLESS: dict[str, Shape] = {
    "link: cache": linked("cache"),
    "link: .dotbogi-lock": linked(".dotbogi-lock"),
}


# The words of a workspace, and its cache, are read when the table is indexed again.


def words(name: str, text: str) -> Shape:
    return lambda workspace: (workspace / name).write_text(text)


WORDS: dict[str, Shape] = {
    "link: synonyms.csv": linked("synonyms.csv"),
    "link: dictionary.csv": linked("dictionary.csv"),
    "synonyms: 40 MB": words("synonyms.csv", "배송,택배\n" * 2_000_000),
    "synonyms: one line of 40 MB": words("synonyms.csv", "배송," * 5_000_000),
    "synonyms: no words": words("synonyms.csv", "=cmd|' /C calc'!A0,b\n"),
    "synonyms: a fifo": lambda workspace: os.mkfifo(workspace / "synonyms.csv"),
    "dictionary: 40 MB": words("dictionary.csv", "삼김\n" * 6_000_000),
    "dictionary: a word of 1 MB": words("dictionary.csv", "가" * 300_000),
    "dictionary: an odd tag": words("dictionary.csv", "삼김,__import__\n"),
    "dictionary: a bomb": lambda workspace: __import__("gzip").open(
        workspace / "dictionary.csv", "wb"
    ).write(bytes(400_000_000)),
}  # fmt: skip


def database(*statements: str, name: str = "tokens") -> Shape:
    """Run SQL in a file of the cache."""

    def shape(workspace: Path) -> None:
        for path in (workspace / "cache").glob(f"{name}-*.sqlite"):
            with sqlite3.connect(path) as opened:
                for statement in statements:
                    opened.execute(statement)
            opened.close()

    return shape


def all_values(change: Callable[[bytes], bytes], name: str = "tokens") -> Shape:
    """Change every value, with the checksum that fits."""

    def shape(workspace: Path) -> None:
        for path in (workspace / "cache").glob(f"{name}-*.sqlite"):
            opened = sqlite3.connect(path)
            for key, stored in opened.execute("SELECT key, value FROM kept").fetchall():
                value = change(stored[8:])
                check = hashlib.blake2b(key + value, digest_size=8).digest()
                opened.execute("UPDATE kept SET value = ? WHERE key = ?", (check + value, key))
            opened.commit()
            opened.close()

    return shape


def beside(suffix: str) -> Shape:
    def shape(workspace: Path) -> None:
        for path in (workspace / "cache").glob("*.sqlite"):
            if suffix == "-wal":
                opened = sqlite3.connect(path)
                opened.execute("PRAGMA journal_mode = WAL")
                opened.close()
            linked(f"cache/{path.name}{suffix}")(workspace)

    return shape


def naming_journal(workspace: Path, files: str = "cache/*.sqlite") -> None:
    """SQLite deletes the journal of several databases that a journal names, when it is done."""
    name = str(workspace.parent / "canary").encode()
    for path in workspace.glob(files):
        head = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 7, 3, 512, 4096)
        pages = head.ljust(512, b"\0")
        check = sum(name) & 0xFFFFFFFF
        end = struct.pack(">I", (1 << 30) // 4096 + 1) + name
        end += struct.pack(">II", len(name), check) + bytes.fromhex("d9d505f920a163d7")
        path.with_name(f"{path.name}-journal").write_bytes(pages + end)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
CACHES: dict[str, Shape] = {
    "cache: an endless view": database(
        "DROP TABLE kept",
        f"CREATE VIEW kept AS {ENDLESS} SELECT i AS key, zeroblob(9) AS value FROM n",
    ),
    "cache: an endless trigger": database(
        "DELETE FROM kept",
        f"CREATE TRIGGER t AFTER INSERT ON kept BEGIN {ENDLESS} SELECT count(*) FROM n; END",
    ),
    "cache: a column that is computed": database(
        "DROP TABLE kept",
        "CREATE TABLE kept (key BLOB PRIMARY KEY, value BLOB "
        "AS (zeroblob(1000000000)) VIRTUAL)",
    ),
    "cache: a value of 400 MB": database(
        "UPDATE kept SET value = zeroblob(400000000) WHERE rowid = 1"
    ),
    "cache: values that are texts": database("UPDATE kept SET value = 'x'"),
    "cache: tokens of 500 levels": all_values(lambda value: b"[" * 500 + b"]" * 500),
    "cache: tokens that are numbers": all_values(lambda value: b"[1, 2]"),
    "cache: tokens that are null": all_values(lambda value: b"null"),
    "cache: tokens that are no JSON": all_values(lambda value: b"\xff"),
    "cache: 4,000,000 tokens": all_values(lambda value: b"[" + b'"",' * 4_000_000 + b'""]'),
    "cache: tokens of half a character": all_values(lambda value: b'["\\ud800"]'),
    "cache: vectors that are none": all_values(
        lambda value: np.full(DIM, NO_NUMBER, "<f4").tobytes(), "vectors"
    ),
    "cache: vectors of one number": all_values(lambda value: value[:4], "vectors"),
    "cache: vectors of half a number": all_values(lambda value: value[:-2], "vectors"),
    "cache: empty vectors": all_values(lambda value: b"", "vectors"),
    "cache: a link to a journal": beside("-journal"),
    "cache: a link to a log": beside("-wal"),
    "cache: a link to shared memory": beside("-shm"),
    "cache: a journal that names the canary": naming_journal,
    "cache: a pickle": lambda workspace: [
        path.write_bytes(pickle.dumps(Canary())) for path in (workspace / "cache").iterdir()
    ],
    "cache: a link": linked("cache"),
    "cache: a file": lambda workspace: (
        shutil.rmtree(workspace / "cache"), (workspace / "cache").write_text("x")
    ),
}  # fmt: skip


FEEDBACK: dict[str, Shape] = {
    **{f"feedback: a link to {part}": linked(f"feedback.sqlite{part}")
       for part in ("", "-journal", "-wal", "-shm")},
    "feedback: a journal that names the canary": lambda workspace: naming_journal(
        workspace, "feedback.sqlite"
    ),
}  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("name", some([n for n in GENERATIONS if SOAK or n not in BY_TORCH], 13))
def test_a_hostile_generation_is_refused_in_one_line(name: str, workspaces: Workspaces) -> None:
    kind, shape = GENERATIONS[name]
    workspace = workspaces.copy(kind)
    folder = workspace / "generations" / "000001"
    Canary.where = str(workspaces.ran)
    shape(folder)
    if not name.startswith("manifest:"):
        seal(folder)
    codes = (1,) if name in ANOTHER_MODEL else (1, 3) if name.startswith("torch") else (3,)
    workspaces.check(lambda: run("query", "배고프다", "-w", workspace), codes)
    workspaces.check(lambda: run("history", "list", "-w", workspace), (0,))
    shutil.rmtree(workspace)


@pytest.mark.soak
@pytest.mark.parametrize("name", some({**PLACES, **HARMLESS}, 2))
def test_a_link_is_never_followed(name: str, workspaces: Workspaces) -> None:
    workspace = workspaces.copy("exact")
    elsewhere = workspaces.place / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    elsewhere.mkdir()
    {**PLACES, **HARMLESS}[name](workspace)
    codes = (0,) if name in HARMLESS else (3,)
    workspaces.check(lambda: run("query", "배고프다", "-w", workspace), codes)
    workspaces.check(lambda: run("index", workspaces.table, "-w", workspace), (0, 1, 2, 3))
    assert list(elsewhere.iterdir()) == []
    shutil.rmtree(workspace)


@pytest.mark.soak
@pytest.mark.parametrize("name", some(WORDS, 2))
def test_hostile_words_are_refused_in_one_line(name: str, workspaces: Workspaces) -> None:
    workspace = workspaces.copy("exact")
    WORDS[name](workspace)
    workspaces.check(lambda: run("index", workspaces.table, "-w", workspace), (2, 3))
    shutil.rmtree(workspace)


@pytest.mark.soak
@pytest.mark.parametrize("name", some(CACHES, 3))
def test_a_hostile_cache_is_made_anew(name: str, workspaces: Workspaces) -> None:
    workspace = workspaces.copy("exact")
    elsewhere = workspaces.place / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    elsewhere.mkdir()
    Canary.where = str(workspaces.ran)
    CACHES[name](workspace)
    workspaces.check(lambda: run("index", workspaces.table, "-w", workspace), (0,))
    assert list(elsewhere.iterdir()) == []
    before = workspace / "generations" / "000001"
    after = workspace / "generations" / "000002"
    for file in ("dense.whole.faiss", "bm25.joined/data.csc.index.npy", "answers.parquet"):
        assert (before / file).read_bytes() == (after / file).read_bytes(), file
    shutil.rmtree(workspace)


@pytest.mark.soak
@pytest.mark.parametrize("name", some(FEEDBACK, 1))
def test_what_is_beside_the_feedback_is_refused(name: str, workspaces: Workspaces) -> None:
    workspace = workspaces.copy("exact")
    store = FeedbackStore.open(workspace)
    vote = {name: "x" for name in ("id", "client", "query", "answer_id", "generation", "time")}
    store.add(Feedback(**vote, shown=(), verdict="best"))
    store.close()
    FEEDBACK[name](workspace)
    workspaces.check(lambda: run("feedback", "export", "-w", workspace), (3,))
    workspaces.check(lambda: run("index", workspaces.table, "-w", workspace), (0, 3))
    shutil.rmtree(workspace)
