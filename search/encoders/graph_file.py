"""Check an ONNX file of unknown origin: it must be the graph that this version builds.

A graph is a program. It could double a tensor a hundred times, read other files as its constants,
or call operators of a library. So its nodes are compared with those of the model's architecture,
and its constants by name, type and size. Protocol Buffers are read here: importing onnx takes a
tenth of a second of every start.
"""

import math
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import mapped, open_regular, reading
from dotbogi.search.encoders.architecture import Architecture, NotExportableError
from dotbogi.search.encoders.graph import (
    INPUTS,
    OPSETS,
    OUTPUT,
    Graph,
    Node,
    check_sizes,
)
from dotbogi.search.encoders.onnx_encoder import EncoderFacts

_TYPES: dict[int, Any] = {1: "<f4", 2: "u1", 3: "i1", 7: "<i8"}
_SIDE = "model.onnx.data"  # the constants of a large graph
_EXTERNAL = 1
_Fields = dict[int, list[Any]]


class _Blank(dict[str, NDArray[np.float32]]):
    """Weights of any name, for nodes without weights."""

    def __missing__(self, name: str) -> NDArray[np.float32]:
        return np.zeros((1, 1), np.float32)


def check_graph(path: Path, model: Path, facts: EncoderFacts) -> None:
    """Check that a file holds the graph of a model and nothing else.

    Args:
        path: the ONNX file.
        model: the sentence-transformers folder that it was made from.
        facts: of the encoder.

    Raises:
        DamagedError: it is another graph, or a constant is none.
    """
    try:
        shape = Architecture.of(model)
    except NotExportableError as error:
        raise DamagedError(f"{path}: no model of this kind has a graph: {error}.") from error
    assert facts.precision != "torch"
    expected = Graph(_Blank(), facts.precision)
    expected.build(shape)
    with reading(path), open_regular(path) as file:
        stored = _fields(memoryview(mapped(file)))
        if not set(stored) <= {1, 2, 3, 7, 8}:
            raise ValueError("functions, or training")
        opsets = {(_text(o, 1), *o.get(2, [])) for o in map(_fields, stored[8])}
        graph = _fields(_only(stored, 7))
        names = [[_text(_fields(value), 1) for value in graph[place]] for place in (11, 12)]
        if (opsets, names) != ({*OPSETS}, [[*INPUTS], [OUTPUT]]) or set(graph) != {1, 2, 5, 11, 12}:
            raise ValueError("another interface")
        if list(map(_node, graph[1])) != list(map(_plain, expected.nodes)):
            raise ValueError("another graph")
        constants = {name: array for name, array in (_constant(c, path) for c in graph[5])}
        _check_constants(constants, expected, len(graph[5]))
        check_sizes({name: array.shape for name, array in constants.items()}, shape)
        if facts.dim != shape.hidden or facts.max_tokens > len(constants["positions"]):
            raise DamagedError(f"{path}: other dimensions, or fewer positions, than encoder.json.")


def _check_constants(constants: dict[str, NDArray[Any]], expected: Graph, count: int) -> None:
    if set(constants) != set(expected.constants) or count != len(constants):
        raise ValueError("other constants")
    for name, array in constants.items():
        ours = expected.constants[name]
        if array.dtype != ours.dtype:
            raise ValueError(f"{name} of another type")
        if name in expected.fixed and not np.array_equal(array, ours):
            raise ValueError(f"{name} of another value")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are none")


def _constant(data: memoryview, path: Path) -> tuple[str, NDArray[Any]]:
    """Return a constant's name and values, without reading them."""
    fields = _fields(data)
    if not set(fields) <= {1, 2, 8, 9, 13, 14}:
        raise ValueError("a constant in another form")
    kind, size = np.dtype(_TYPES[_only(fields, 2)]), tuple(_sizes(fields.get(1, [])))
    name, count = _text(fields, 8), math.prod(size)
    if fields.get(14, [0])[-1] != _EXTERNAL:
        values = np.frombuffer(_only(fields, 9), kind)
    else:
        values = _beside(fields, path, kind, count)
    if len(values) != count:
        raise ValueError(f"{name} has {len(values):,} values for {size}")
    return name, values.reshape(size)


def _beside(fields: _Fields, path: Path, kind: Any, count: int) -> NDArray[Any]:
    """Return values that are in the file beside a large graph, and in no other file."""
    entries = {_text(entry, 1): _text(entry, 2) for entry in map(_fields, fields[13])}
    start, length = int(entries.get("offset", 0)), int(entries["length"])
    if entries["location"] != _SIDE or start < 0 or length != count * kind.itemsize or 9 in fields:
        raise ValueError("constants in another file")
    with open_regular(path.with_name(_SIDE)) as file:
        data = mapped(file)
    values: NDArray[Any] = np.frombuffer(data, kind, count, start)
    return values


def _sizes(stored: list[Any]) -> list[int]:
    """Return the sides of a constant, which are packed into one field or not."""
    sizes: list[int] = []
    for entry in stored:
        if isinstance(entry, int):
            sizes.append(entry)
            continue
        at = 0
        while at < len(entry):
            size, at = _number(entry, at)
            sizes.append(size)
    return sizes


def _plain(node: Node) -> tuple[Any, ...]:
    """Return a node as `_node` reads it."""
    attributes = {
        name: struct.pack("<f", value) if isinstance(value, float) else value
        for name, value in node.attributes.items()
    }
    return node.kind, node.domain, list(node.inputs), list(node.outputs), attributes


def _node(data: memoryview) -> tuple[Any, ...]:
    fields = _fields(data)
    attributes: dict[str, Any] = {}
    for attribute in map(_fields, fields.get(5, [])):
        if not set(attribute) <= {1, 2, 3, 8, 20}:
            raise ValueError("an attribute that is a graph, a tensor or a text")
        attributes[_text(attribute, 1)] = _value(attribute)
    names = [[bytes(name).decode() for name in fields.get(place, [])] for place in (1, 2)]
    return _text(fields, 4), _text(fields, 7), *names, attributes


def _value(attribute: _Fields) -> Any:
    """Return the value of an attribute: whole numbers, one of them, or the bytes of a fraction."""
    if 8 in attribute:
        return list(map(_signed, attribute[8]))
    return _signed(_only(attribute, 3)) if 3 in attribute else bytes(_only(attribute, 2))


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _only(fields: _Fields, number: int) -> Any:
    (value,) = fields[number]
    return value


def _text(fields: _Fields, number: int) -> str:
    values = fields.get(number, [b""])
    return bytes(values[-1]).decode() if len(values) == 1 else ""


def _fields(data: memoryview) -> _Fields:
    """Return the values of a message of Protocol Buffers by field number."""
    fields: _Fields = defaultdict(list)
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind, length = key & 7, 0
        if kind == 0:
            value, at = _number(data, at)
            fields[key >> 3].append(value)
            continue
        if kind == 2:
            length, at = _number(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("a field of an unknown kind")
        if length > len(data) - at:
            raise ValueError("a field that is longer than its message")
        fields[key >> 3].append(data[at : at + length])
        at += length
    return fields


def _number(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
