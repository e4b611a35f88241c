import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from conftest import LetterEncoder

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.cache import Cache


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    cache, encoder = Cache(tmp_path), LetterEncoder()
    first = cache.vectors("f", ["가", "나"], encoder.encode_queries)
    second = cache.vectors("f", ["나", "다", "나"], encoder.encode_queries)
    assert encoder.encoded == ["가", "나", "다"]
    np.testing.assert_array_equal(second[0], first[1])
    np.testing.assert_array_equal(second[0], second[2])


def test_another_fingerprint_shares_nothing(tmp_path: Path) -> None:
    cache, encoder = Cache(tmp_path), LetterEncoder()
    cache.vectors("f", ["가"], encoder.encode_queries)
    cache.vectors("g", ["가"], encoder.encode_queries)
    assert encoder.encoded == ["가", "가"]


def test_tokens_come_back_as_they_were(tmp_path: Path) -> None:
    cache, texts = Cache(tmp_path), ["배가 고파요", "", "5G"]
    expected = Analyzer().tokenize(texts)

    def never(texts: Sequence[str]) -> list[list[str]]:
        raise AssertionError(f"analysed again: {texts}")

    assert cache.tokens("a", texts, Analyzer().tokenize) == expected
    assert cache.tokens("a", texts, never) == expected


def test_a_damaged_value_is_made_again(tmp_path: Path) -> None:
    cache, encoder = Cache(tmp_path), LetterEncoder()
    expected = cache.vectors("f", ["가"], encoder.encode_queries)
    with sqlite3.connect(tmp_path / "vectors-f.sqlite") as database:
        (value,) = database.execute("SELECT value FROM kept").fetchone()
        damaged = value[:20] + bytes([value[20] ^ 1]) + value[21:]
        database.execute("UPDATE kept SET value = ?", (damaged,))
    database.close()
    np.testing.assert_array_equal(cache.vectors("f", ["가"], encoder.encode_queries), expected)
    assert encoder.encoded == ["가", "가"]


def test_a_file_that_is_no_database_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "vectors-f.sqlite").write_bytes(b"not a database at all" * 100)
    assert Cache(tmp_path).vectors("f", ["가"], LetterEncoder().encode_queries).shape == (1, 64)


def test_keep_only_deletes_other_fingerprints(tmp_path: Path) -> None:
    cache, encoder = Cache(tmp_path), LetterEncoder()
    for fingerprint in ("old", "new.answer", "new.question"):
        cache.vectors(fingerprint, ["가"], encoder.encode_queries)
    cache.keep_only(["new"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "vectors-new.answer.sqlite",
        "vectors-new.question.sqlite",
    ]
