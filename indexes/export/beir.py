"""Write a collection as a BEIR folder."""

import csv
from pathlib import Path

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.export.json_lines import write_objects

_QRELS = "test"  # the split that BEIR's loader reads by default


def write_beir(collection: Collection, folder: Path) -> None:
    """Write corpus.jsonl, queries.jsonl and qrels/test.tsv.

    A text is one query, however many answers it is paired with. What users voted is not written:
    the format has no place for it.
    """
    queries = {text: f"q{i}" for i, text in enumerate(dict.fromkeys(_texts(collection)), 1)}
    folder.mkdir()
    (folder / "qrels").mkdir()
    write_objects(
        (
            {"_id": answer.id, "title": "", "text": answer.text, "metadata": dict(answer.metadata)}
            for answer in collection.answers
        ),
        folder / "corpus.jsonl",
    )
    write_objects(
        ({"_id": id_, "text": text} for text, id_ in queries.items()), folder / "queries.jsonl"
    )
    if not queries:
        return  # a table of judgements without a row cannot be read
    with (folder / "qrels" / f"{_QRELS}.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["query-id", "corpus-id", "score"])
        for question in collection.questions:
            writer.writerow([queries[question.text], question.answer_id, 1])


def is_beir_folder(folder: Path) -> bool:
    """Return whether a folder holds nothing but the files of a BEIR folder."""
    names = {"corpus.jsonl", "queries.jsonl", "qrels"}
    qrels = folder / "qrels"
    return all(path.name in names for path in folder.iterdir()) and (
        not qrels.is_dir() or all(path.suffix == ".tsv" for path in qrels.iterdir())
    )


def _texts(collection: Collection) -> list[str]:
    return [question.text for question in collection.questions]
