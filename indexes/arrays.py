"""Arrays of numbers in files: what a file says about its length is checked before it is read."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.files import open_regular, reading
from dotbogi.indexes.json_files import parse_json

_MOST_HEADER = 1 << 24  # bytes; a model of ten thousand tensors has 1 MB
_WIDTHS = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip


def read_vector(path: Path, kind: str) -> NDArray[Any]:
    """Return the one-dimensional array of a .npy file.

    Args:
        path: a regular file.
        kind: the first letter of its type: "f" for floating-point numbers, "i" for whole ones.

    Raises:
        DamagedError: the file cannot be read, holds another array, or numbers that are none.
    """
    with reading(path), open_regular(path) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        length = path.stat().st_size - file.tell()
        if len(shape) != 1 or dtype.kind != kind or shape[0] * dtype.itemsize != length:
            raise ValueError(f"{dtype} {shape} in {length} bytes")
        vector = np.frombuffer(file.read(length), dtype)
        if kind == "f" and not np.isfinite(vector).all():
            raise ValueError("numbers that are none")
    return vector


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Return the tensors that a safetensors file lists: dtype, shape and data_offsets by name.

    Raises:
        DamagedError: the header cannot be read, or does not describe the file's bytes exactly.
    """
    with reading(path), open_regular(path) as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(_MOST_HEADER, size):
            raise ValueError(f"a header of {length:,} bytes")
        header: dict[str, Any] = parse_json(file.read(length))
        header.pop("__metadata__", None)
        end = 0
        for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"]):
            start, after = entry["data_offsets"]
            if start != end or after - start != _bytes_of(entry):
                raise ValueError("tensors that overlap, or of another length than they state")
            end = after
        if 8 + length + end != size:
            raise ValueError("cut short, or followed by something else")
    return header


def _bytes_of(entry: dict[str, Any]) -> int:
    shape = entry["shape"]
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"a tensor of shape {shape}")
    return math.prod(map(int, shape)) * _WIDTHS[entry["dtype"]]
