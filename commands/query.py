"""`dotbogi query`."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dotbogi.commands.engine import blocks_beside, engine_option
from dotbogi.commands.options import json_option, workspace_option
from dotbogi.commands.output import print_json, shows_progress

if TYPE_CHECKING:
    from dotbogi.indexes import Hit
    from dotbogi.search.batch import Asked, SearchBlocks
    from dotbogi.search.explain import Explanation


class Confidence(click.FloatRange):
    """A probability, or auto."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the number, or auto."""
        return value if value == "auto" else super().convert(value, param, ctx)


@click.command()
@click.argument("text", required=False)
@workspace_option
@click.option(
    "-k", default=5, show_default=True, type=click.IntRange(min=1), help="Number of answers."
)
@click.option(
    "--min-confidence", type=Confidence(), metavar="P",
    help="Print \"no good answer\" if the first answer's confidence is below P. "
    "auto: the collection's own threshold.",
)  # fmt: skip
@click.option(
    "--where", "wanted", multiple=True, metavar="FIELD=VALUE",
    help="Search only answers with this metadata; repeat a field to allow several values.",
)  # fmt: skip
@click.option("--explain", "explained", is_flag=True, help="Explain each score.")
@click.option(
    "--from", "source", type=click.Path(path_type=Path), metavar="FILE",
    help="Search for each line of a text file instead of TEXT; needs --out.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="JSON Lines file to write: for each query what --json prints.",
)  # fmt: skip
@engine_option
@json_option
def query(
    text: str | None, workspace: str, k: int, min_confidence: "float | Literal['auto'] | None",
    wanted: tuple[str, ...], explained: bool, source: Path | None, out: Path | None, engine: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Find the answers to TEXT in the published generation.

    \b
    dotbogi query "배고프다"
    dotbogi query "환불 언제 돼요" -k 3 --json
    dotbogi query "파이썬 리스트 정렬하는 법" --min-confidence auto
    dotbogi query "배가 고파요" --explain
    dotbogi query "며칠이나 걸려요" --where category=배송 --where category=환불
    dotbogi query --from questions.txt --out hits.jsonl
    """
    from dotbogi.indexes import UsageError
    from dotbogi.search import Searcher
    from dotbogi.search.batch import Asked
    from dotbogi.search.explain import explain_hits

    where = _where(wanted)
    if source and out and text is None and not explained:
        asked = Asked(k=k, where=where, min_confidence=min_confidence)
        _search_file(workspace, source, out, asked, engine, as_json)
        return
    if text is None or source or out or engine != "local":
        raise UsageError(
            "expected TEXT, or both --from and --out; --explain is for the former, "
            "--engine for the latter."
        )
    searcher = Searcher.open(workspace)
    hits = searcher.search(text, k, where=where, min_confidence=min_confidence)
    reasons = explain_hits(searcher, text, hits, where=where) if explained else []
    if as_json:
        print_json(
            {"query": text, "generation": searcher.generation, "hits": _as_json(hits, reasons)}
        )
        return
    if not hits:
        click.echo("no good answer" if min_confidence is not None else "no answer found")
    if hits and hits[0].corrected:
        click.echo(f'found by "{hits[0].corrected}"')
    for rank, hit in enumerate(hits, 1):
        _print_hit(rank, hit, reasons[rank - 1] if reasons else None)


def _search_file(
    workspace: str, source: Path, out: Path, asked: "Asked", engine: str, as_json: bool
) -> None:
    from dotbogi.indexes import Workspace
    from dotbogi.indexes.files import replace_file
    from dotbogi.search import Searcher
    from dotbogi.search.batch import blocks_of, read_queries, search_blocks
    from dotbogi.search.index import open_index

    queries = read_queries(source)
    generation = Workspace(workspace).current()
    searcher = Searcher(open_index(generation), generation.name)
    with blocks_beside(out) as blocks:
        search: SearchBlocks = search_blocks
        if engine == "ray":
            from dotbogi.search.cluster.queries import search_on_ray

            progress = shows_progress(as_json)
            search = functools.partial(search_on_ray, blocks, generation, progress=progress)
        found = search(searcher, asked, blocks_of(queries))
        replace_file(out, "".join(f"{line}\n" for block in found for line in block).encode())
    if as_json:
        print_json({"generation": generation.name, "queries": len(queries), "out": str(out)})
    else:
        click.echo(f"generation {generation.name}, {len(queries)} queries: hits in {out}")


def _where(wanted: Iterable[str]) -> dict[str, list[str]] | None:
    """Return the wanted values by field; None if there are no conditions."""
    from dotbogi.indexes import UsageError

    where: dict[str, list[str]] = {}
    for condition in wanted:
        field, equals, value = condition.partition("=")
        if not equals:
            raise UsageError(f"--where {condition}: expected FIELD=VALUE, such as category=배송.")
        where.setdefault(field, []).append(value)
    return where or None


def _as_json(hits: Sequence["Hit"], reasons: Sequence["Explanation"]) -> list[dict[str, Any]]:
    from dotbogi.search.batch import hit_as_json

    shown = [*map(hit_as_json, hits)]
    for hit, reason in zip(shown, reasons, strict=False):
        hit["explanation"] = asdict(reason)
    return shown


def _print_hit(rank: int, hit: "Hit", reason: "Explanation | None") -> None:
    click.echo(f"{rank}. {hit.text}")
    sure = f"confidence {hit.confidence:.0%}; " if hit.confidence is not None else ""
    signals = ", ".join(f"{signal} #{evidence.rank}" for signal, evidence in hit.signals.items())
    known = f'known question "{hit.question}"; ' if hit.question else ""
    line = f"   {hit.score:.3f}  {sure}{known}{signals}  [{hit.answer_id}]"
    click.echo(click.style(line, dim=True))
    if reason:
        parts = " + ".join(f"{name} {share:.3f}" for name, share in reason.parts.items())
        click.echo(f"     score = {parts}")
        click.echo(f"     shared words: {', '.join(reason.words) or 'none'}")
