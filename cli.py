"""The command line: parse, call one function, print."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from dotbogi.indexes import Collection, Counts
    from dotbogi.indexes.fetch import Fetched
    from dotbogi.search import ModelConfig
    from dotbogi.search.explain import Explanation
    from dotbogi.training import MiningConfig


class _Commands(click.Group):
    """Turns errors that a user can act on into one line and the exit code that is documented."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from dotbogi.indexes.errors import DotbogiError, is_disk_full

            if isinstance(error, DotbogiError):
                raise _shown(str(error), error.exit_code) from error
            if is_disk_full(error):
                raise _shown(
                    "the disk is full; nothing was published. Free some space.", 5
                ) from error
            if isinstance(error, PermissionError):
                raise _shown(f"{error.filename}: permission denied.", 1) from error
            raise


def _shown(message: str, exit_code: int) -> click.ClickException:
    shown = click.ClickException(" ".join(message.split("\n")))
    shown.exit_code = exit_code  # type: ignore[misc]
    return shown


class _Confidence(click.FloatRange):
    """A probability, or auto."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if value == "auto" else super().convert(value, param, ctx)


_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_workspace = click.option(
    "--workspace", "-w", default="workspace", envvar="DOTBOGI_WORKSPACE", show_default=True,
    show_envvar=True, help="Folder that holds the collection.",
)  # fmt: skip
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_columns = _options(
    click.option("--question-column", metavar="NAME", help="Column of the questions."),
    click.option("--answer-column", metavar="NAME", help="Column of the answers."),
    click.option("--id-column", metavar="NAME", help="Column of the answers' ids."),
)
_model = _options(
    click.option("--model", metavar="MODEL", help="starter (default), a folder, or a hub id."),
    click.option("--max-seq-length", type=int, metavar="N", help="Tokens read of each text."),
    click.option("--query-prompt", metavar="TEXT", help='Before every query, e.g. "query: ".'),
    click.option("--answer-prompt", metavar="TEXT", help='Before every answer, e.g. "passage: ".'),
)
_mining = _options(
    click.option(
        "--negatives", metavar="QUOTAS",
        help="A pair's, of bm25, model, random; default bm25:1,model:1 (adapter: from round 2).",
    ),
    click.option(
        "--window", type=click.IntRange(min=1),
        help="Best answers of bm25 and model looked through; doubled while too few pass; 50.",
    ),
    click.option(
        "--bound", type=click.FloatRange(0, 1),
        help="A negative's cosine is at most this share of the right answer's; default 0.95.",
    ),
    click.option(
        "--bound-absolute", type=click.FloatRange(0, 2),
        help="Instead: it is at least so far below the right answer's.",
    ),
    click.option("--no-bound", is_flag=True, default=None, help="Instead: any."),
    click.option(
        "--sampling", type=click.Choice(["top", "random", "near"]),
        help="From the window: the best (default), any, or those near the right answer.",
    ),
)  # fmt: skip


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dotbogi", prog_name="dotbogi")
def main() -> None:
    """Find the right answer to a question, and get better at it from your own pairs.

    \b
    dotbogi index faq.csv         index a table of questions and answers
    dotbogi train                 fine-tune on it, round by round; publish what is better
    dotbogi query "배고프다"       search
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[handler])
    logging.getLogger("dotbogi").setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # retries, one line each
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")


@main.command()
@click.argument("table", required=False, type=click.Path(path_type=Path))
@_workspace
@_columns
@_model
@click.option(
    "--analyzer", type=click.Choice(["kiwi", "bigram", "whitespace"]), help="If new: kiwi."
)
@click.option("--bm25", type=click.Choice(["bm25s", "rank-bm25"]), help="If new: bm25s.")
@click.option("--dense", type=click.Choice(["exact", "hnsw"]), help="If new: exact.")
@_as_json
def index(
    table: Path | None, workspace: str, as_json: bool, analyzer: str | None, bm25: str | None,
    dense: str | None, **options: Any,
) -> None:  # fmt: skip
    """Index a TABLE of questions and answers and publish it as a new generation.

    TABLE is CSV, TSV, JSON Lines, Parquet or a BEIR folder. Without one: the collection that is
    indexed already, or else the bundled Korean sample. A workspace keeps its settings and its
    trained model unless options name others.

    \b
    dotbogi index
    dotbogi index faq.csv
    dotbogi index faq.csv --question-column 문의사항 --answer-column 안내문
    dotbogi index faq.parquet --model intfloat/multilingual-e5-small \\
        --query-prompt "query: " --answer-prompt "passage: "
    """
    from dotbogi.indexes import Workspace
    from dotbogi.indexes.dense import device
    from dotbogi.search import index_collection

    place = Workspace(workspace)
    collection, counts, source = _collection(table, place, options)
    chosen = {"analyzer": analyzer, "bm25": bm25, "dense": dense}
    generation = index_collection(
        place,
        collection,
        source,
        model=_model_config(options),
        changes={name: value for name, value in chosen.items() if value},
        progress=_shows_progress(as_json),
    )
    manifest = generation.manifest
    if as_json:
        rows = asdict(counts) if counts else None
        _print_json({"generation": generation.name, "rows": rows, **_brief(manifest)})
        return
    _print_lines(_read_lines(counts, source))
    size = manifest["counts"]
    click.echo(f"collection: {size['answers']} answers, {size['questions']} known questions")
    click.echo(f"model: {_describe_model(manifest)}")
    click.echo(f"hybrid: weights from {manifest['weights']}")
    click.echo(f"confidence: from {manifest['confidence']}")
    kinds = manifest["index"]
    click.echo(
        f"dense: FAISS {kinds['dense']} on {device()}; bm25: {kinds['bm25']}, {kinds['analyzer']}"
    )
    click.echo(f"published generation {generation.name} in {workspace}")


@main.command()
@click.argument("table", required=False, type=click.Path(path_type=Path))
@_workspace
@_columns
@_model
@click.option("--rounds", type=click.IntRange(min=1), help="At most so many; default 2.")
@click.option(
    "--patience", type=click.IntRange(min=1), help="Dropped rounds in a row that end it; 1."
)
@_mining
@click.option(
    "--start-from",
    type=click.Choice(["base", "last"]),
    help="Each round trains from the base (default) or from the last kept model.",
)
@click.option(
    "--folds",
    type=click.IntRange(1, 20),
    help="Groups of questions, each measured by what the others taught; default 5, of a full fit "
    "1: a tenth of the questions.",
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 0.5),
    help="Share of the questions that are kept away, and asked once at the end; default 0.",
)
@click.option(
    "--fit",
    "kind",
    type=click.Choice(["adapter", "full"]),
    help="Learn maps on the model's vectors (seconds), or train all its weights (for a GPU). "
    "Default: full where there is a GPU.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Default: 10 adapter, 3 full.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Default: 256 adapter, 64 full.")
@click.option("--learning-rate", type=_ABOVE_ZERO, help="Default: 1e-3 adapter, 2e-5 full.")
@click.option("--temperature", type=_ABOVE_ZERO, help="Default: 0.05.")
@click.option(
    "--objective",
    type=click.Choice(["mnr", "cached-mnr", "gist", "cached-gist", "cosine"]),
    help="What the fit is trained for; default mnr. See docs/objectives.md.",
)
@click.option(
    "--symmetric", is_flag=True, default=None, help="Answers also have to find their questions."
)
@click.option(
    "--mini-batch-size",
    type=click.IntRange(min=1),
    help="Texts in memory at a time, for cached-*; default 32.",
)
@click.option("--guide", metavar="MODEL", help="For gist: default the model it starts from.")
@click.option(
    "--guide-margin", type=click.FloatRange(-1, 1), help="For gist: a cosine difference; default 0."
)
@click.option("--score-column", metavar="NAME", help="For cosine: column of the scores.")
@click.option(
    "--test-table",
    type=click.Path(path_type=Path),
    help="Questions (for cosine: pairs) that are asked once at the end, and never trained on.",
)
@click.option(
    "--report-to", type=click.Choice(["tensorboard", "trackio"]), help="Log the fits there too."
)
@click.option(
    "--with-feedback",
    is_flag=True,
    default=None,
    help="Learn from what users have said about answers. See docs/feedback.md.",
)
@click.option(
    "--votes-per-client",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of a client only the last N count; default 50.",
)
@click.option("--seed", type=int, help="Of folds, mining and fits; default 42.")
@click.option("--cpu", "cpu_only", is_flag=True, help="Leave a GPU alone.")
@click.option("--resume", is_flag=True, help="Go on with the last run after it was cut off.")
@_as_json
def train(
    table: Path | None, workspace: str, as_json: bool, resume: bool, **options: Any
) -> None:  # fmt: skip
    """Fine-tune the model on question-answer pairs, and publish it if it is measurably better.

    Without a TABLE: the collection as it was indexed, or else the bundled Korean sample.
    The questions are divided into five folds. A round learns without each fold in turn and asks
    its questions, so that every question is measured by what has not seen it; it is kept only if
    the gain is real, and is then learned once more from all questions. Decisions taken with
    `dotbogi review` are used, and with --with-feedback the votes of users: those are published
    even if no round is better.

    \b
    dotbogi train
    dotbogi train faq.csv --holdout 0.2
    dotbogi train --resume
    dotbogi train pairs.parquet --model klue/roberta-base --fit full \\
        --max-seq-length 128 --batch-size 32 --epochs 4
    dotbogi train --with-feedback
    dotbogi train faq.csv --objective gist --guide-margin 0.05
    dotbogi train scored.tsv --objective cosine --test-table held-out.tsv
    """
    from dotbogi.indexes import UsageError, Workspace
    from dotbogi.training import resume_loop
    from dotbogi.training.report.lines import run_lines

    if options.pop("cpu_only"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch is imported
    place = Workspace(workspace)
    if resume:
        given = [name for name, value in {"TABLE": table, **options}.items() if value is not None]
        if given:
            raise UsageError(
                f"--resume takes the settings of the run it goes on with; leave out {given[0]}."
            )
        read: list[str] = []
        result = resume_loop(place, progress=_shows_progress(as_json))
    else:
        start = _train_on_scores if options["objective"] == "cosine" else _train_on_pairs
        read, result = start(table, place, options, _shows_progress(as_json))
    if as_json:
        rounds = [asdict(replace(each, scores=())) for each in result.rounds]
        _print_json({**asdict(result), "rounds": rounds})  # a figure a query is in the ledger
    else:
        _print_lines(["", *read, *run_lines(result)])
        if result.generation:
            if not any(each.kept for each in result.rounds[1:]):
                what = "what users said" if result.started.feedback else "the new pairs"
                click.echo(f"no round was better: the model stays, with {what}")
            click.echo(f"published generation {result.generation} in {workspace}")
        elif result.model:
            click.echo("no collection is indexed here, so there is nothing to search yet. Run:")
            click.echo(f"dotbogi index TABLE --model {result.model}")
        else:
            click.echo("no round was better than what is published: CURRENT stays as it was")
            if table:
                click.echo(f"the table was not indexed. To search it: dotbogi index {table}")
        if (report := place.rounds_folder / result.run / "report.html").is_file():
            click.echo(f"report: {report}")


@main.command()
@click.argument("table", required=False, type=click.Path(path_type=Path))
@_workspace
@_columns
@_model
@_mining
@click.option("--seed", type=int, help="Of split and mining; that of the published model, or 42.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@_as_json
def mine(
    table: Path | None, workspace: str, out: Path, as_json: bool, seed: int | None, **options: Any
) -> None:
    """Mine hard negatives as train does, and write them into a folder.

    \b
    negatives.parquet     each with source, rank, scores, and the bound it passed
    suspects.parquet      what was over the bound; the likeliest as review.csv
    n-tuple.jsonl         for sentence-transformers
    flagembedding.jsonl   for FlagEmbedding

    The published model mines, else the one of --model, for all known questions.

    \b
    dotbogi mine --out pool
    dotbogi mine --out pool --negatives bm25:2,model:4,random:1 --sampling near
    """
    from dotbogi.indexes import Workspace
    from dotbogi.training.negatives.pool_folder import mine_to_folder
    from dotbogi.training.report.lines import review_lines, yield_lines

    config, model = _mining_config(options), _model_config(options)
    place = Workspace(workspace)
    collection, counts, _ = _collection(table, place, options)
    pool = mine_to_folder(
        place, collection, out, config, seed=seed, model=model, progress=_shows_progress(as_json)
    )
    if as_json:
        _print_json({"out": str(out), "rows": asdict(counts) if counts else None, **asdict(pool)})
        return
    _print_lines([*(counts.lines() if counts else []), *review_lines(pool.review)])
    _print_lines(yield_lines(pool.yields))
    click.echo(
        f"{pool.pairs} pairs with {pool.negatives} negatives each, {pool.suspects} suspects: "
        f"{', '.join(pool.files)} in {out}"
    )


@main.command()
@_workspace
@click.option("-n", "shown", type=click.IntRange(min=1), help="At most so many; 10, --out all.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file to write the list to.")
@click.option(
    "--import",
    "filled",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A list with its column `decision` filled: yes, o, 맞음 or no, x, 틀림.",
)
@_as_json
def review(
    workspace: str, shown: int | None, out: Path | None, filled: Path | None, as_json: bool
) -> None:
    """Show the answers that may be right although nobody said so, and take decisions about them.

    The last run left these out of its negatives, because they score as near to the question as
    its known answer does. Its list is rounds/RUN/review.csv. The next train takes accepted ones
    as right answers and rejected ones as negatives.

    \b
    dotbogi review
    dotbogi review --out suspects.csv
    dotbogi review --import suspects.csv
    """
    from dotbogi.indexes import UsageError, Workspace
    from dotbogi.training.judgements.review import import_review, last_review, save_review

    place = Workspace(workspace)
    if filled:
        if shown or out:
            raise UsageError("--import goes alone, without -n and --out.")
        found = import_review(place, filled)
        if as_json:
            _print_json(asdict(found))
            return
        click.echo(
            f"{found.right} right, {found.wrong} wrong, {found.undecided} undecided; "
            f"{found.changed} decided otherwise before"
        )
        _print_lines(f"not in this workspace: {row}" for row in found.unknown)
        return
    run, suspects = last_review(place)
    listed = suspects[:shown] if shown or out else suspects[:10]
    if out:
        save_review(listed, out)
    if as_json:
        _print_json({"run": run, "count": len(suspects), "suspects": [asdict(s) for s in listed]})
        return
    click.echo(f"{run}: {len(suspects)} answers may be right although nobody said so")
    if out:
        click.echo(f"the first {len(listed)} in {out}")
        return
    for suspect in listed:
        click.echo(f"{suspect.question}")
        click.echo(f"  {suspect.cosine:.3f}  {suspect.answer}  [{suspect.answer_id}]")
        click.echo(
            click.style(f"  {suspect.known_cosine:.3f}  known: {suspect.known_answer}", dim=True)
        )
    if suspects:
        click.echo(f"{len(listed)} of {len(suspects)} shown; to decide: dotbogi review --out FILE")


@main.command()
@click.argument("text")
@_workspace
@click.option(
    "-k", default=5, show_default=True, type=click.IntRange(min=1), help="How many answers."
)
@click.option(
    "--min-confidence", type=_Confidence(), metavar="P",
    help="Below this probability of a right first answer: no good answer.",
)  # fmt: skip
@click.option(
    "--where", "wanted", multiple=True, metavar="FIELD=VALUE",
    help="Only answers with this metadata; a field named twice may have either value.",
)  # fmt: skip
@click.option("--explain", "explained", is_flag=True, help="What each score is made of.")
@_as_json
def query(
    text: str, workspace: str, k: int, min_confidence: "float | Literal['auto'] | None",
    wanted: tuple[str, ...], explained: bool, as_json: bool,
) -> None:  # fmt: skip
    """Find the answers to TEXT in the published generation.

    \b
    dotbogi query "배고프다"
    dotbogi query "환불 언제 돼요" -k 3 --json
    dotbogi query "호주 수도가 어디야" --min-confidence auto
    dotbogi query "배가 고파요" --explain
    dotbogi query "며칠이나 걸려요" --where category=배송 --where category=환불
    """
    from dotbogi.search import Searcher
    from dotbogi.search.explain import explain_hits

    searcher = Searcher.open(workspace)
    where = _where(wanted)
    hits = searcher.search(text, k, where=where, min_confidence=min_confidence)
    reasons = explain_hits(searcher, text, hits, where=where) if explained else []
    if as_json:
        shown: list[dict[str, Any]] = [
            {**asdict(hit), "signals": {s: e._asdict() for s, e in hit.signals.items()}}
            for hit in hits
        ]
        for hit_, reason in zip(shown, reasons, strict=False):
            hit_["explanation"] = asdict(reason)
        _print_json({"query": text, "generation": searcher.generation, "hits": shown})
        return
    if not hits:
        click.echo("no good answer" if min_confidence is not None else "no answer found")
    for rank, hit in enumerate(hits, 1):
        click.echo(f"{rank}. {hit.text}")
        sure = f"confidence {hit.confidence:.0%}; " if hit.confidence is not None else ""
        found = ", ".join(f"{signal} #{e.rank}" for signal, e in hit.signals.items())
        known = f'known question "{hit.question}"; ' if hit.question else ""
        line = f"   {hit.score:.3f}  {sure}{known}{found}  [{hit.answer_id}]"
        click.echo(click.style(line, dim=True))
        for reason in reasons[rank - 1 : rank]:
            _print_lines(f"     {line}" for line in _reason_lines(reason))


@main.command()
@click.argument("table", required=False, type=click.Path(path_type=Path))
@_workspace
@_columns
@click.option("--out", type=click.Path(path_type=Path), help="Folder for TREC run and qrels files.")
@_as_json
def evaluate(
    table: Path | None, workspace: str, out: Path | None, as_json: bool, **options: Any
) -> None:
    """Measure BM25, dense and hybrid search on a TABLE's questions.

    It searches the published generation. Without a TABLE: the collection's own questions. A query
    that is itself a known question never finds itself. Queries that the model trained on flatter
    it, so the others are shown apart.

    \b
    dotbogi evaluate held-out.csv
    dotbogi evaluate held-out.csv --out trec/
    """
    from dotbogi.indexes import UsageError, Workspace
    from dotbogi.search import Searcher
    from dotbogi.search.fusion import METHODS
    from dotbogi.training.measure.evaluation import evaluate_table
    from dotbogi.training.measure.reliability import at_thresholds
    from dotbogi.training.measure.trec import write_trec
    from dotbogi.training.report.lines import metrics_table, threshold_lines

    if out and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: a file; expected a folder to write into.")
    collection, counts, _ = _collection(table, Workspace(workspace), options)
    searcher = Searcher.open(workspace)
    evaluation, unseen = evaluate_table(searcher, collection)
    if out:
        for method in METHODS:
            write_trec(evaluation, method, out / method / "run.trec")
    thresholds = at_thresholds(evaluation.confidence, evaluation.first_is_right(), unseen)
    report = {
        "generation": searcher.generation,
        "rows": asdict(counts) if counts else None,
        "queries": len(evaluation.queries),
        "metrics": evaluation.means(),
        "not_trained_on": {
            "queries": sum(unseen),
            "metrics": evaluation.means(unseen) if any(unseen) else None,
            "thresholds": thresholds,
        },
    }
    if as_json:
        _print_json(report)
        return
    _print_lines(counts.lines() if counts else [])
    click.echo(f"generation {searcher.generation}, {len(evaluation.queries)} queries")
    _print_lines(metrics_table({"all": evaluation.means()}))
    if not any(unseen):
        click.echo("the model has trained on all of them, which flatters it; what it finds of")
        click.echo("questions that it does not know is in the run's report: dotbogi report")
    elif not all(unseen):
        click.echo(f"{sum(unseen)} queries that the model has not trained on:")
        _print_lines(metrics_table({"unseen": evaluation.means(unseen)}))
    if thresholds:
        click.echo("their first answers, by the confidence asked for:")
        _print_lines(threshold_lines(thresholds))
    if out:
        click.echo(f"run.trec and qrels.trec for each method in {out}")


@main.command()
@click.argument("name", required=False)
@_as_json
def fetch(name: str | None, as_json: bool) -> None:
    """Bring a public set into the cache; without a NAME, list the sets.

    `index`, `train` and `evaluate` take the NAME in place of a table. NAME/PART is one file of a
    set that has several, hf:OWNER/NAME a set of the Hugging Face hub. The cache is
    $DOTBOGI_CACHE, or ~/.cache/dotbogi; $DOTBOGI_MIRROR is the address of a served copy of it.

    \b
    dotbogi fetch
    dotbogi fetch chatbot-data && dotbogi index chatbot-data
    dotbogi fetch korsts/test
    dotbogi fetch hf:Ash-Hun/Welfare-QA
    """
    from dotbogi.indexes.fetch import fetch as fetch_set

    if name is None:
        _list_sets(as_json)
        return
    with _byte_bars() as progress:
        tables = fetch_set(name, progress=progress)
    if as_json:
        _print_json({"tables": [asdict(table) for table in tables]})
        return
    first = tables[0]
    click.echo(f"{first.title}\nlicence: {first.licence}\nsource: {first.source}")
    if first.revision:
        click.echo(f"revision: {first.revision}")
    for table in tables:
        known = "pinned in dotbogi" if table.pinned else "trusted at the first fetch"
        click.echo(f"{table.name}: {table.path}{'' if table.new else ' (was there already)'}")
        click.echo(f"  sha256 {table.sha256}, {known}")
    use = f"train {first.name} --objective cosine" if first.scored else f"index {first.name}"
    click.echo(f"use it: dotbogi {use}")


def _list_sets(as_json: bool) -> None:
    from dotbogi.indexes.fetch import cache_folder, is_cached
    from dotbogi.indexes.public_sets import CATALOGUE

    if as_json:
        sets = [{**asdict(known), "cached": is_cached(known)} for known in CATALOGUE.values()]
        _print_json({"cache": cache_folder(), "sets": sets})
        return
    for known in CATALOGUE.values():
        state = "in the cache" if is_cached(known) else "not fetched"
        click.echo(f"{known.name:<14}{known.rows:>7,} rows  {known.licence:<14}{state}")
        click.echo(f"  {known.title}; {known.source}")
        if len(known.files) > 1:
            click.echo(f"  {', '.join(f'{known.name}/{file.part}' for file in known.files)}")
    click.echo(f"hf:OWNER/NAME is a set of the Hugging Face hub. The cache is {cache_folder()}.")


@main.command()
@_workspace
@click.option("--host", default="127.0.0.1", show_default=True, help="Others need keys.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free."
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    help="JSON file of API keys; or the same JSON in DOTBOGI_KEYS.",
)
@click.option("--threads", type=click.IntRange(1, 64), help="Searches at a time; default 2.")
@click.option(
    "--max-waiting",
    type=click.IntRange(0, 10_000),
    help="Searches that wait for a thread; beyond them 429; default 64.",
)
@click.option(
    "--max-body", type=click.IntRange(1_000, 100_000_000), help="Bytes; default 1,000,000."
)
@click.option("--max-query", type=click.IntRange(1, 100_000), help="Characters; default 1,000.")
@click.option(
    "--max-text",
    type=click.IntRange(1, 1_000_000),
    help="Characters of a text to embed or to rank; default 10,000.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(1, 10_000),
    help="Queries, texts or documents of a request; default 256.",
)
@click.option("--max-k", type=click.IntRange(10, 1_000), help="Answers a query; default 100.")
@_as_json
def serve(
    workspace: str, host: str, port: int, keys: Path | None, as_json: bool, **options: int | None
) -> None:  # fmt: skip
    """Answer over HTTP until it is told to end, from whichever generation is published.

    At its address is a page to search and vote on; /rounds is the history of training. Routes,
    keys, limits and metrics: docs/service.md. Needs: pip install "dotbogi[serve]"

    \b
    dotbogi serve
    dotbogi serve --host 0.0.0.0 --keys keys.json
    curl -s localhost:8000/v1/search -H 'Content-Type: application/json' \\
        -d '{"query": "배가 고파요", "k": 3}'
    """
    with _serving("serve"):
        from dotbogi.indexes import Workspace
        from dotbogi.search.service import Settings, read_keys
        from dotbogi.search.service import serve as run
        from dotbogi.training.report.history import HistoryPages
    given = {name: value for name, value in options.items() if value is not None}
    settings = Settings(keys=read_keys(keys, os.environ.get("DOTBOGI_KEYS")), **given)

    def started(url: str, generation: str) -> None:
        if as_json:
            _print_json({"url": url, "generation": generation, "pid": os.getpid()})
        else:
            click.echo(f"generation {generation} at {url}")

    run(workspace, host, port, settings, started, HistoryPages(Workspace(workspace)))


@main.command()
@_workspace
def mcp(workspace: str) -> None:
    """Give models the tool search_answers (Model Context Protocol, over stdin and stdout).

    A client, such as an assistant on a desktop, starts it and ends it; until then it answers from
    whichever generation is published: docs/adapters.md. Needs: pip install "dotbogi[mcp]"

    \b
    dotbogi mcp
    dotbogi mcp --workspace /srv/faq
    """
    with _serving("mcp"):
        from dotbogi.search.adapters.mcp import serve as run
    run(workspace)


@main.command()
@click.argument("run", required=False)
@_workspace
@_as_json
def report(run: str | None, workspace: str, as_json: bool) -> None:
    """Write the report of a training RUN again, or of the last one, and print where it is.

    report.html is one file for people, report.md one for a pull request. `train` writes both when
    a run ends; of a run that was cut off they tell as far as it came.

    \b
    dotbogi report
    dotbogi report run-0001
    """
    from dotbogi.indexes import Workspace
    from dotbogi.training.report import report_on

    written = report_on(Workspace(workspace), run)
    if as_json:
        _print_json(asdict(written))
    else:
        click.echo(written.html)


@main.group()
def feedback() -> None:
    """Show, export or erase what users have said about answers."""


@feedback.command("list")
@_workspace
@_as_json
def feedback_list(workspace: str, as_json: bool) -> None:
    """Count what is stored, by client, and list the answers that the votes do not agree on.

    \b
    dotbogi feedback list
    """
    from dotbogi.training.judgements.feedback import describe_feedback

    found = describe_feedback(Path(workspace))
    if as_json:
        _print_json(asdict(found))
        return
    click.echo(f"{found.votes} votes of {len(found.clients)} clients")
    for client in found.clients[:10]:
        click.echo(
            f"  {client.client}: {client.right} right, {client.wrong} wrong, "
            f"about {client.answers} answers"
        )
    if len(found.clients) > 10:
        click.echo(f"  … {len(found.clients) - 10} more; --json lists all")
    if found.conflicts:
        click.echo(f"{len(found.conflicts)} pairs with as many right as wrong, not used:")
    for poll in found.conflicts[:10]:
        click.echo(f"  {poll.right}:{poll.wrong}  {poll.query}  [{poll.answer_id}]")


@feedback.command("export")
@_workspace
@click.option("--client", metavar="ID", help="Only this client's.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: print.")
@_as_json
def feedback_export(workspace: str, client: str | None, out: Path | None, as_json: bool) -> None:
    """Write what is stored as JSON Lines, the oldest first.

    \b
    dotbogi feedback export --out feedback.jsonl
    dotbogi feedback export --client user-17
    """
    from dotbogi.search.feedback import FeedbackStore, save_feedback

    with contextlib.closing(FeedbackStore.open(Path(workspace))) as store:
        rows = store.export(client)
        if out:
            count = save_feedback(rows, out)
            if as_json:
                _print_json({"out": str(out), "feedback": count})
            else:
                click.echo(f"{count} lines in {out}")
        elif as_json:
            _print_json({"feedback": [asdict(row) for row in rows]})
        else:
            for row in rows:
                _print_json(asdict(row))


@feedback.command("erase")
@_workspace
@click.option("--client", metavar="ID", required=True, help="Whose feedback.")
@_as_json
def feedback_erase(workspace: str, client: str, as_json: bool) -> None:
    """Delete all that a client has said, its bytes too.

    Known questions that were made from it alone leave with the next train --with-feedback; older
    generations and runs keep them until their folders are deleted.

    \b
    dotbogi feedback erase --client user-17
    """
    from dotbogi.search.feedback import FeedbackStore

    with contextlib.closing(FeedbackStore.open(Path(workspace))) as store:
        erased = store.erase(client)
    if as_json:
        _print_json({"client": client, "erased": erased})
    else:
        click.echo(f"{erased} erased")


@main.group()
def history() -> None:
    """List the generations of a workspace, verify them, or publish an older one again."""


@history.command("list")
@_workspace
@_as_json
def history_list(workspace: str, as_json: bool) -> None:
    """List all generations, oldest first; * marks the published one.

    \b
    dotbogi history list
    """
    from dotbogi.indexes import DamagedError, Workspace
    from dotbogi.indexes.store import read_manifest

    place = Workspace(workspace)
    try:
        current = place.current_name()
    except DamagedError as error:
        current = None
        click.echo(f"note: {error}", err=True)
    manifests: dict[str, Mapping[str, Any] | None] = {}
    for name in place.names():
        try:
            manifests[name] = read_manifest(place.generations_folder / name)
        except DamagedError:
            manifests[name] = None
    if as_json:
        listed = [_brief(m) if m else {"generation": name} for name, m in manifests.items()]
        _print_json({"current": current, "generations": listed})
        return
    if not manifests:
        click.echo(f"{workspace}: no generations yet")
    for name, manifest in manifests.items():
        if manifest is None:
            click.echo(f"{'*' if name == current else ' '} {name}  damaged")
            continue
        size = manifest["counts"]
        click.echo(
            f"{'*' if name == current else ' '} {name}  {manifest['created']}  "
            f"{size['answers']} answers, {size['questions']} questions  {_describe_model(manifest)}"
        )


@history.command("verify")
@click.argument("name", required=False)
@_workspace
@_as_json
def history_verify(name: str | None, workspace: str, as_json: bool) -> None:
    """Check sizes and digests of every file of one generation (NAME) or of all.

    \b
    dotbogi history verify
    """
    from dotbogi.indexes import DamagedError, DotbogiError, Workspace

    place = Workspace(workspace)
    names = [name] if name else place.names()
    if not names:
        raise DotbogiError(f"{workspace}: no generations yet. Run: dotbogi index TABLE")
    found: dict[str, str] = {}
    for each in names:
        try:
            files = len(place.generation(each).manifest["files"])
            found[each] = ""
        except DamagedError as error:
            found[each] = str(error)
        if not as_json:
            click.echo(f"{each}: {found[each] or f'{files} files, all as published'}")
    damaged = {name: message for name, message in found.items() if message}
    if as_json:
        whole = [name for name in names if name not in damaged]
        _print_json({"verified": whole, "damaged": damaged})
    if damaged:
        raise DamagedError(f"{workspace}: {len(damaged)} of {len(names)} generations are damaged.")


@history.command("rollback")
@click.argument("name", required=False)
@_workspace
@_as_json
def history_rollback(name: str | None, workspace: str, as_json: bool) -> None:
    """Publish generation NAME again, or the one before the current one.

    \b
    dotbogi history rollback
    dotbogi history rollback 000001
    """
    from dotbogi.indexes import Workspace

    place = Workspace(workspace)
    with place.writing():
        generation = place.roll_back(name)
    if as_json:
        _print_json({"current": generation.name})
    else:
        click.echo(f"published generation {generation.name}")


def _collection(
    table: Path | None, place: Any, options: Mapping[str, Any]
) -> tuple["Collection", "Counts | None", Mapping[str, Any]]:
    """Return the table's collection, or the one indexed, or the sample's; its counts and origin."""
    from dotbogi.indexes import (
        SAMPLE_PATH,
        Columns,
        UsageError,
        build_collection,
        open_collection,
        read_table,
    )  # fmt: skip

    columns = Columns(
        question=options["question_column"],
        answer=options["answer_column"],
        answer_id=options["id_column"],
    )
    if table is None and columns != Columns():
        raise UsageError("--question-column, --answer-column and --id-column need a TABLE.")
    if table is None and place.current_name() is not None:
        generation = place.current()
        return open_collection(generation.folder), None, generation.manifest["source"]
    public = _public_table(table)
    if public and public.scored and columns.answer is None:
        raise UsageError(
            f"{public.name}: sentence pairs with a score, not questions with answers. Name a set "
            "of questions and answers (dotbogi fetch lists them), or --answer-column."
        )
    read = read_table(public.path if public else table or SAMPLE_PATH, columns)
    collection, counts = build_collection(read)
    for note in read.notes:
        click.echo(f"note: {read.path}: {note}", err=True)
    source = {"table": str(table.resolve()) if table else "bundled sample"}
    if public:
        source = {name: getattr(public, name) for name in ("url", "revision", "licence", "sha256")}
        source = {"table": public.name, **{name: value for name, value in source.items() if value}}
    return collection, counts, {**source, **asdict(read.columns)}


def _read_lines(counts: "Counts | None", source: Mapping[str, Any]) -> list[str]:
    """Return which table was read and what became of its rows; nothing if none was."""
    return [f"table: {source['table']}", *counts.lines()] if counts else []


def _public_table(table: Path | None) -> "Fetched | None":
    """Return the public set that a TABLE names, fetched if missing; a file wins."""
    from dotbogi.indexes.fetch import fetch as fetch_set
    from dotbogi.indexes.public_sets import is_set_name

    if table is None or not is_set_name(str(table)) or table.exists():
        return None
    with _byte_bars() as progress:
        public = fetch_set(str(table), progress=progress)[0]
    if public.new:
        click.echo(f"note: fetched {public.name} ({public.licence}; {public.source})", err=True)
    return public


def _model_config(options: Mapping[str, Any]) -> "ModelConfig | None":
    from dotbogi.indexes import UsageError
    from dotbogi.search import ModelConfig

    settings = {
        name: options[name]
        for name in ("max_seq_length", "query_prompt", "answer_prompt")
        if options[name] is not None
    }
    if options["model"] is None:
        if settings:
            option = "--" + next(iter(settings)).replace("_", "-")
            raise UsageError(f"{option} belongs to a model; name it with --model.")
        return None
    return ModelConfig(name=options["model"], **settings)


def _train_on_pairs(
    table: Path | None, place: Any, options: Mapping[str, Any], progress: bool
) -> tuple[list[str], Any]:
    """Return what was read, as lines, and the result of the loop."""
    from dotbogi.training import run_loop

    _refuse(options, "belongs to --objective cosine", "score_column")
    config, model = _loop_config(options), _model_config(options)
    collection, counts, source = _collection(table, place, options)
    held_out = None
    if options["test_table"]:
        held_out, _, tested = _collection(options["test_table"], place, options)
        source = {**source, "test_table": tested["table"]}
    result = run_loop(
        place, collection, config(source), model=model, held_out=held_out, progress=progress
    )
    return _read_lines(counts, source), result


def _train_on_scores(
    table: Path | None, place: Any, options: Mapping[str, Any], progress: bool
) -> tuple[list[str], Any]:
    """Return what was read, as lines, and the result of a run on scored pairs."""
    from dotbogi.indexes import UsageError
    from dotbogi.training import run_similarity
    from dotbogi.training.scored.pairs import ScoredColumns, read_scored_table, split_scored

    why = "does not apply to --objective cosine"
    _refuse(
        options, why, "rounds", "patience", "negatives", "id_column", "window", "bound",
        "bound_absolute", "sampling", "start_from", "with_feedback", "folds", "holdout",
    )  # fmt: skip
    if table is None:
        raise UsageError("--objective cosine needs a TABLE of two text columns and a score column.")
    config, model = _loop_config(options), _model_config(options)
    columns = ScoredColumns(
        first=options["question_column"],
        second=options["answer_column"],
        score=options["score_column"],
    )
    given = options["test_table"]
    files = [public.path if (public := _public_table(t)) else t for t in (table, given)]
    assert files[0]
    pairs = read_scored_table(files[0], columns)
    test = read_scored_table(files[1], pairs.columns) if files[1] else None
    source = {"table": str(table), **asdict(pairs.columns)}
    loop = config({**source, "test_table": str(given)} if given else source)
    split = split_scored(pairs.pairs, seed=loop.seed, test=test.pairs if test else None)
    result = run_similarity(place, split, loop, model=model, progress=progress)
    return [*pairs.lines(), *(test.lines() if test else []), *split.lines()], result


def _refuse(options: Mapping[str, Any], why: str, *names: str) -> None:
    from dotbogi.indexes import UsageError

    for name in names:
        if options[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} {why}.")


def _loop_config(options: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes the loop's settings once the table's origin is known."""
    from dotbogi.training import LoopConfig
    from dotbogi.training.fit.objectives import default_kind
    from dotbogi.training.judgements.feedback import VOTES_PER_CLIENT

    def given(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names if options[name] is not None}

    mining = _mining_config(options)
    loop = given("rounds", "patience", "seed", "start_from", "folds", "holdout", "votes_per_client")
    if options["negatives"] is not None:
        loop["hard_from"] = 1
    if options["with_feedback"]:
        loop.setdefault("votes_per_client", VOTES_PER_CLIENT)
    else:
        _refuse(options, "belongs to --with-feedback", "votes_per_client")
    fit = given(
        "epochs", "batch_size", "learning_rate", "temperature", "objective", "symmetric",
        "mini_batch_size", "guide", "guide_margin", "report_to", "seed",
    )  # fmt: skip
    kind = options["kind"] or default_kind(fit)
    own = {"folds": 1, "hard_from": 1} if kind == "full" else {}
    return lambda source: LoopConfig(
        **{**own, **loop}, kind=kind, mining=mining, fit=fit, source=source
    )


def _mining_config(options: Mapping[str, Any]) -> "MiningConfig":
    from dotbogi.indexes import UsageError
    from dotbogi.training.negatives import MiningConfig, parse_quotas

    settings = {n: options[n] for n in ("window", "sampling") if options[n] is not None}
    if options["negatives"] is not None:
        settings["quotas"] = parse_quotas(options["negatives"])
    bounds = {"bound": options["bound"], "bound_absolute": options["bound_absolute"]}
    given = [name for name, value in bounds.items() if value is not None]
    if len(given) + bool(options["no_bound"]) > 1:
        raise UsageError("--bound, --bound-absolute and --no-bound: one of them at most.")
    if given or options["no_bound"]:
        settings |= bounds
    return MiningConfig(**settings)


@contextlib.contextmanager
def _serving(extra: str) -> Iterator[None]:
    """For the imports of a server: one thread a search, and what to run if a package is missing."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before numpy: requests share the cores, not their parts
    from dotbogi.indexes import DotbogiError

    try:
        yield
    except ModuleNotFoundError as error:
        raise DotbogiError(
            f'the package {error.name} is missing. Run: pip install "dotbogi[{extra}]"'
        ) from error


def _where(wanted: Iterable[str]) -> dict[str, list[str]] | None:
    """Return the values asked for, by field; None where nothing is."""
    from dotbogi.indexes import UsageError

    where: dict[str, list[str]] = {}
    for each in wanted:
        field, equals, value = each.partition("=")
        if not equals:
            raise UsageError(f"--where {each}: expected FIELD=VALUE, such as category=배송.")
        where.setdefault(field, []).append(value)
    return where or None


def _reason_lines(reason: "Explanation") -> list[str]:
    parts = " + ".join(f"{name} {share:.3f}" for name, share in reason.parts.items())
    return [f"score = {parts}", f"shared words: {', '.join(reason.words) or 'none'}"]


@contextlib.contextmanager
def _byte_bars() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """Give what shows a bar on stderr for each file that is fetched, or None off a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bars: dict[str, Any] = {}

    def show(file: str, done: int, total: int | None) -> None:
        if file not in bars:
            for bar in bars.values():
                bar.render_finish()
            bars[file] = click.progressbar(length=total or done, label=file, file=sys.stderr)
        bars[file].update(done - bars[file].pos)

    try:
        yield show
    finally:
        for bar in list(bars.values())[-1:]:
            bar.render_finish()


def _shows_progress(as_json: bool) -> bool:
    return sys.stderr.isatty() and not as_json


def _describe_model(manifest: Mapping[str, Any]) -> str:
    training = manifest["training"]
    state = (
        f"trained in {training['run']}, round {training['round']}" if training else "not fine-tuned"
    )
    model, precision = manifest["model"]["name"], manifest["encoder"]["precision"]
    return f"{model}, {manifest['dim']} dimensions, {precision}, {state}"


def _brief(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name != "files"}


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


if __name__ == "__main__":
    main()
