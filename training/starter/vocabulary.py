"""Select the pieces of the vocabulary that Korean and English need, and make a tokenizer."""

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
SPECIAL_PIECES = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3

_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_SPACE = "▁"
_TEXTS_AT_ONCE = 20_000


def read_texts(corpora: Path, data: Path) -> set[str]:
    """Return the texts whose pieces are kept: the Korean pair files and two English sets.

    Only the train parts of the English sets are read: the others measure the model.

    Args:
        corpora: folder of Parquet files with the columns a and b.
        data: folder with banking77/train.csv and clinc_oos/data_small.json.

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
            f"{missing[0] if files else corpora / '*.parquet'}: no such file. Only making the "
            "starter needs these texts, to choose its vocabulary; the bundled model does not."
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
    """Return how often the texts use each piece of the whole vocabulary."""
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
    """Return the ids of the pieces to keep, in rising order.

    These are the special pieces, all with Hangul, those used at least `least` times, and all single
    letters and signs, so that hardly any text has an unknown piece.
    """
    return [
        id_
        for id_, piece in enumerate(pieces)
        if id_ < len(SPECIAL_PIECES)
        or counts[id_] >= least
        or len(piece.removeprefix(_SPACE)) <= 1
        or _HANGUL.search(piece)
    ]


def tokenizer_settings(pieces: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    """Return a tokenizer.json: NFKC, one space between words and one before, then Unigram."""
    space = {"type": "Metaspace", "replacement": _SPACE, "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(id_, piece) for id_, piece in enumerate(SPECIAL_PIECES)],
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
            # Six decimals restore every float32 here.
            "vocab": [[p, round(float(s), 6)] for p, s in zip(pieces, scores, strict=True)],
            "byte_fallback": False,
        },
    }


def _added(id_: int, piece: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id_, "content": piece, **flags, "special": True}


def _begin_and_end() -> dict[str, Any]:
    """Return the template <s> A </s>, and for two texts <s> A </s> </s> B </s>."""

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
