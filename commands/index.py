"""`dotbogi index`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dotbogi.commands.defaults import defaulted, if_new
from dotbogi.commands.options import (
    column_options,
    columns_of,
    given,
    json_option,
    model_of,
    model_options,
    table_argument,
    workspace_option,
)
from dotbogi.commands.output import (
    described_model,
    print_json,
    print_lines,
    shows_progress,
    without_files,
)
from dotbogi.commands.source import read

_SETTINGS = "search.encoded:IndexConfig"


@click.command()
@table_argument
@workspace_option
@column_options
@model_options
@defaulted(
    "--analyzer", type=click.Choice(["kiwi", "bigram", "whitespace"]),
    setting=if_new(f"{_SETTINGS}.analyzer"), help="How texts become tokens.",
)  # fmt: skip
@defaulted(
    "--bm25", type=click.Choice(["bm25s", "rank-bm25"]), setting=if_new(f"{_SETTINGS}.bm25"),
    help="BM25 engine.",
)  # fmt: skip
@defaulted(
    "--dense", type=click.Choice(["exact", "hnsw"]), setting=if_new(f"{_SETTINGS}.dense"),
    help="Type of FAISS index.",
)  # fmt: skip
@json_option
def index(table: Path | None, workspace: str, as_json: bool, **options: Any) -> None:
    """Index a TABLE of questions and answers and publish it as a new generation.

    TABLE is CSV, TSV, JSON Lines, Parquet or a BEIR folder. Without one, the published collection
    is indexed again, or in a new workspace the bundled Korean sample. A workspace keeps its
    settings and its trained model unless options change them.

    \b
    dotbogi index
    dotbogi index faq.csv
    dotbogi index faq.csv --question-column 문의사항 --answer-column 안내문
    dotbogi index faq.parquet --model intfloat/multilingual-e5-small \\
        --query-prompt "query: " --answer-prompt "passage: "
    """
    from dotbogi.indexes import Workspace
    from dotbogi.search import index_collection

    source = read(table, Workspace(workspace), columns_of(options))
    generation = index_collection(
        Workspace(workspace),
        source.collection,
        source.origin,
        model=model_of(options),
        changes=given(options, "analyzer", "bm25", "dense"),
        progress=shows_progress(as_json),
    )
    if as_json:
        rows = source.counts.to_json() if source.counts else None
        print_json(
            {"generation": generation.name, "rows": rows, **without_files(generation.manifest)}
        )
        return
    print_lines([*source.lines(), *_lines(generation.manifest)])
    click.echo(f"published generation {generation.name} in {workspace}")


def _lines(manifest: Mapping[str, Any]) -> list[str]:
    from dotbogi.indexes.dense import device

    size, kinds = manifest["counts"], manifest["index"]
    return [
        f"collection: {size['answers']} answers, {size['questions']} known questions",
        f"model: {described_model(manifest)}",
        f"hybrid: weights from {manifest['weights']}",
        f"confidence: from {manifest['confidence']}",
        f"dense: FAISS {kinds['dense']} on {device()}; bm25: {kinds['bm25']}, {kinds['analyzer']}",
    ]
