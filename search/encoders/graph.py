"""Build a transformer's ONNX graph, from token ids to unit vectors, without torch.

The graph is a BERT encoder (Devlin et al. 2019) that also pools and normalises. BERT, MiniLM,
RoBERTa, CamemBERT and XLM-R have this architecture; they differ in where positions start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.files import reading, write_file
from dotbogi.search.encoders.architecture import Architecture, NotExportableError
from dotbogi.search.encoders.model_folder import read_modules, read_tensors

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal["int8", "float32"]
Floats = NDArray[np.float32]

GRAPH_VERSION = 1  # part of the fingerprint: another graph rounds differently
OPSETS = (("", 20), ("com.microsoft", 1))
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "vectors"
FLOAT, UINT8 = 1, 2  # of onnx.TensorProto; importing onnx takes a tenth of a second
_LARGE = 1 << 30  # bytes; a Protocol Buffers file cannot hold 2 GiB

# Seven bits per weight, not eight: a processor without VNNI adds two products of bytes in 16 bits,
# and 2 × 255 × 127 would overflow. Activations have eight.
_WEIGHT_STEPS = 63
_TABLE_STEPS = 127  # word vectors are only looked up
_ZERO = 128  # the zero point of activations, which are unsigned bytes


class Node(NamedTuple):
    """A node of a graph."""

    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


def build_graph(folder: Path, precision: Precision) -> "ModelProto":
    """Return the graph of a sentence-transformers folder.

    Inputs `input_ids` and `attention_mask`, both texts × tokens (int64); output `vectors`,
    texts × dim unit rows. In int8, each column of a weight matrix and each token's activations
    have their own scale. So a text's vector does not depend on the rest of its batch, and a large
    activation makes no other token less precise.

    Raises:
        NotExportableError: the model has another architecture.
        DamagedError: the weights cannot be read, or are not those of the architecture.
    """
    shape = Architecture.of(folder)
    weights = _weights(folder)
    with reading(folder / read_modules(folder)[0]["path"] / "model.safetensors"):
        graph = Graph(weights, precision)
        graph.build(shape)
        check_sizes({name: array.shape for name, array in graph.constants.items()}, shape)
    return graph.model(shape.hidden)


def save_graph(graph: "ModelProto", path: Path) -> None:
    """Write a graph; the constants of a large one go into a file beside it."""
    from onnx import save_model

    size = sum(len(constant.raw_data) for constant in graph.graph.initializer)
    if size > _LARGE:
        save_model(graph, str(path), save_as_external_data=True, location=f"{path.name}.data")
    else:
        write_file(path, graph.SerializeToString())


def _weights(folder: Path) -> dict[str, Floats]:
    weights = read_tensors(folder / read_modules(folder)[0]["path"])
    word = "embeddings.word_embeddings.weight"
    prefix = next((name.removesuffix(word) for name in weights if name.endswith(word)), None)
    if prefix is None:
        raise NotExportableError("weights under other names")
    return {name.removeprefix(prefix): array for name, array in weights.items()}


def check_sizes(sizes: Mapping[str, Sequence[int]], shape: Architecture) -> None:
    """Check that the weights of a graph have the sizes of an architecture.

    Raises:
        ValueError: one has not.
    """
    (wide,) = sizes["encoder.layer.0.up"]
    words, positions = sizes["words"][0], sizes["positions"][0]
    for name, size in sizes.items():
        known = {
            "words": (words, shape.hidden), "words scale": (words, 1),
            "positions": (positions, shape.hidden),
        }  # fmt: skip
        of_model = name.startswith(("encoder.", "embeddings."))
        expected = _size_of(name, shape.hidden, wide) if of_model else known.get(name)
        if expected not in (None, tuple(size)):
            raise ValueError(f"{name} has the size {tuple(size)}, expected {expected}")


def _size_of(name: str, hidden: int, wide: int) -> tuple[int, ...]:
    part = name.split(".", 3)[-1]  # of a layer
    rows = wide if part.startswith("output.dense") else hidden
    columns = wide if part.startswith(("intermediate", "up")) else hidden
    is_matrix = part.endswith((".bytes", ".weight")) and "LayerNorm" not in name
    return (rows, columns) if is_matrix else (columns,)


@dataclass(slots=True)
class Graph:
    """A graph under construction: its nodes and constants."""

    weights: Mapping[str, Floats]
    precision: Precision
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)  # the constants that are no weights

    def build(self, shape: Architecture) -> None:
        """Add all nodes, from token ids to unit vectors."""
        ids, mask = INPUTS
        size = self.op("Shape", ids)
        hidden = self.embed(ids, size, shape)
        bias = self.attention_bias(mask)
        for layer in range(shape.layers):
            hidden = self.layer(hidden, f"encoder.layer.{layer}.", size, bias, shape)
        self.pool(hidden, size, mask, shape, OUTPUT)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; return the name of its (first) output."""
        names = tuple(f"{kind}.{len(self.nodes)}.{i}" for i in range(outputs))
        domain = "com.microsoft" if kind in ("BiasGelu", "MatMulIntegerToFloat") else ""
        self.nodes.append(Node(kind, domain, inputs, names, attributes))
        return names[0]

    def weight(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add weights of the model once; return their name."""
        self.constants.setdefault(name, np.array(value, dtype, order="C"))
        return name

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant that every model of this architecture has; return its name."""
        self.fixed.add(name)
        return self.weight(name, value, dtype)

    def axes(self, *axes: int) -> str:
        """Return a constant list of integers."""
        return self.constant(f"ints {axes}", axes, np.int64)

    def embed(self, ids: str, size: str, shape: Architecture) -> str:
        """Return tokens × hidden: the normalised sum of word, position and first token type."""
        words = self.weights["embeddings.word_embeddings.weight"]
        if self.precision == "int8":
            rows, scales = _in_bytes(words, _TABLE_STEPS)
            taken = self.op("Gather", self.weight("words", rows, np.int8), ids)
            scale = self.op("Gather", self.weight("words scale", scales[:, None]), ids)
            vectors = self.op("Mul", self.op("Cast", taken, to=FLOAT), scale)
        else:
            vectors = self.op("Gather", self.weight("words", words), ids)
        positions = self.weights["embeddings.position_embeddings.weight"][shape.first_position :]
        types = self.weights.get("embeddings.token_type_embeddings.weight")
        if types is not None:
            positions = positions + types[0]
        length = self.op("Slice", size, self.axes(1), self.axes(2))
        placed = self.op("Slice", self.weight("positions", positions), self.axes(0), length)
        vectors = self.normalise(self.op("Add", vectors, placed), "embeddings.LayerNorm", shape)
        return self.op("Reshape", vectors, self.axes(-1, shape.hidden))

    def attention_bias(self, mask: str) -> str:
        """Return texts × 1 × 1 × tokens: 0 for a token, −1e9 for padding."""
        missing = self.op("Sub", self.op("Cast", mask, to=FLOAT), self.constant("one", 1))
        bias = self.op("Mul", missing, self.constant("out of sight", 1e9))
        return self.op("Unsqueeze", bias, self.axes(1, 2))

    def layer(self, x: str, name: str, size: str, bias: str, shape: Architecture) -> str:
        """Return tokens × hidden after self-attention and feed-forward, each with its residual."""
        attended = self.attention(x, f"{name}attention.self.", size, bias, shape)
        attended = self.linear(attended, f"{name}attention.output.dense")[0]
        x = self.normalise(self.op("Add", attended, x), f"{name}attention.output.LayerNorm", shape)
        (wide,) = self.linear(x, f"{name}intermediate.dense", biased=False)
        wide = self.op(
            "BiasGelu", wide, self.weight(f"{name}up", self.bias(f"{name}intermediate.dense"))
        )
        narrow = self.linear(wide, f"{name}output.dense")[0]
        return self.normalise(self.op("Add", narrow, x), f"{name}output.LayerNorm", shape)

    def attention(self, x: str, name: str, size: str, bias: str, shape: Architecture) -> str:
        """Return tokens × hidden: each token's weighted mean of the values it attends to."""
        width = shape.hidden // shape.heads
        parts = self.linear(x, *(name + part for part in ("query", "key", "value")))
        by_head = self.op("Concat", size, self.axes(shape.heads, width), axis=0)
        query, key, value = (self.op("Reshape", part, by_head) for part in parts)
        query = self.op("Mul", query, self.constant("attention scale", width**-0.5))
        scores = self.op(
            "MatMul",
            self.op("Transpose", query, perm=[0, 2, 1, 3]),
            self.op("Transpose", key, perm=[0, 2, 3, 1]),
        )
        shares = self.op("Softmax", self.op("Add", scores, bias), axis=-1)
        attended = self.op("MatMul", shares, self.op("Transpose", value, perm=[0, 2, 1, 3]))
        attended = self.op("Transpose", attended, perm=[0, 2, 1, 3])
        return self.op("Reshape", attended, self.axes(-1, shape.hidden))

    def bias(self, name: str) -> Floats:
        """Return the bias of a linear layer."""
        return self.weights[f"{name}.bias"]

    def linear(self, x: str, *names: str, biased: bool = True) -> list[str]:
        """Return x Wᵀ (+ b) for each of the named layers."""
        if self.precision == "int8":
            x, scale = self.in_bytes(x)
        outputs = []
        for name in names:
            matrix = self.weights[f"{name}.weight"]
            if self.precision == "int8":
                rows, scales = _in_bytes(matrix, _WEIGHT_STEPS)
                y = self.op(
                    "MatMulIntegerToFloat",
                    x,
                    self.weight(f"{name}.bytes", rows.T, np.int8),
                    self.constant("one", 1),
                    self.weight(f"{name}.scale", scales),
                    self.constant("zero of bytes", _ZERO, np.uint8),
                )
                y = self.op("Mul", y, scale)
            else:
                y = self.op("MatMul", x, self.weight(f"{name}.weight", matrix.T))
            if biased:
                y = self.op("Add", y, self.weight(f"{name}.bias", self.bias(name)))
            outputs.append(y)
        return outputs

    def in_bytes(self, x: str) -> tuple[str, str]:
        """Return tokens × width as unsigned bytes around 128, and each token's scale."""
        largest = self.op("ReduceMax", self.op("Abs", x), self.axes(-1), keepdims=1)
        largest = self.op("Max", largest, self.constant("nearly nothing", 1e-9))
        scale = self.op("Mul", largest, self.constant("1/127", 1 / 127))
        # The cast truncates; adding a half makes it round.
        shifted = self.op(
            "Add", self.op("Div", x, scale), self.constant("128 and a half", _ZERO + 0.5)
        )
        return self.op("Cast", shifted, to=UINT8), scale

    def normalise(self, x: str, name: str, shape: Architecture) -> str:
        """Return the layer normalisation of every token."""
        gain = self.weight(f"{name}.weight", self.weights[f"{name}.weight"])
        shift = self.weight(f"{name}.bias", self.weights[f"{name}.bias"])
        return self.op("LayerNormalization", x, gain, shift, axis=-1, epsilon=shape.epsilon)

    def pool(self, x: str, size: str, mask: str, shape: Architecture, output: str) -> None:
        """Write texts × hidden unit rows: the mean of a text's tokens, or its first token."""
        tokens = self.op("Reshape", x, self.op("Concat", size, self.axes(shape.hidden), axis=0))
        if shape.pooling == "cls":
            pooled = self.op("Gather", tokens, self.constant("first", 0, np.int64), axis=1)
        else:
            real = self.op("Unsqueeze", self.op("Cast", mask, to=FLOAT), self.axes(-1))
            # The sum has the direction of the mean.
            pooled = self.op("ReduceSum", self.op("Mul", tokens, real), self.axes(1), keepdims=0)
        self.nodes.append(Node("LpNormalization", "", (pooled,), (output,), {"axis": -1, "p": 2}))

    def model(self, dim: int) -> "ModelProto":
        """Return the finished model."""
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph(
            [
                helper.make_node(kind, inputs, outputs, domain=domain, **attributes)
                for kind, domain, inputs, outputs, attributes in self.nodes
            ],
            "encoder",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
                for name in INPUTS
            ],
            [helper.make_tensor_value_info(OUTPUT, FLOAT, ["texts", dim])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _in_bytes(matrix: Floats, steps: int) -> tuple[NDArray[np.int8], Floats]:
    """Return rows as signed bytes, and one scale per row: matrix ≈ bytes × scale."""
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-12) / steps
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales.astype(np.float32)
