"""Notice votes that are lost with SQLite's log, which SQLite itself passes over in silence.

Votes are first in the log, `feedback.sqlite-wal`. After a process was killed they are only there.
SQLite reads the log up to the first frame with a wrong checksum, and takes what follows for a
transaction that was not finished. Its index, `feedback.sqlite-shm`, says how many frames were: it
is written after a transaction is on the disk, so the log never has fewer.

Both formats: https://www.sqlite.org/walformat.html
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from dotbogi.indexes.errors import DamagedError

_LOG_HEAD, _FRAME_HEAD = struct.Struct(">8I"), struct.Struct(">6I")
_INDEX_HEAD = struct.Struct("=12I")  # in the machine's byte order; stored twice
_MAGIC = 0x377F0682  # the last bit says whether checksums are big-endian
_WORD = 2**32 - 1
_ATTEMPTS = 10  # while others write, both files may change between two reads


@dataclass(frozen=True, slots=True)
class _Index:
    """What the index says about the log."""

    salts: tuple[int, int]
    frames: int  # with committed transactions
    copied: int  # of these, into the database


def check_log(database: Path) -> None:
    """Check that the log of a database has all transactions that were committed.

    It is to be called before the database is opened: SQLite then repairs the log by forgetting
    what it cannot read.

    Raises:
        DamagedError: some are missing or damaged.
    """
    log, index = (database.with_name(database.name + suffix) for suffix in ("-wal", "-shm"))
    said = _read_index(index)
    for _ in range(_ATTEMPTS):
        if said is None or said.frames <= said.copied or _frames(log, said.salts) >= said.frames:
            return
        before, said = said, _read_index(index)
        if said == before:
            raise DamagedError(
                f"{log}: damaged or missing, with votes that are nowhere else. Restore it from a "
                f"backup; or remove {index.name} to go on without them."
            )


def _read_index(path: Path) -> _Index | None:
    """Return what the index says; None if it is missing or damaged, which loses nothing."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    size = _INDEX_HEAD.size
    if len(raw) < 2 * size + 4 or raw[:size] != raw[size : 2 * size]:
        return None
    words = _INDEX_HEAD.unpack_from(raw)
    if _checksum((0, 0), raw[: size - 8], sys.byteorder == "big") != words[10:]:
        return None
    # The salts are kept as they are in the log, whose order is big-endian.
    salts = struct.unpack_from(">2I", raw, 32)
    (copied,) = struct.unpack_from("=I", raw, 2 * size)
    return _Index((salts[0], salts[1]), words[4], copied)


def _frames(path: Path, salts: tuple[int, int]) -> int:
    """Return the number of frames in a log, up to the first one that does not belong there."""
    try:
        raw = path.read_bytes()
    except OSError:
        return 0
    if len(raw) < _LOG_HEAD.size:
        return 0
    magic, _, page, _, *found = _LOG_HEAD.unpack_from(raw)
    big = bool(magic & 1)
    checksum = _checksum((0, 0), raw[:24], big)
    if magic & ~1 != _MAGIC or tuple(found) != (*salts, *checksum):
        return 0
    count, start = 0, _LOG_HEAD.size
    while start + _FRAME_HEAD.size + page <= len(raw):
        content = start + _FRAME_HEAD.size
        _, _, *facts = _FRAME_HEAD.unpack_from(raw, start)
        checksum = _checksum(checksum, raw[start : start + 8], big)
        checksum = _checksum(checksum, raw[content : content + page], big)
        if tuple(facts) != (*salts, *checksum):
            break
        count, start = count + 1, content + page
    return count


def _checksum(before: tuple[int, int], data: bytes, big: bool) -> tuple[int, int]:
    """Return SQLite's checksum of the log, continued over more bytes."""
    first, second = before
    words = struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second
