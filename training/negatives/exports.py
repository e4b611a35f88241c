"""Mined negatives in the training formats of other tools."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.text import same_text_key
from dotbogi.training.negatives.mining import Mined
from dotbogi.training.negatives.negative import train_side


def save_n_tuples(collection: Collection, mined: Mined, path: Path) -> None:
    """Write n-tuples for sentence-transformers: anchor, positive, negative_1 … of each pair."""
    texts = {answer.id: answer.text for answer in collection.answers}

    def lines() -> Iterator[dict[str, str]]:
        for (question, positive_id), row in mined.rows.items():
            negatives = {f"negative_{i}": negative.text for i, negative in enumerate(row, 1)}
            yield {"anchor": question, "positive": texts[positive_id], **negatives}

    _write_lines(lines(), path)


def save_flag_embedding(collection: Collection, mined: Mined, path: Path) -> None:
    """Write lines for FlagEmbedding: query, pos (all its right answers), neg.

    A question has one line, even if it has several answers.
    """
    texts = {answer.id: answer.text for answer in collection.answers}
    right: dict[str, dict[str, None]] = defaultdict(dict)
    for question in train_side(collection).questions:
        right[same_text_key(question.text)][texts[question.answer_id]] = None
    wrong: dict[str, dict[str, str]] = defaultdict(dict)
    for (text, _), row in mined.rows.items():
        negatives_of = wrong[text]  # a question without negatives has a line too
        for negative in row:
            negatives_of.setdefault(same_text_key(negative.text), negative.text)

    def lines() -> Iterator[dict[str, Any]]:
        for text, negatives in wrong.items():
            pos = [*right[same_text_key(text)]]
            yield {"query": text, "pos": pos, "neg": [*negatives.values()]}

    _write_lines(lines(), path)


def _write_lines(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
