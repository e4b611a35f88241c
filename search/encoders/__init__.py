"""Encoders: texts → unit vectors, with onnxruntime, or with torch for models without a graph."""

from dotbogi.search.encoders.cached import CachedEncoder
from dotbogi.search.encoders.encoder import Encoder, scale_rows, unit_rows
from dotbogi.search.encoders.export import export_encoder, open_encoder
from dotbogi.search.encoders.onnx_encoder import EncoderFacts, OnnxEncoder
from dotbogi.search.encoders.torch_encoder import TorchEncoder

__all__ = [
    "CachedEncoder",
    "Encoder",
    "EncoderFacts",
    "OnnxEncoder",
    "TorchEncoder",
    "export_encoder",
    "open_encoder",
    "scale_rows",
    "unit_rows",
]
