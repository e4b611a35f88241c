"""A workspace's own words: synonyms.csv and dictionary.csv."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.json_files import read_bytes
from dotbogi.indexes.tables.delimited import read_text

SYNONYMS, DICTIONARY = "synonyms.csv", "dictionary.csv"
_TAGS = ("NNG", "NNP", "VV", "VA", "MAG", "IC")  # of Kiwi
_HANGUL_OR_LATIN = re.compile(r"[가-힣a-zA-Z0-9]{1,50}|[ㄱ-ㅎ]{1,50}")
_MOST_BYTES = 1 << 18


def read_lexicon(workspace: Path) -> Mapping[str, Any]:
    """Return what a workspace's own lists say, as settings of `IndexConfig`.

    synonyms.csv has a group a line, words between commas. dictionary.csv has a word a line, with
    Kiwi's tag after a comma if it is no proper noun (NNP). A missing file says nothing.

    Raises:
        UsageError: a line cannot be used.
        DamagedError: a file cannot be decoded.
    """
    return {"synonyms": _synonyms(workspace / SYNONYMS), "words": _words(workspace / DICTIONARY)}


def is_word(word: str) -> bool:
    """Return whether this is a word for Kiwi, with its tag: 삼김/NNG."""
    form, _, tag = word.partition("/")
    return _HANGUL_OR_LATIN.fullmatch(form) is not None and tag in _TAGS


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        size = len(read_bytes(path, _MOST_BYTES))
    except FileNotFoundError:
        return []
    text = read_text(path)[0] if size else ""
    if len(text) > _MOST_BYTES:  # it was compressed
        raise DamagedError(f"{path}: more than {_MOST_BYTES:,} characters, which is no list.")
    lines = text.splitlines()
    cells = [[cell.strip() for cell in line.split("#")[0].split(",")] for line in lines]
    return [(number, row) for number, row in enumerate(cells, 1) if any(row)]


def _synonyms(path: Path) -> tuple[tuple[str, ...], ...]:
    groups = []
    for number, row in _lines(path):
        words = tuple(dict.fromkeys(word.lower() for word in row if word))
        if len(words) < 2:
            raise UsageError(
                f"{path}, line {number}: one word. Expected two or more, such as 비밀번호,비번."
            )
        odd = next((word for word in words if not _HANGUL_OR_LATIN.fullmatch(word)), None)
        if odd:
            raise UsageError(
                f"{path}, line {number}: {odd!r} is not one word of letters and digits. Expected "
                "words between commas, such as 비밀번호,비번."
            )
        groups.append(words)
    return tuple(groups)


def _words(path: Path) -> tuple[str, ...]:
    words: dict[str, None] = {}
    for number, (form, *rest) in _lines(path):
        tag = (rest[0] if rest else "") or "NNP"
        if not is_word(f"{form}/{tag}"):
            raise UsageError(
                f"{path}, line {number}: {form!r} with tag {tag!r}. Expected a word, and one of "
                f"{', '.join(_TAGS)} or nothing, such as 삼김 or 삼김,NNG."
            )
        words[f"{form}/{tag}"] = None
    return tuple(words)
