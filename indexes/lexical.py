"""The lexical index: BM25 over tokens, with bm25s or rank-bm25."""

import copy
import io
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.arrays import read_vector
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.files import reading, write_file, write_json, write_parquet
from dotbogi.indexes.json_files import read_json, read_object
from dotbogi.indexes.parquet import LISTS, read_parquet
from dotbogi.indexes.shapes import fits

BM25Engine = Literal["bm25s", "rank-bm25"]
Tokens = list[list[str]]

K1 = 1.5
B = 0.75

_METHOD = "lucene"
_MOST_VOCABULARY = 1 << 30
_MANY_TOKENS, _COMMAS = 100_000, 4  # a token may be one of the commas that are counted
_ARRAYS = ("data", "indices", "indptr")
_SETTINGS = ("k1", "b", "delta", "method", "idf_method", "dtype", "int_dtype", "backend")


class BM25Index:
    """A BM25 index (k1 1.5, b 0.75) over rows of tokens; ids are row numbers.

    `bm25s` gives Lucene's BM25, whose idf log(1 + (N − df + ½)/(df + ½)) is always above 0.
    `rank-bm25` gives that package's BM25Okapi, whose idf may be 0 or a small floor: a row matches
    if it shares a token with the query, whatever its score.
    """

    def __init__(self, scorer: Any, engine: BM25Engine, rows: int, tokens: Tokens) -> None:
        self._scorer = scorer
        self.engine = engine
        self._rows = rows
        self._tokens = tokens  # for rank-bm25, whose index can only be rebuilt

    @classmethod
    def build(cls, tokens: Tokens, engine: BM25Engine = "bm25s") -> "BM25Index":
        """Index rows of tokens; an index without any token finds nothing."""
        if not any(tokens):
            return cls(None, engine, len(tokens), tokens)
        if engine == "rank-bm25":
            return cls(_okapi(tokens), engine, len(tokens), tokens)
        scorer = _new_scorer()
        scorer.index(_numbered(tokens), create_empty_token=False, show_progress=False)
        return cls(scorer, engine, len(tokens), [])

    def __len__(self) -> int:
        return self._rows

    def weights(self) -> tuple[dict[str, int], Any]:
        """Return the numbers of the tokens, and what each token adds to the score of each row.

        The latter is a sparse matrix of rows × tokens (CSR). So a row's score for a query is the
        sum over the query's tokens. Only for bm25s.
        """
        from scipy.sparse import csc_array

        assert self.engine == "bm25s"
        if self._scorer is None:
            return {}, csc_array((self._rows, 0), dtype=np.float32).tocsr()
        scores, vocabulary = self._scorer.scores, self._scorer.vocab_dict
        shape = (self._rows, len(scores["indptr"]) - 1)
        columns = csc_array(tuple(scores[name] for name in _ARRAYS), shape=shape)
        return {token: int(number) for token, number in vocabulary.items()}, columns.tocsr()

    def frequencies(self) -> dict[str, int]:
        """Return how many rows have each token."""
        if self._scorer is None:
            return {}
        if self.engine == "rank-bm25":
            return dict(Counter(chain.from_iterable(self._scorer.doc_freqs)))
        counts = np.diff(self._scorer.scores["indptr"]).tolist()
        vocabulary: dict[str, int] = self._scorer.vocab_dict
        return {token: counts[number] for token, number in vocabulary.items() if token}

    def frequency(self, token: str) -> int:
        """Return how many rows have a token."""
        if self._scorer is None:
            return 0
        if self.engine == "rank-bm25":
            return sum(token in row for row in self._scorer.doc_freqs)
        number = self._scorer.vocab_dict.get(token)
        if number is None:
            return 0
        bounds = self._scorer.scores["indptr"]
        return int(bounds[number + 1] - bounds[number])

    @property
    def floor(self) -> float:
        """The score of rows that share no token with a query; all others score higher."""
        return -np.inf if self.engine == "rank-bm25" else 0.0

    def scores(self, query: Sequence[str]) -> NDArray[np.floating]:
        """Return the score of every row for the tokens of a query."""
        if self._scorer is None:
            return np.full(self._rows, self.floor)
        if self.engine == "rank-bm25":
            wanted = set(query)
            matched = [not wanted.isdisjoint(tokens) for tokens in self._scorer.doc_freqs]
            return np.where(matched, self._scorer.get_scores(list(query)), -np.inf)
        vocabulary: dict[str, int] = self._scorer.vocab_dict
        weights, rows, starts = (self._scorer.scores[name] for name in _ARRAYS)
        scores = np.zeros(self._rows, np.float32)
        for token, times in Counter(query).items():
            number = vocabulary.get(token)
            if number is not None:
                postings = slice(starts[number], starts[number + 1])
                np.add.at(scores, rows[postings], weights[postings] * np.float32(times))
        return scores

    def part(self, rows: NDArray[np.int64]) -> "BM25Index":
        """Return an index of these rows alone (ascending), with the scores that they have here.

        Its statistics, such as in how many rows a token is, remain those of all rows. It cannot be
        saved.
        """
        scorer = copy.copy(self._scorer)
        if scorer is not None and self.engine == "rank-bm25":
            scorer.corpus_size = len(rows)
            scorer.doc_freqs = [scorer.doc_freqs[row] for row in rows]
            scorer.doc_len = [scorer.doc_len[row] for row in rows]
        elif scorer is not None:
            weights, numbers, starts = (scorer.scores[name] for name in _ARRAYS)
            new = np.full(self._rows, -1, numbers.dtype)
            new[rows] = np.arange(len(rows))
            kept = new[numbers] >= 0
            before = np.concatenate([[0], np.cumsum(kept)]).astype(starts.dtype)
            arrays = (weights[kept], new[numbers[kept]], before[starts])
            scorer.scores = {**dict(zip(_ARRAYS, arrays, strict=True)), "num_docs": len(rows)}
        return BM25Index(scorer, self.engine, len(rows), [])

    def save(self, folder: Path) -> None:
        """Write the index into `folder` (.npy and JSON for bm25s, Parquet for rank-bm25)."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._scorer is None or self.engine == "rank-bm25":
            import pyarrow as pa

            column = pa.array(self._tokens, pa.list_(pa.string()))
            write_parquet(folder / "tokens.parquet", pa.table({"tokens": column}))
        else:
            _save_scorer(self._scorer, folder)

    @classmethod
    def open(cls, folder: Path, engine: BM25Engine, rows: int) -> "BM25Index":
        """Read what `save` wrote.

        Raises:
            DamagedError: a file cannot be read, or the index has another number of rows.
        """
        if (folder / "tokens.parquet").is_file():
            tokens = read_parquet(folder / "tokens.parquet", {"tokens": LISTS}).get("tokens", [])
            with reading(folder / "tokens.parquet"):
                if not all(isinstance(token, str) for row in tokens for token in row):
                    raise ValueError("a token that is no text")
                index = cls.build(tokens, engine)
        else:
            scorer = _open_scorer(folder)
            index = cls(scorer, engine, scorer.scores["num_docs"], [])
        if len(index) != rows:
            raise DamagedError(f"{folder}: an index of {len(index)} texts; expected {rows}.")
        return index


def _save_scorer(scorer: Any, folder: Path) -> None:
    """Write the files that `bm25s.BM25.load` reads; its own `save` ignores some errors."""
    for name in _ARRAYS:
        buffer = io.BytesIO()
        np.save(buffer, scorer.scores[name], allow_pickle=False)
        write_file(folder / f"{name}.csc.index.npy", buffer.getbuffer())
    write_json(folder / "vocab.index.json", scorer.vocab_dict)
    settings = {name: getattr(scorer, name) for name in _SETTINGS}
    write_json(folder / "params.index.json", {**settings, "num_docs": scorer.scores["num_docs"]})


def _open_scorer(folder: Path) -> Any:
    """Read what `_save_scorer` wrote, instead of `bm25s.BM25.load`, which believes its files.

    Raises:
        DamagedError: a file cannot be read, or the files do not fit together.
    """
    params = read_object(folder / "params.index.json")
    kinds = ("f", "i", "i")
    data, indices, starts = (
        read_vector(folder / f"{name}.csc.index.npy", kind)
        for name, kind in zip(_ARRAYS, kinds, strict=True)
    )
    vocabulary = read_json(
        folder / "vocab.index.json",
        most_bytes=_MOST_VOCABULARY,
        most_values=_MANY_TOKENS + _COMMAS * len(starts),
    )
    with reading(folder):
        rows = params["num_docs"]
        fits_together = (
            params["method"] == _METHOD
            and fits(rows, int)
            and fits(vocabulary, dict[str, int])
            and len(starts) > max(vocabulary.values(), default=-1) + 1
            and min(vocabulary.values(), default=0) >= 0
            and starts[0] == 0
            and (np.diff(starts) >= 0).all()
            and data.shape == indices.shape == (int(starts[-1]),)
            and (not len(indices) or (indices.min() >= 0 and indices.max() < rows))
        )
        if not fits_together:
            raise ValueError("the arrays do not fit together")
    scorer = _new_scorer()
    scorer.vocab_dict = vocabulary
    scorer.unique_token_ids_set = set(vocabulary.values())
    arrays = dict(zip(_ARRAYS, (data, indices, starts), strict=True))
    scorer.scores = {**arrays, "num_docs": rows}
    scorer.nonoccurrence_array = None
    return scorer


def _new_scorer() -> Any:
    import bm25s

    return bm25s.BM25(method=_METHOD, k1=K1, b=B, backend="numpy", dtype="float32")


def _okapi(tokens: Tokens) -> Any:
    from rank_bm25 import BM25Okapi

    return BM25Okapi(tokens, k1=K1, b=B)


def _numbered(tokens: Tokens) -> Any:
    """Number the tokens in order of first use; bm25s's own order is arbitrary."""
    from bm25s.tokenization import Tokenized

    numbers: dict[str, int] = {}
    ids = [[numbers.setdefault(token, len(numbers)) for token in row] for row in tokens]
    return Tokenized(ids=ids, vocab=numbers)
