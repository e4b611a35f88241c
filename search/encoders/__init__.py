"""Encoders: texts → unit vectors, by onnxruntime, or by torch for models that have no graph."""

from search.encoders.cached import CachedEncoder
from search.encoders.encoder import Encoder, unit_rows
from search.encoders.export import export_encoder, open_encoder
from search.encoders.onnx_encoder import EncoderFacts, OnnxEncoder
from search.encoders.torch_encoder import TorchEncoder

__all__ = [
    "CachedEncoder",
    "Encoder",
    "EncoderFacts",
    "OnnxEncoder",
    "TorchEncoder",
    "export_encoder",
    "open_encoder",
    "unit_rows",
]
