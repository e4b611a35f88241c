"""Which pieces of the vocabulary Korean and English need, and a tokenizer of them."""

import csv
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotbogi.indexes.errors import UsageError

LEAST_USES = 2
SPECIAL_PIECES = ("<s>", "<pad>", "</s>", "<unk>")  # 0 to 3

_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_SPACE = "▁"
_TEXTS_AT_ONCE = 20_000


def read_texts(corpora: Path, data: Path) -> set[str]:
    """Return the texts whose pieces are kept: the Korean pair files, and English to train on.

    Of the English sets only what is for training: their other sentences measure the model.

    Args:
        corpora: folder of Parquet files with the columns a and b.
        data: folder that has banking77/train.csv and clinc_oos/data_small.json.

    Raises:
        UsageError: a file is missing.
    """
    import pyarrow.parquet as pq

    texts: set[str] = set()
    files = sorted(corpora.glob("*.parquet"))
    english = [data / "banking77" / "train.csv", data / "clinc_oos" / "data_small.json"]
    missing = [path for path in english if not path.is_file()]
    if not files or missing:
        raise UsageError(
            f"{missing[0] if files else corpora / '*.parquet'}: not there. The starter's "
            "vocabulary is cut by these texts; the bundled model needs none of them."
        )
    for path in files:
        table = pq.ParquetFile(path).read(columns=["a", "b"])
        texts.update(table["a"].to_pylist(), table["b"].to_pylist())
    with english[0].open(encoding="utf-8", newline="") as lines:
        texts.update(row["text"] for row in csv.DictReader(lines))
    clinc = json.loads(english[1].read_text(encoding="utf-8"))
    texts.update(text for part in ("train", "oos_train") for text, _ in clinc[part])
    return texts


def count_pieces(
    pieces: Sequence[str], scores: Sequence[float], texts: Iterable[str]
) -> NDArray[np.int64]:
    """Return how often the texts use each piece when all of them are there."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_settings(pieces, scores)))
    counts = np.zeros(len(pieces), np.int64)
    remaining = iter(texts)
    while part := list(itertools.islice(remaining, _TEXTS_AT_ONCE)):
        encodings = tokenizer.encode_batch_fast(part, add_special_tokens=False)
        used = np.concatenate([np.asarray(encoding.ids, np.int64) for encoding in encodings])
        counts += np.bincount(used, minlength=len(pieces))
    return counts


def pieces_to_keep(
    pieces: Sequence[str], counts: NDArray[np.int64], *, least: int = LEAST_USES
) -> list[int]:
    """Return the places of the pieces that stay, rising.

    The special ones, all with Hangul, those used often enough, and all single letters and signs,
    so that hardly any text has an unknown one.
    """
    return [
        place
        for place, piece in enumerate(pieces)
        if place < len(SPECIAL_PIECES)
        or counts[place] >= least
        or len(piece.removeprefix(_SPACE)) <= 1
        or _HANGUL.search(piece)
    ]


def tokenizer_settings(pieces: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    """Return a tokenizer.json: Unigram over NFKC, one space between words and one before."""
    space = {"type": "Metaspace", "replacement": _SPACE, "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(place, piece) for place, piece in enumerate(SPECIAL_PIECES)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Strip", "strip_left": True, "strip_right": True},
            ],
        },
        "pre_tokenizer": space,
        "post_processor": _begin_and_end(),
        "decoder": space,
        "model": {
            "type": "Unigram",
            "unk_id": SPECIAL_PIECES.index("<unk>"),
            # Six digits give every float32 here back.
            "vocab": [[p, round(float(s), 6)] for p, s in zip(pieces, scores, strict=True)],
            "byte_fallback": False,
        },
    }


def _added(place: int, piece: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": place, "content": piece, **flags, "special": True}


def _begin_and_end() -> dict[str, Any]:
    """Return what puts <s> before a text and </s> behind it, and two more between two texts."""

    def special(piece: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": piece, "type_id": 0}}

    def text(name: str) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": 0}}

    single = [special("<s>"), text("A"), special("</s>")]
    ids = {piece: SPECIAL_PIECES.index(piece) for piece in ("</s>", "<s>")}
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, special("</s>"), text("B"), special("</s>")],
        "special_tokens": {p: {"id": p, "ids": [i], "tokens": [p]} for p, i in ids.items()},
    }
