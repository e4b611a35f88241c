"""The public sets that benchmarks run on, as collections (see benchmarks/README.md)."""

import csv
from pathlib import Path

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, build_collection
from dotbogi.indexes.tables import read_table
from dotbogi.indexes.text import clean

SETS = ("chatbot", "welfare_qa", "banking77")


def collection_of(name: str, data: Path) -> Collection:
    """Return one of SETS from DATA; banking77 as question → name of its intent."""
    if name != "banking77":
        return build_collection(read_table(data / f"{name}.csv"))[0]
    with (data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [(clean(row["text"]), row["category"]) for row in csv.DictReader(file)]
    intents = sorted({intent for _, intent in rows})
    answers = [Answer(intent, intent.replace("_", " ")) for intent in intents]
    pairs = dict.fromkeys(rows)  # exact duplicates once
    return Collection(answers, [KnownQuestion(text, intent) for text, intent in pairs])
