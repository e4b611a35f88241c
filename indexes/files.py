"""Files that are known to be on the disk, and files that are safe to open."""

import contextlib
import errno
import hashlib
import io
import json
import mmap
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.system_errors import explained

_AT_ONCE = 1 << 20  # bytes copied at a time
# O_NONBLOCK: opening a fifo would otherwise wait for its other end forever.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
REBUILD = "Build the index again."


def write_file(path: Path, data: Any) -> None:
    """Write bytes, put them on the disk, and compare what is there with what was handed over.

    Libraries that write files themselves may drop an error that comes with the last bytes, when
    the file is closed. Their output is therefore made in memory and written here.

    Args:
        path: a new file, or one to replace; a link is refused.
        data: bytes, or anything with a buffer of bytes.

    Raises:
        OSError: the file cannot be written; the error has its name.
        DamagedError: the disk holds other bytes than those handed over.
    """
    _write(path, [memoryview(data).cast("B")])


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write bytes that come in parts; see `write_file`."""
    _write(path, map(memoryview, parts))


def copy_file(source: Path, target: Path) -> None:
    """Copy a regular file as `write_file` writes one.

    Raises:
        OSError: the copy cannot be written.
        DamagedError: the source is not a regular file, or the copy differs from it.
    """
    with open_regular(source) as file:

        def part() -> memoryview:
            with naming(source):
                return memoryview(file.read(_AT_ONCE))

        _write(target, iter(part, b""))


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder of regular files and folders; see `copy_file`."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_dir() and not path.is_symlink():
            copy_folder(path, target / path.name)
        else:
            copy_file(path, target / path.name)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file at once, by a rename; its folder is not synced.

    The bytes are first written to a new file beside it, never to one that is there already: that
    may be a link.
    """
    temporary = path.with_name(f".{path.name}")
    remove(temporary)
    try:
        _write(temporary, [memoryview(data)], os.O_EXCL)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, parts: Iterable[memoryview], flags: int = 0) -> None:
    size, hasher = 0, hashlib.sha256()
    with naming(path):
        descriptor = os.open(path, _NEW | flags, 0o666)
        try:
            for part in parts:
                size += len(part)
                hasher.update(part)
                while part:
                    part = part[os.write(descriptor, part) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)  # may raise too: some file systems report a full disk only here
        found = path.lstat().st_size
    if found != size or digest_of_regular(path) != hasher.hexdigest():
        raise DamagedError(
            f"{path}: the disk holds {found} bytes that are not the {size} that were written. "
            "Check the disk and its free space."
        )


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON in UTF-8."""
    write_file(path, (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode())


def write_parquet(path: Path, table: Any, **options: Any) -> None:
    """Write a pyarrow table; `options` are those of pyarrow.parquet.write_table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, **options)
    write_file(path, buffer.getvalue())


def sync(path: Path) -> None:
    """Put a file's bytes, or a folder's names, on the disk."""
    with naming(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Put all that is in a folder on the disk, and its name in the folder around it."""
    for path in [*tree(folder), folder, folder.parent]:
        sync(path)


def listed(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; nothing if there is no such folder.

    `Path.glob` hides that a folder cannot be read.

    Raises:
        OSError: the folder cannot be read.
    """
    with naming(folder):
        try:
            return sorted(folder.iterdir())
        except FileNotFoundError:
            return []


def tree(folder: Path) -> Iterator[Path]:
    """Yield all that is in a folder and in its folders, in order; links are not followed.

    Raises:
        OSError: a folder cannot be read.
    """
    for path in listed(folder):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from tree(path)


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading if it is a regular one, without following a link or waiting.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        DamagedError: it is a link, a fifo, a device or a folder.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise DamagedError(f"{path}: not a regular file.") from error
        raise
    try:
        with naming(path):
            is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if not is_regular:
            raise DamagedError(f"{path}: not a regular file.")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def mapped(file: io.BufferedReader) -> mmap.mmap:
    """Return the bytes of an open file, which are read as they are used.

    With the size given: mmap takes an error of the system about the size for an empty file.
    """
    size = os.fstat(file.fileno()).st_size
    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def digest_of_regular(path: Path) -> str:
    """Return the SHA-256 of a regular file's bytes; see `open_regular`."""
    with open_regular(path) as file, naming(path):
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_json(value: Any) -> str:
    """Return the SHA-256 of a value, for files of JSON that hold their own digest."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add a path to errors of the system that lack one.

    `os.write` names no file, and `shutil.rmtree` only its name inside of some folder.
    """
    try:
        yield
    except OSError as error:
        name = error.filename
        has_path = isinstance(name, (str, bytes)) and os.sep in os.fsdecode(name)
        if error.errno is None or has_path:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def reading(path: Path | str, remedy: str = REBUILD) -> Iterator[None]:
    """Turn whatever a library raises about the contents of a file into DamagedError with its name.

    Each of our own formats is read inside of this, so that no error of a parser reaches a user.
    Parsers raise errors of many classes about bytes that they do not expect, so all are caught.
    Errors of the system, such as too many open files, say nothing about the contents, and neither
    does a package that is not installed.

    Args:
        path: to name, or a place in a file.
        remedy: what the user can do, as a sentence.
    """
    try:
        yield
    except (DotbogiError, ImportError):
        raise
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: missing. {remedy}") from error
    except BaseException as error:
        # A panic of a library in Rust is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise why_unreadable(Path(path), error, f"cannot be read. {remedy}") from error


def why_unreadable(path: Path, error: BaseException, otherwise: str) -> DotbogiError:
    """Return why a library could not read a file: an error of the system, or else damage.

    Some libraries take a read that failed for the end of the file. So the file is read again.

    Args:
        path: the file.
        error: what the library raised.
        otherwise: what to say of a file that the system can read.
    """
    if shown := explained(error, path):
        return shown
    try:
        with open_regular(path) as file:
            while file.read(_AT_ONCE):
                pass
    except OSError as system:
        if shown := explained(system, path):
            return shown
    except DamagedError as other:
        return other
    return DamagedError(f"{path}: {otherwise}")
