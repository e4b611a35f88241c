"""One file from the network: resumed after a cut, checked before it has its name."""

import json
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPResponse
from pathlib import Path

from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.store import digest, write_json
from dotbogi.indexes.web import PassingError, RangeError, chunks, open_url

Progress = Callable[[str, int, int | None], None]
"""Told the file's name, how many of its bytes are there, and of how many if that is known."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a download is tried, and how much of it is taken."""

    timeout: float = 15.0  # seconds without a byte
    attempts: int = 4  # in one call; each goes on where the last was cut
    pause: float = 0.5  # seconds before the second attempt; doubles
    max_bytes: int = 1 << 30  # of a file whose size is not known beforehand


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known of a file before it comes."""

    sha256: str | None = None
    size: int | None = None
    known_from: str = ""  # who says so, for the error


@dataclass(frozen=True, slots=True)
class _State:
    """What a part file is a part of; beside it as JSON."""

    url: str
    validator: str | None  # strong ETag or date: with another one it is another file
    total: int | None


def download(
    url: str,
    target: Path,
    expected: Expected,
    *,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> str:
    """Bring the bytes of a URL to `target`, whole and checked, and return their SHA-256.

    What a cut leaves is kept in TARGET.part and gone on with, in this call or in a later one, as
    long as the server says that it is the same file.

    Raises:
        DotbogiError: the file cannot be had.
        DamagedError: its bytes are not the ones expected; they are thrown away.
    """
    patience = patience or Patience()
    part = target.with_name(target.name + ".part")
    for attempt in range(1, patience.attempts + 1):
        try:
            _transfer(url, part, expected, patience, progress)
            break
        except PassingError as error:
            logger.debug("%s: attempt %d: %s", url, attempt, error)
            if isinstance(error, RangeError):
                _discard(part)
            if attempt == patience.attempts:
                kept = f" {_size(part)} bytes are kept:" if _size(part) else ""
                raise DotbogiError(
                    f"{url}: {error}, in {attempt} attempts.{kept} run the same command again."
                ) from error
            time.sleep(patience.pause * 2 ** (attempt - 1))
    found = digest(part)
    if expected.sha256 and found != expected.sha256:
        _discard(part)
        raise DamagedError(
            f"{url}: the bytes have SHA-256 {found}, expected {expected.sha256} "
            f"({expected.known_from}). They have been thrown away."
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    _discard(part)
    return found


def _transfer(
    url: str, part: Path, expected: Expected, patience: Patience, progress: Progress | None
) -> None:
    """Take one attempt at what is missing of the part; when this returns, it is whole."""
    before = _resumable(part, url, expected)
    offset = _size(part) if before else 0
    if before and offset == before.total:
        return
    headers = {"User-Agent": "dotbogi", "Accept-Encoding": "identity"}
    if before:
        headers["Range"] = f"bytes={offset}-"
        if before.validator:
            headers["If-Range"] = before.validator
    with open_url(url, headers, patience.timeout) as response:
        now = _state_of(url, response)
        _refuse(now, response, expected, patience)
        if response.status != 206:
            offset = 0  # the server knows no ranges, or the file is another one than before
        elif before is None or not _continues(response, offset, before, now):
            _discard(part)
            raise PassingError("the file changed while it was fetched")
        limit = now.total or expected.size or patience.max_bytes
        with part.open("ab" if offset else "wb") as file:
            write_json(_state_path(part), asdict(now))  # after the bytes of another state are gone
            for chunk in chunks(response, patience.timeout):
                offset += len(chunk)
                if offset > limit:
                    break
                file.write(chunk)
                if progress:
                    progress(part.stem, offset, now.total or expected.size)
    _check_length(url, part, offset, now.total, limit)


def _check_length(url: str, part: Path, came: int, total: int | None, limit: int) -> None:
    if came > limit:
        _discard(part)
        raise DotbogiError(f"{url}: the server sends more than {limit} bytes; given up.")
    if total is not None and came < total:
        raise PassingError(f"cut off after {came} of {total} bytes")
    if not came:
        _discard(part)
        raise DotbogiError(f"{url}: the server sends an empty file.")


def _resumable(part: Path, url: str, expected: Expected) -> _State | None:
    """Return the state of a part that can be gone on with.

    Without a validator only a known digest can tell a file from one that was spliced.
    """
    try:
        state = _State(**json.loads(_state_path(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    same = state.url == url and (state.validator or expected.sha256)
    return state if same and _size(part) else None


def _continues(response: HTTPResponse, offset: int, before: _State, now: _State) -> bool:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start[1]) != offset:
        return False
    return before.validator in (None, now.validator) and before.total in (None, now.total)


def _state_of(url: str, response: HTTPResponse) -> _State:
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if validator and validator.startswith("W/"):
        validator = None  # weak: says the same of files that differ in bytes
    length = response.headers.get("Content-Length", "")
    if response.status == 206:
        length = response.headers.get("Content-Range", "").rpartition("/")[2]
    elif response.chunked:
        length = ""  # the chunks say where the end is
    total = int(length) if length.isascii() and length.isdigit() else None
    return _State(url, validator, total)


def _refuse(now: _State, response: HTTPResponse, expected: Expected, patience: Patience) -> None:
    """Raise where the header alone says that this is not the file."""
    url, headers = now.url, response.headers
    most = expected.size or patience.max_bytes
    if headers.get_content_type() == "text/html":
        raise DotbogiError(
            f"{url}: a web page came, not a table. Is this network asking for a login?"
        )
    if headers.get("Content-Encoding", "identity") != "identity":
        raise DotbogiError(f"{url}: the server sends it compressed, which was not asked for.")
    if expected.size is not None and now.total not in (None, expected.size):
        raise DamagedError(
            f"{url}: the server offers {now.total} bytes, expected {expected.size} "
            f"({expected.known_from})."
        )
    if (now.total or 0) > most:
        raise DotbogiError(f"{url}: the server offers {now.total} bytes; at most {most} are taken.")
    if now.total is None and not expected.sha256 and not response.chunked:
        raise DotbogiError(f"{url}: the server does not say how long the file is.")


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)
