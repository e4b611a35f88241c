"""Download one file: resume it if interrupted, and check it before it gets its name."""

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
from dotbogi.indexes.files import digest, write_json
from dotbogi.indexes.web import PassingError, RangeError, chunks, open_url

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes received, and the total bytes (None: unknown)."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits of a download: time, attempts and size."""

    timeout: float = 15.0  # seconds without any bytes
    attempts: int = 4  # per call; each resumes where the last one stopped
    pause: float = 0.5  # seconds before the second attempt; then doubles
    max_bytes: int = 1 << 30  # limit for a file of unknown size


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known about a file before it is downloaded."""

    sha256: str | None = None
    size: int | None = None
    known_from: str = ""  # the source, for the error message


@dataclass(frozen=True, slots=True)
class _State:
    """The download that a part file belongs to; saved beside it as JSON."""

    url: str
    validator: str | None  # strong ETag or date; if it differs, the file has changed
    total: int | None


def download(
    url: str,
    target: Path,
    expected: Expected,
    *,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> str:
    """Download a URL to `target`, check the bytes, and return their SHA-256.

    An interrupted download is kept in TARGET.part. This call or a later one resumes it, if the
    server says that the file is unchanged.

    Raises:
        DotbogiError: the file cannot be downloaded.
        DamagedError: its bytes are not the expected ones; they are deleted.
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
                kept = f" {_size(part)} bytes are kept." if _size(part) else ""
                raise DotbogiError(
                    f"{url}: {error}, after {attempt} attempts.{kept} Run the same command again."
                ) from error
            time.sleep(patience.pause * 2 ** (attempt - 1))
    sha256 = digest(part)
    if expected.sha256 and sha256 != expected.sha256:
        _discard(part)
        raise DamagedError(
            f"{url}: the bytes have SHA-256 {sha256}, expected {expected.sha256} "
            f"({expected.known_from}). They were deleted."
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    _discard(part)
    return sha256


def _transfer(
    url: str, part: Path, expected: Expected, patience: Patience, progress: Progress | None
) -> None:
    """Make one attempt to complete a part file; it is complete when this returns."""
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
            offset = 0  # the server does not support ranges, or the file has changed
        elif before is None or not _continues(response, offset, before, now):
            _discard(part)
            raise PassingError("the file changed during the download")
        limit = now.total or expected.size or patience.max_bytes
        with part.open("ab" if offset else "wb") as file:
            write_json(_state_path(part), asdict(now))  # only after the old bytes are gone
            for chunk in chunks(response, patience.timeout):
                offset += len(chunk)
                if offset > limit:
                    break
                file.write(chunk)
                if progress:
                    progress(part.stem, offset, now.total or expected.size)
    _check_length(url, part, offset, now.total, limit)


def _check_length(url: str, part: Path, received: int, total: int | None, limit: int) -> None:
    if received > limit:
        _discard(part)
        raise DotbogiError(f"{url}: the server sent more than {limit} bytes; stopped.")
    if total is not None and received < total:
        raise PassingError(f"cut off after {received} of {total} bytes")
    if not received:
        _discard(part)
        raise DotbogiError(f"{url}: the server sent an empty file.")


def _resumable(part: Path, url: str, expected: Expected) -> _State | None:
    """Return the state of a part file that can be resumed, or None.

    Without a validator, only a known digest reveals a file made from parts of two versions.
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
        validator = None  # weak: two files with different bytes may share it
    length = response.headers.get("Content-Length", "")
    if response.status == 206:
        length = response.headers.get("Content-Range", "").rpartition("/")[2]
    elif response.chunked:
        length = ""  # the chunks themselves mark the end
    total = int(length) if length.isascii() and length.isdigit() else None
    return _State(url, validator, total)


def _refuse(now: _State, response: HTTPResponse, expected: Expected, patience: Patience) -> None:
    """Raise an error if the headers alone show that this is the wrong file."""
    url, headers = now.url, response.headers
    most = expected.size or patience.max_bytes
    if headers.get_content_type() == "text/html":
        raise DotbogiError(
            f"{url}: the server sent a web page, not a table. Does this network ask for a login?"
        )
    if headers.get("Content-Encoding", "identity") != "identity":
        raise DotbogiError(f"{url}: the server sent a compressed file; expected no compression.")
    if expected.size is not None and now.total not in (None, expected.size):
        raise DamagedError(
            f"{url}: the server offers {now.total} bytes, expected {expected.size} "
            f"({expected.known_from})."
        )
    if (now.total or 0) > most:
        raise DotbogiError(f"{url}: the server offers {now.total} bytes; expected at most {most}.")
    if now.total is None and not expected.sha256 and not response.chunked:
        raise DotbogiError(f"{url}: the server does not state the file's length.")


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)
