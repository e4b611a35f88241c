"""Build a transformer's ONNX graph, from token ids to unit vectors, without torch.

The graph is a BERT encoder (Devlin et al. 2019) that also pools and normalises. BERT, MiniLM,
RoBERTa, CamemBERT and XLM-R have this architecture; they differ in where positions start.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, save_model

from dotbogi.indexes.files import write_file
from dotbogi.search.encoders.model_folder import (
    POSITIONS_BEHIND_PADDING,
    first_position,
    module_kinds,
    read_modules,
    read_tensors,
)

Precision = Literal["int8", "float32"]
Floats = NDArray[np.float32]

GRAPH_VERSION = 1  # part of the fingerprint: another graph rounds differently
_OPSET = 20
_FAMILIES = ("bert", *POSITIONS_BEHIND_PADDING)
_LARGE = 1 << 30  # bytes; a Protocol Buffers file cannot hold 2 GiB

# Seven bits per weight, not eight: a processor without VNNI adds two products of bytes in 16 bits,
# and 2 × 255 × 127 would overflow. Activations have eight.
_WEIGHT_STEPS = 63
_TABLE_STEPS = 127  # word vectors are only looked up
_ZERO = 128  # the zero point of activations, which are unsigned bytes


class NotExportableError(Exception):
    """There is no graph for this kind of model; the message names it."""


@dataclass(frozen=True, slots=True)
class _Architecture:
    """What config.json and the pooling module state."""

    hidden: int
    layers: int
    heads: int
    epsilon: float
    first_position: int
    pooling: str


def build_graph(folder: Path, precision: Precision) -> ModelProto:
    """Return the graph of a sentence-transformers folder.

    Inputs `input_ids` and `attention_mask`, both texts × tokens (int64); output `vectors`,
    texts × dim unit rows. In int8, each column of a weight matrix and each token's activations
    have their own scale. So a text's vector does not depend on the rest of its batch, and a large
    activation makes no other token less precise.

    Raises:
        NotExportableError: the model has another architecture.
    """
    shape, weights = _read(folder)
    graph = _Graph(weights, precision)
    ids, mask = "input_ids", "attention_mask"
    size = graph.op("Shape", ids)
    hidden = graph.embed(ids, size, shape)
    bias = graph.attention_bias(mask)
    for layer in range(shape.layers):
        hidden = graph.layer(hidden, f"encoder.layer.{layer}.", size, bias, shape)
    graph.pool(hidden, size, mask, shape, output="vectors")
    return graph.model([ids, mask], "vectors", shape.hidden)


def save_graph(graph: ModelProto, path: Path) -> None:
    """Write a graph; the constants of a large one go into a file beside it."""
    size = sum(len(constant.raw_data) for constant in graph.graph.initializer)
    if size > _LARGE:
        save_model(graph, str(path), save_as_external_data=True, location=f"{path.name}.data")
    else:
        write_file(path, graph.SerializeToString())


def _read(folder: Path) -> tuple[_Architecture, dict[str, Floats]]:
    modules = read_modules(folder)
    kinds = module_kinds(modules)
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise NotExportableError(f"modules {', '.join(kinds)}")
    transformer = folder / modules[0]["path"]
    config = json.loads((transformer / "config.json").read_text(encoding="utf-8"))
    family = config.get("model_type")
    if family not in _FAMILIES:
        raise NotExportableError(f"architecture {family}")
    if config.get("hidden_act", "gelu") != "gelu" or config.get("is_decoder"):
        raise NotExportableError(f"{family} with {config.get('hidden_act')}")
    shape = _Architecture(
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        epsilon=config.get("layer_norm_eps", 1e-12),
        first_position=first_position(config),
        pooling=_pooling(folder / modules[1]["path"]),
    )
    weights = read_tensors(transformer)
    word = "embeddings.word_embeddings.weight"
    prefix = next((name.removesuffix(word) for name in weights if name.endswith(word)), None)
    if prefix is None:
        raise NotExportableError("weights under other names")
    return shape, {name.removeprefix(prefix): array for name, array in weights.items()}


def _pooling(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not config.get("include_prompt", True):
        raise NotExportableError("pooling without the prompt")
    flags = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
    mode = config.get("pooling_mode") or [name for name, flag in flags.items() if config.get(flag)]
    modes = [mode] if isinstance(mode, str) else list(mode)
    others = [flag for flag, on in config.items() if flag.startswith("pooling_mode_") and on]
    if len(modes) != 1 or modes[0] not in flags or len(others) > 1:
        raise NotExportableError(f"pooling {mode}")
    return str(modes[0])


@dataclass(slots=True)
class _Graph:
    """A graph under construction: its nodes and constants."""

    weights: dict[str, Floats]
    precision: Precision
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; return the name of its (first) output."""
        names = [f"{kind}.{len(self.nodes)}.{i}" for i in range(outputs)]
        domain = "com.microsoft" if kind in ("BiasGelu", "MatMulIntegerToFloat") else ""
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names[0]

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant once; return its name."""
        self.constants.setdefault(name, np.array(value, dtype, order="C"))
        return name

    def axes(self, *axes: int) -> str:
        """Return a constant list of integers."""
        return self.constant(f"ints {axes}", axes, np.int64)

    def embed(self, ids: str, size: str, shape: _Architecture) -> str:
        """Return tokens × hidden: the normalised sum of word, position and first token type."""
        words = self.weights["embeddings.word_embeddings.weight"]
        if self.precision == "int8":
            rows, scales = _in_bytes(words, _TABLE_STEPS)
            taken = self.op("Gather", self.constant("words", rows, np.int8), ids)
            scale = self.op("Gather", self.constant("words scale", scales[:, None]), ids)
            vectors = self.op("Mul", self.op("Cast", taken, to=TensorProto.FLOAT), scale)
        else:
            vectors = self.op("Gather", self.constant("words", words), ids)
        positions = self.weights["embeddings.position_embeddings.weight"][shape.first_position :]
        types = self.weights.get("embeddings.token_type_embeddings.weight")
        if types is not None:
            positions = positions + types[0]
        length = self.op("Slice", size, self.axes(1), self.axes(2))
        placed = self.op("Slice", self.constant("positions", positions), self.axes(0), length)
        vectors = self.normalise(self.op("Add", vectors, placed), "embeddings.LayerNorm", shape)
        return self.op("Reshape", vectors, self.axes(-1, shape.hidden))

    def attention_bias(self, mask: str) -> str:
        """Return texts × 1 × 1 × tokens: 0 for a token, −1e9 for padding."""
        missing = self.op(
            "Sub", self.op("Cast", mask, to=TensorProto.FLOAT), self.constant("one", 1)
        )
        bias = self.op("Mul", missing, self.constant("out of sight", 1e9))
        return self.op("Unsqueeze", bias, self.axes(1, 2))

    def layer(self, x: str, name: str, size: str, bias: str, shape: _Architecture) -> str:
        """Return tokens × hidden after self-attention and feed-forward, each with its residual."""
        attended = self.attention(x, f"{name}attention.self.", size, bias, shape)
        attended = self.linear(attended, f"{name}attention.output.dense")[0]
        x = self.normalise(self.op("Add", attended, x), f"{name}attention.output.LayerNorm", shape)
        (wide,) = self.linear(x, f"{name}intermediate.dense", biased=False)
        wide = self.op(
            "BiasGelu", wide, self.constant(f"{name}up", self.bias(f"{name}intermediate.dense"))
        )
        narrow = self.linear(wide, f"{name}output.dense")[0]
        return self.normalise(self.op("Add", narrow, x), f"{name}output.LayerNorm", shape)

    def attention(self, x: str, name: str, size: str, bias: str, shape: _Architecture) -> str:
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
                    self.constant(f"{name}.bytes", rows.T, np.int8),
                    self.constant("one", 1),
                    self.constant(f"{name}.scale", scales),
                    self.constant("zero of bytes", _ZERO, np.uint8),
                )
                y = self.op("Mul", y, scale)
            else:
                y = self.op("MatMul", x, self.constant(f"{name}.weight", matrix.T))
            if biased:
                y = self.op("Add", y, self.constant(f"{name}.bias", self.bias(name)))
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
        return self.op("Cast", shifted, to=TensorProto.UINT8), scale

    def normalise(self, x: str, name: str, shape: _Architecture) -> str:
        """Return the layer normalisation of every token."""
        gain = self.constant(f"{name}.weight", self.weights[f"{name}.weight"])
        shift = self.constant(f"{name}.bias", self.weights[f"{name}.bias"])
        return self.op("LayerNormalization", x, gain, shift, axis=-1, epsilon=shape.epsilon)

    def pool(self, x: str, size: str, mask: str, shape: _Architecture, output: str) -> None:
        """Write texts × hidden unit rows: the mean of a text's tokens, or its first token."""
        tokens = self.op("Reshape", x, self.op("Concat", size, self.axes(shape.hidden), axis=0))
        if shape.pooling == "cls":
            pooled = self.op("Gather", tokens, self.constant("first", 0, np.int64), axis=1)
        else:
            real = self.op("Unsqueeze", self.op("Cast", mask, to=TensorProto.FLOAT), self.axes(-1))
            # The sum has the direction of the mean.
            pooled = self.op("ReduceSum", self.op("Mul", tokens, real), self.axes(1), keepdims=0)
        self.nodes.append(helper.make_node("LpNormalization", [pooled], [output], axis=-1, p=2))

    def model(self, inputs: Sequence[str], output: str, dim: int) -> ModelProto:
        """Return the finished model."""
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
                for name in inputs
            ],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["texts", dim])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _in_bytes(matrix: Floats, steps: int) -> tuple[NDArray[np.int8], Floats]:
    """Return rows as signed bytes, and one scale per row: matrix ≈ bytes × scale."""
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-12) / steps
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales.astype(np.float32)
