"""`dotbogi index`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.defaults import defaulted, if_new
from dotbogi.commands.engine import engine_option, spread_of
from dotbogi.commands.options import (
    given,
    json_option,
    model_of,
    model_options,
    reading_of,
    strict_option,
    table_argument,
    table_options,
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

if TYPE_CHECKING:
    from dotbogi.indexes import Workspace
    from dotbogi.indexes.source import Source

_SETTINGS = "search.encoded:IndexConfig"


@click.command()
@table_argument
@workspace_option
@table_options
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
@defaulted(
    "--tolerance", metavar="STEPS", setting=if_new("search.typed:TOLERANCE"),
    help="What is corrected in queries, or none; see docs/korean.md.",
)  # fmt: skip
@engine_option
@click.option("--dry-run", is_flag=True, help="Show what would change, and publish nothing.")
@strict_option
@json_option
def index(
    table: Path | None, workspace: str, as_json: bool, dry_run: bool, strict: bool, engine: str,
    **options: Any,
) -> None:  # fmt: skip
    """Index a TABLE of questions and answers and publish it as a new generation.

    TABLE is an Excel workbook, CSV, TSV, JSON Lines, Parquet, a BEIR folder, or an export of Azure,
    Dialogflow or Rasa. Without one, the published collection is indexed again, or in a new
    workspace the bundled Korean sample. A workspace keeps its settings and its trained model
    unless options change them. Answers keep their ids when they are edited, and what users taught
    stays.

    \b
    dotbogi index
    dotbogi index faq.xlsx --only 노출여부=Y
    dotbogi index faq.xlsx --dry-run
    dotbogi index faq.csv --question-column 문의사항 --answer-column 안내문
    dotbogi index faq.parquet --model intfloat/multilingual-e5-small \\
        --query-prompt "query: " --answer-prompt "passage: "
    """
    from dotbogi.indexes import Workspace
    from dotbogi.indexes.korean.lexicon import read_lexicon
    from dotbogi.indexes.update import change_lines
    from dotbogi.search import index_collection

    source = read(table, Workspace(workspace), reading_of(options), strict=strict)
    if dry_run:
        read_lexicon(Path(workspace))  # raises what the index would
        _print_plan(source, Workspace(workspace), as_json)
        return
    place, progress = Workspace(workspace), shows_progress(as_json)
    generation = index_collection(
        place,
        source.collection,
        source.origin,
        model=model_of(options),
        changes=given(options, "analyzer", "bm25", "dense", "tolerance"),
        progress=progress,
        spread=spread_of(engine, place.blocks_folder, progress=progress),
    )
    if as_json:
        rows = source.counts.to_json() if source.counts else None
        print_json(
            {"generation": generation.name, "rows": rows, **without_files(generation.manifest)}
        )
        return
    changes = generation.manifest["changes"] if table else None
    print_lines([*source.lines(), *(change_lines(changes) if changes else [])])
    print_lines(_lines(generation.manifest))
    click.echo(f"published generation {generation.name} in {workspace}")


def _print_plan(source: "Source", workspace: "Workspace", as_json: bool) -> None:
    from dotbogi.indexes.update import change_lines
    from dotbogi.search.continued import plan

    changes = plan(workspace, source.collection) if workspace.current_name() else None
    if as_json:
        rows = source.counts.to_json() if source.counts else None
        print_json({"generation": None, "rows": rows, "changes": changes})
        return
    size = f"{len(source.collection.answers)} answers, {len(source.collection.questions)} questions"
    print_lines([*source.lines(), *(change_lines(changes) if changes else [f"collection: {size}"])])
    click.echo("nothing was published (--dry-run)")


def _lines(manifest: Mapping[str, Any]) -> list[str]:
    from dotbogi.indexes.dense import device

    size, kinds = manifest["counts"], manifest["index"]
    recall = manifest["dense_recall"]
    found = f", recall@10 {min(recall.values()):.2f} of exact search" if recall else ""
    return [
        f"collection: {size['answers']} answers, {size['questions']} known questions",
        f"model: {described_model(manifest)}",
        f"hybrid: weights from {manifest['weights']}",
        f"confidence: from {manifest['confidence']}",
        f"dense: FAISS {kinds['dense']} on {device()}{found}; "
        f"bm25: {kinds['bm25']}, {kinds['analyzer']}",
    ]
