"""A damaged cache costs time, never an index: it is made anew, and wrong values are not used."""

import os
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import LetterEncoder, run
from effort import effort

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.dense import Vectors

TEXTS = [f"질문 {number}" for number in range(600)]
PAGE = 4096


@pytest.fixture
def cache_file(tmp_path: Path) -> Path:
    Cache(tmp_path).vectors("f", TEXTS, LetterEncoder().encode_queries)
    return tmp_path / "vectors-f.sqlite"


def vectors_from(path: Path, data: bytes, *, more: Sequence[str] = ("새 글",)) -> Vectors:
    """Put these bytes into the cache, and ask it for all texts and new ones."""
    path.write_bytes(data)
    return Cache(path.parent).vectors("f", [*TEXTS, *more], LetterEncoder().encode_queries)


def test_a_damaged_page_anywhere_is_made_good(cache_file: Path) -> None:
    whole = cache_file.read_bytes()
    expected = LetterEncoder().encode_queries([*TEXTS, "새 글"])
    rng, tried = random.Random(0), 0
    for start in range(0, len(whole), PAGE):
        for page in (bytes(PAGE), b"\xff" * PAGE, rng.randbytes(PAGE)):
            damaged = whole[:start] + page + whole[start + PAGE :]
            np.testing.assert_array_equal(vectors_from(cache_file, damaged), expected)
            tried += 1
    assert tried >= 100, f"{tried} damaged pages"


@pytest.mark.soak
def test_a_flipped_bit_anywhere_gives_no_wrong_vector(cache_file: Path) -> None:
    whole = cache_file.read_bytes()
    expected = LetterEncoder().encode_queries([*TEXTS, "새 글"])
    rng = random.Random(1)
    for tried in range(effort(60, 300)):
        damaged = bytearray(whole)
        # The first bytes of pages point to the rest, so damage there has the widest effects.
        place = rng.randrange(len(whole) // PAGE) * PAGE + rng.randrange(200 if tried % 2 else PAGE)
        damaged[place] ^= 1 << rng.randrange(8)
        found = vectors_from(cache_file, bytes(damaged))
        np.testing.assert_array_equal(found, expected, err_msg=f"bit at {place}, {tried} tried")


def test_a_cache_cut_at_any_page_is_made_good(cache_file: Path) -> None:
    whole = cache_file.read_bytes()
    expected = LetterEncoder().encode_queries([*TEXTS, "새 글"])
    for length in [*range(0, len(whole), PAGE), 1, 99, 100, 101, PAGE - 1, len(whole) - 1]:
        found = vectors_from(cache_file, whole[:length])
        np.testing.assert_array_equal(found, expected, err_msg=f"cut at {length}")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE kept SET value = (SELECT value FROM kept WHERE rowid = 1)", "DROP TABLE kept",
      "ALTER TABLE kept DROP COLUMN value", "UPDATE kept SET value = NULL",
     "UPDATE kept SET value = 'text'", "UPDATE kept SET value = 7", "UPDATE kept SET value = x''",
     "UPDATE kept SET value = CAST(x'ff' AS TEXT)",
     "CREATE TRIGGER t BEFORE INSERT ON kept BEGIN SELECT RAISE(ABORT, 'no'); END"],
)  # fmt: skip
def test_a_database_of_another_content_is_made_good(cache_file: Path, statement: str) -> None:
    database = sqlite3.connect(cache_file)
    with database:
        database.execute(statement)
    database.close()
    expected = LetterEncoder().encode_queries([*TEXTS, "새 글"])
    np.testing.assert_array_equal(vectors_from(cache_file, cache_file.read_bytes()), expected)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_what_is_no_file_is_replaced_and_a_link_is_not_written_through(
    tmp_path: Path, kind: str
) -> None:
    path, elsewhere = tmp_path / "cache" / "vectors-f.sqlite", tmp_path / "elsewhere"
    path.parent.mkdir()
    elsewhere.write_bytes(b"")
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere)
    Cache(path.parent).vectors("f", TEXTS, LetterEncoder().encode_queries)
    assert path.is_file()
    assert not path.is_symlink()
    assert elsewhere.read_bytes() == b""


def test_a_lock_of_another_program_is_no_damage(
    cache_file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, connect = cache_file.read_bytes(), sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, timeout=0.1))
    other = sqlite3.connect(cache_file)
    other.execute("BEGIN EXCLUSIVE")
    try:
        expected = LetterEncoder().encode_queries(TEXTS)
        found = Cache(cache_file.parent).vectors("f", TEXTS, LetterEncoder().encode_queries)
        assert np.array_equal(found, expected)
        assert "cannot be used (database is locked); the cache is left out" in caplog.text
    finally:
        other.close()
    assert cache_file.read_bytes() == before


def test_index_goes_on_with_a_damaged_cache_and_says_so(
    tmp_path: Path, pairs_csv: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run("index", pairs_csv, "-w", tmp_path / "w").exit_code == 0
    answers = run("query", "배고프다", "-w", tmp_path / "w").output
    files = sorted((tmp_path / "w" / "cache").glob("*.sqlite"))
    for path in files:
        data = path.read_bytes()
        path.write_bytes(data[:PAGE] + b"\xff" * (len(data) - PAGE))
    assert run("index", pairs_csv, "-w", tmp_path / "w").exit_code == 0
    said = [r.getMessage() for r in caplog.records if "made anew" in r.getMessage()]
    assert len(said) == len(files), f"{len(files)} damaged: {said}"
    assert run("query", "배고프다", "-w", tmp_path / "w").output == answers
