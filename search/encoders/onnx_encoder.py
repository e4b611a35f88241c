"""The encoder that search runs: an exported transformer on onnxruntime, without torch."""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dotbogi.indexes.cores import cores
from dotbogi.indexes.dense import Vectors
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import open_regular, reading, write_json
from dotbogi.indexes.json_files import read_json
from dotbogi.indexes.shapes import record
from dotbogi.search.encoders.runtime import load_onnxruntime
from dotbogi.search.encoders.tokenizer_file import open_tokenizer

MOST_PROMPT = 2000  # characters
_MOST_DIM = 1 << 16
_TOKENS_AT_ONCE = 512  # per batch, with padding; fits a core's cache
# Sorted by length and encoded together. The last bits of a vector depend on the rest of its batch:
# the same texts in other parts would have slightly different vectors. Also the size of a block on
# a cluster.
TEXTS_AT_ONCE = 1024
_FEW = 4  # texts encoded one by one: a query, and what it is corrected to
_RECENT = 1 << 12  # vectors of short texts that are kept
_SHORT = 200  # characters
_BAR_FROM = 256  # texts; fewer take too little time for a bar


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFacts:
    """The facts of an exported encoder. Saved in encoder.json beside its graph and tokenizer."""

    fingerprint: str
    dim: int
    max_tokens: int  # of a text with its prompt; the rest is cut off
    query_prompt: str
    answer_prompt: str
    precision: Literal["int8", "float32", "torch"]  # torch: no graph
    why: str = ""  # why it is not int8
    # int8 compared with float32 on texts of the collection; None without int8.
    cosine: float | None = None  # mean
    overlap: float | None = None  # mean share of the ten nearest texts that are the same

    def save(self, folder: Path) -> None:
        """Write encoder.json."""
        write_json(folder / "encoder.json", asdict(self))

    @classmethod
    def open(cls, folder: Path) -> "EncoderFacts":
        """Read what `save` wrote.

        Raises:
            DamagedError: the file cannot be read.
        """
        path = folder / "encoder.json"
        with reading(path):
            facts = record(cls, read_json(path))
            prompts = len(facts.query_prompt), len(facts.answer_prompt)
            if not (1 <= facts.dim <= _MOST_DIM and 1 <= facts.max_tokens <= sys.maxsize):
                raise ValueError("no dimensions, or no tokens")
            if max(prompts) > MOST_PROMPT:
                raise ValueError("a prompt longer than any query")
        return facts


class OnnxEncoder:
    """Texts → unit vectors with an ONNX graph; safe to use from many threads.

    One text is encoded on the caller's thread; several are spread over all cores.
    """

    def __init__(
        self, graph: Path | bytes, tokenizer: Path, facts: EncoderFacts, *, progress: bool = False
    ) -> None:
        """Open a graph.

        Args:
            graph: path of the ONNX file, or its bytes.
            tokenizer: path of a tokenizer.json.
            facts: the facts of the encoder.
            progress: show a bar while many texts are encoded.

        Raises:
            DamagedError: the graph or the tokenizer cannot be read.
        """
        onnxruntime = load_onnxruntime()
        options = onnxruntime.SessionOptions()
        # Its own threads would not survive a fork, and would compete with the callers'.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._place = tokenizer.parent
        with reading(self._place / "model.onnx"):
            self._session = onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else str(graph),
                options,
                providers=["CPUExecutionProvider"],
            )
        self._tokenizer = open_tokenizer(tokenizer)
        with reading(tokenizer):  # marks may leave no room for a text
            self._tokenizer.enable_truncation(facts.max_tokens)
        self.facts, self._progress = facts, progress
        session, tokenizer_of_texts = self._session, self._tokenizer

        @lru_cache(maxsize=_RECENT)  # many people ask the same
        def recent(text: str) -> Any:
            return _run(session, [tokenizer_of_texts.encode(text).ids])[0]

        self._recent = recent

    @classmethod
    def open(cls, folder: Path, *, progress: bool = False) -> "OnnxEncoder":
        """Open an encoder folder that `export_encoder` wrote.

        Raises:
            DamagedError: a file cannot be read.
        """
        facts = EncoderFacts.open(folder)
        path = folder / "model.onnx"
        graph: Path | bytes = path
        if not path.with_name(f"{path.name}.data").exists():  # which onnxruntime finds by the path
            with reading(path), open_regular(path) as file:
                graph = file.read()  # onnxruntime does not tell errors of the disk from damage
        return cls(graph, folder / "tokenizer.json", facts, progress=progress)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.facts.dim

    @property
    def fingerprint(self) -> str:
        """Digest of weights, tokenizer, prompts, pooling, normalisation and precision."""
        return self.facts.fingerprint

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the query prompt."""
        return self._encode(self.facts.query_prompt, texts)

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        """Return texts × dim unit rows, with the answer prompt."""
        return self._encode(self.facts.answer_prompt, texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return the number of tokens that the model reads in these texts, prompts excluded."""
        with reading(self._place):
            encodings = self._tokenizer.encode_batch_fast(list(texts))
        return sum(len(encoding.ids) for encoding in encodings)

    def _encode(self, prompt: str, texts: Sequence[str]) -> Vectors:
        with reading(self._place):
            vectors = self._vectors(prompt, texts)
            if not np.isfinite(vectors).all():
                raise DamagedError(f"{self._place}: the model gives vectors that are not numbers.")
        return vectors

    def _vectors(self, prompt: str, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        if len(texts) <= _FEW:  # queries: no threads, no bar
            self._encode_few(prompt, texts, vectors)
            return vectors
        with ThreadPoolExecutor(cores()) as pool, bar_of(len(texts), self._progress) as bar:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                part = texts[start : start + TEXTS_AT_ONCE]
                if len(part) <= _FEW:  # the last part, as if it came alone
                    self._encode_few(prompt, part, vectors[start:])
                    continue
                encodings = self._tokenizer.encode_batch_fast([prompt + text for text in part])
                tokens = [encoding.ids for encoding in encodings]
                batches = list(_batches(tokens))
                inputs = ([tokens[i] for i in rows] for rows in batches)
                runs = pool.map(partial(_run, self._session), inputs)
                for rows, encoded in zip(batches, runs, strict=True):
                    vectors[[start + i for i in rows]] = encoded
                    bar.update(len(rows), current_item=bar.pos + len(rows))
        return vectors

    def _encode_few(self, prompt: str, texts: Sequence[str], vectors: Vectors) -> None:
        """Write the vector of each text into `vectors`, encoding one by one."""
        for row, text in zip(vectors, texts, strict=True):
            kept = self._recent if len(text) <= _SHORT else self._recent.__wrapped__
            row[:] = kept(prompt + text)


def _run(session: Any, tokens: Sequence[Sequence[int]]) -> Any:
    """Return the vectors of some texts, given their tokens."""
    longest = max(map(len, tokens))
    ids = np.zeros((len(tokens), longest), np.int64)
    mask = np.zeros((len(tokens), longest), np.int64)
    for row, of_text in enumerate(tokens):
        ids[row, : len(of_text)] = of_text
        mask[row, : len(of_text)] = 1
    return session.run(["vectors"], {"input_ids": ids, "attention_mask": mask})[0]


def bar_of(total: int, progress: bool) -> Any:
    """Return a bar for the encoding of so many texts; it is hidden if they are few."""
    import click

    started = time.monotonic()

    def speed(done: int | None) -> str:
        return f"{done / (time.monotonic() - started):.0f} texts/s" if done else ""

    hidden = not progress or total < _BAR_FROM
    return click.progressbar(
        length=total, label="encoding", file=sys.stderr, hidden=hidden, item_show_func=speed
    )


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the positions of the texts in batches of similar length, to limit padding."""
    batch: list[int] = []
    for position in sorted(range(len(tokens)), key=lambda i: len(tokens[i])):
        if batch and (len(batch) + 1) * len(tokens[position]) > _TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch
