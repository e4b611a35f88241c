"""JSON files, read in bounded memory."""

import json
import re
from pathlib import Path
from typing import Any, NoReturn

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import REBUILD, open_regular, reading

_MOST_BYTES = 1 << 24
# An empty list takes three bytes of a file and 64 of memory.
MOST_VALUES = 1_000_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(
    path: Path,
    remedy: str = REBUILD,
    *,
    most_bytes: int = _MOST_BYTES,
    most_values: int = MOST_VALUES,
) -> Any:
    """Return the value of a JSON file, without following a link.

    Raises:
        DamagedError: it cannot be read, is no JSON, or is larger than such files are.
    """
    with reading(path, remedy):
        data = read_bytes(path, most_bytes)
        return parse_json(data, most_values)


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; see `read_json`."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedError(f"{path}: holds no JSON object. Build the index again.")
    return value


def read_bytes(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        DamagedError: it is no regular file, or has more than `most` bytes.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DamagedError(f"{path}: more than {most:,} bytes, which no such file needs.")
    return data


def parse_json(data: bytes, most_values: int = MOST_VALUES) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises:
        ValueError: it is no JSON, may hold more values, or has a number that is none or text that
            is not valid Unicode.
        RecursionError: it is nested too deeply.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > most_values:
        raise ValueError(f"more than {most_values:,} values")
    value = json.loads(data.decode(), parse_constant=_refuse)
    if _SURROGATE.search(data):  # half of a character cannot be written anywhere
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
