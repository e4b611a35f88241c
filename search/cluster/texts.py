"""Tokens and vectors of many texts, made on a Ray cluster with the bytes of one process."""

import contextlib
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.json_files import parse_json
from dotbogi.indexes.lexical import Tokens
from dotbogi.search.cluster.bundle import Bundle
from dotbogi.search.cluster.crew import Crew, Work
from dotbogi.search.encoded import IndexConfig, Tokenizer
from dotbogi.search.encoders import Encoder, open_encoder
from dotbogi.search.encoders.onnx_encoder import TEXTS_AT_ONCE, EncoderFacts

_FEW = 256  # texts; they are not worth a block
_KINDS = ("tokens", "query tokens", "answers", "queries")
_PROBE = tuple(("배송은 이틀이면 도착합니다. Wi-Fi 5G " * 2)[:length] for length in range(3, 40, 4))


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """What the workers need: the model's files, and how texts become tokens."""

    model: Bundle
    config: IndexConfig
    fingerprint: str

    @classmethod
    def of(cls, folder: Path, encoder: Encoder, config: IndexConfig) -> "TextRecipe":
        """Read the model of a generation, or of one that is being made."""
        facts = EncoderFacts.open(folder / "encoder")
        # The check of an encoder's graph reads the model's settings, and torch all of the model.
        analyzer = config.open_analyzer().fingerprint
        fingerprint = f"texts {facts.precision} {encoder.fingerprint} {analyzer}"
        return cls(Bundle.of(folder, ("encoder", "model")), config, fingerprint)

    def open(self) -> Work:
        """Return the function that makes the tokens or vectors of (what, texts)."""
        folder = self.model.unpack()
        encoder = open_encoder(Path(folder.name))
        work = work_on(encoder, self.config.open_analyzer())

        def do(asked: tuple[str, Sequence[str]]) -> list[str]:
            assert folder  # lives as long as the encoder
            return work(asked)

        return do


def work_on(encoder: Encoder, analyzer: Tokenizer) -> Work:
    """Return the function that makes the tokens or vectors of (what, texts), as texts."""

    def work(asked: tuple[str, Sequence[str]]) -> list[str]:
        what, texts = asked
        if what == "probe":
            return [value for each in _KINDS for value in work((each, texts))]
        if "tokens" in what:
            tokenize = analyzer.tokenize if what == "tokens" else analyzer.tokenize_queries
            return [json.dumps(tokens, ensure_ascii=False) for tokens in tokenize(texts)]
        encode = encoder.encode_queries if what == "queries" else encoder.encode_answers
        return [b64encode(row.tobytes()).decode() for row in encode(texts).astype("<f4")]

    return work


class SpreadEncoder:
    """An encoder whose work is done by a crew; few texts are encoded here."""

    def __init__(self, crew: Crew, encoder: Encoder) -> None:
        self._crew, self._encoder = crew, encoder
        self.dim, self.fingerprint = encoder.dim, encoder.fingerprint
        self.count_tokens = encoder.count_tokens

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt."""
        return self._vectors("queries", self._encoder.encode_queries, texts)

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""
        return self._vectors("answers", self._encoder.encode_answers, texts)

    def _vectors(
        self, what: str, encode: Callable[[Sequence[str]], Vectors], texts: Sequence[str]
    ) -> Vectors:
        if len(texts) < _FEW:
            return encode(texts)
        packed = b"".join(map(b64decode, _values(self._crew, what, texts)))
        vectors: Vectors = np.frombuffer(packed, "<f4")
        return vectors.reshape(len(texts), self.dim).astype(np.float32)


class SpreadAnalyzer:
    """An analyzer whose work is done by a crew; few texts are analysed here."""

    def __init__(self, crew: Crew, analyzer: Tokenizer) -> None:
        self._crew, self._analyzer = crew, analyzer
        self.fingerprint = analyzer.fingerprint

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of each text."""
        if len(texts) < _FEW:
            return self._analyzer.tokenize(texts)
        return [parse_json(value.encode()) for value in _values(self._crew, "tokens", texts)]

    def tokenize_queries(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of each query."""
        if len(texts) < _FEW:
            return self._analyzer.tokenize_queries(texts)
        return [parse_json(value.encode()) for value in _values(self._crew, "query tokens", texts)]


def _values(crew: Crew, what: str, texts: Sequence[str]) -> list[str]:
    # The encoder would encode these same parts one after the other.
    parts = [texts[i : i + TEXTS_AT_ONCE] for i in range(0, len(texts), TEXTS_AT_ONCE)]
    keys = [[_key(what, text) for text in part] for part in parts]
    values = crew.do(keys, [(what, list(part)) for part in parts])
    return [value for of_part in values for value in of_part]


@contextlib.contextmanager
def spread_texts(
    blocks: Path, folder: Path, encoder: Encoder, config: IndexConfig, *, progress: bool = False
) -> Iterator[tuple[Encoder, Tokenizer]]:
    """Yield an encoder and an analyzer whose work is done on the cluster.

    Args:
        blocks: folder of the finished blocks.
        folder: has the model.
        encoder: opened from it.
        config: names the analyzer.
        progress: show a bar.
    """
    analyzer = config.open_analyzer()
    probe = ("probe", list(_PROBE))
    recipe = TextRecipe.of(folder, encoder, config)
    expected = work_on(encoder, analyzer)(probe)
    with Crew(recipe, blocks, probe, expected, progress=progress) as crew:
        yield SpreadEncoder(crew, encoder), SpreadAnalyzer(crew, analyzer)


def _key(what: str, text: str) -> str:
    return hashlib.blake2b(f"{what}\n{text}".encode(), digest_size=16).hexdigest()
