"""Check a tokenizer.json of unknown origin: it can make a text grow without end, or take for ever.

A tokenizer is a small program: replacements, one after the other, and regular expressions.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import reading
from dotbogi.indexes.json_files import read_json

_MOST_BYTES, _MOST_VALUES = 1 << 26, 4_000_000
_MOST_PARTS = 50
_MOST_GROWTH = 64.0  # of a text, by all replacements together; 18 is NFKC's own
_LONGEST_NAME = 64  # bytes of a replacement; SentencePiece's own have 33
_LEAF = 1 << 31
_LONGEST = 1000  # letters of a word; WordPiece takes the square of it
_KINDS = {
    "normalizer": {
        "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "Strip",
        "BertNormalizer", "Replace", "Prepend", "Precompiled", "ByteLevel",
    },
    "pre_tokenizer": {
        "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Metaspace", "ByteLevel",
        "Punctuation", "Digits", "Split", "UnicodeScripts", "CharDelimiterSplit",
    },
    "post_processor": {
        "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel",
    },
}  # fmt: skip
_MODELS = {"BPE", "WordPiece", "WordLevel", "Unigram"}
_INSIDE = ("normalizers", "pretokenizers", "processors")
# One character or class, repeated or not: never slower than the square of a text.
_SIMPLE = re.compile(
    r"(?:\\?.|\\p\{\w+\}|\[(?:\\.|[^\]\\])+\])(?:[*+?]|\{\d{1,3},?\d{0,3}\})?", re.DOTALL
)
# The expressions of the models that are used most.
_KNOWN = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def read_tokenizer(path: Path) -> dict[str, Any]:
    """Return what a tokenizer.json says.

    Raises:
        DamagedError: it cannot be read.
    """
    stored = read_json(path, most_bytes=_MOST_BYTES, most_values=_MOST_VALUES)
    with reading(path):
        return dict(stored)


def open_tokenizer(path: Path) -> Any:
    """Return a tokenizer that neither pads nor truncates, after checking it.

    Raises:
        DamagedError: it cannot be read, or has a part that is not known to be harmless.
    """
    from tokenizers import Tokenizer

    check_tokenizer(path)
    with reading(path):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
    return tokenizer


def check_tokenizer(path: Path) -> None:
    """Check that a tokenizer reads any text in bounded time and memory.

    Raises:
        DamagedError: it cannot be read, or has a part that is not known to be harmless.
    """
    stored = read_tokenizer(path)
    with reading(path):
        model = stored["model"]
        growth, count = 1.0, 0
        for place, kinds in _KINDS.items():
            for part in _parts(stored.get(place)):
                growth, count = growth * _growth(part), count + 1
                if part["type"] not in kinds or count > _MOST_PARTS or growth > _MOST_GROWTH:
                    raise _refused(path, str(part["type"]))
                if not _is_harmless(part):
                    raise _refused(path, f"{part['type']} with its pattern")
        if model["type"] not in _MODELS or model.get("max_input_chars_per_word", 0) > _LONGEST:
            raise _refused(path, str(model["type"]))
        pieces = model["vocab"]
        if "" in (pieces if isinstance(pieces, dict) else [piece for piece, _ in pieces]):
            raise _refused(path, "a piece without letters")


def _refused(path: Path, part: str) -> DamagedError:
    return DamagedError(
        f"{path}: {part:.60} could take any time or memory, and is not used. Expected the parts "
        "of common tokenizers; see docs/reliability.md."
    )


def _parts(part: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """Yield a part of a tokenizer, or those that it consists of."""
    if part and part["type"] == "Sequence":
        for inside in next(part[name] for name in _INSIDE if name in part):
            yield from _parts(inside)
    elif part:
        yield part


def _growth(part: Mapping[str, Any]) -> float:
    """Return how many times as long a text may become."""
    if part["type"] == "Prepend":
        return 1.0 if len(part["prepend"]) <= _MOST_PARTS else float("inf")
    if part["type"] == "Precompiled":
        longest = _longest_name(base64.b64decode(part["precompiled_charsmap"]))
        return 1.0 if longest <= _LONGEST_NAME else float("inf")
    if part["type"] == "TemplateProcessing":
        tokens = [token for entry in part["special_tokens"].values() for token in entry["ids"]]
        return 1.0 if len(part["single"]) + len(tokens) <= _MOST_PARTS else float("inf")
    if part["type"] != "Replace":
        return 1.0
    literal = part["pattern"].get("String")
    return max(1.0, len(part["content"]) / len(literal) if literal else len(part["content"]))


def _longest_name(table: bytes) -> int:
    """Return the length of the longest replacement in a table of SentencePiece.

    A table is a double-array trie (darts-clone) and, behind it, the replacements that it points
    to. The library that walks it does not check its steps.

    Raises:
        ValueError: a step or a replacement is outside the table.
    """
    start = 4 + int.from_bytes(table[:4], "little")
    units = np.frombuffer(table[4:start], "<u4").astype(np.int64)
    names = np.frombuffer(table[start:], np.uint8)
    at = np.flatnonzero(units < _LEAF)
    steps = at ^ ((units[at] >> 10) << ((units[at] & 512) >> 6))
    ends = units[units >= _LEAF] - _LEAF
    is_sound = (
        len(units) > 0
        and len(units) == (start - 4) // 4
        and ((steps | 255) < len(units)).all()
        and (ends < len(names)).all()
        and (names[ends] & 0xC0 != 0x80).all()  # not in the middle of a character
    )
    if not is_sound:
        raise ValueError("a table that points out of itself")
    return max(map(len, table[start:].split(b"\0")))


def _is_harmless(part: Mapping[str, Any]) -> bool:
    if "pattern" not in part:
        return True
    expression = part["pattern"].get("Regex")
    if expression is None:
        return bool(part["pattern"]["String"])
    return expression in _KNOWN or _SIMPLE.fullmatch(expression) is not None
