"""`dotbogi train`."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.defaults import defaulted
from dotbogi.commands.options import (
    given,
    json_option,
    mining_of,
    mining_options,
    model_of,
    model_options,
    reading_of,
    refuse,
    table_argument,
    table_options,
    together,
    workspace_option,
)
from dotbogi.commands.output import (
    byte_bars,
    print_json,
    print_lines,
    print_notes,
    shows_progress,
)
from dotbogi.commands.source import read, read_test

if TYPE_CHECKING:
    from dotbogi.indexes import Reading, Workspace
    from dotbogi.indexes.source import Source
    from dotbogi.training import LoopConfig, RunResult

_LOOP = "training.config:LoopConfig"
_FITS = {
    "adapter": "training.fit.adapter:AdapterConfig",
    "full": "training.fit.config:TrainConfig",
}
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def _of_fits(field: str) -> dict[str, str]:
    return {kind: f"{settings}.{field}" for kind, settings in _FITS.items()}


_loop_options = together(
    defaulted(
        "--rounds", type=click.IntRange(min=1), setting=f"{_LOOP}.rounds",
        help="Maximum number of rounds.",
    ),
    defaulted(
        "--patience", type=click.IntRange(min=1), setting=f"{_LOOP}.patience",
        help="End the run after this many dropped rounds in a row.",
    ),
    mining_options,
    defaulted(
        "--start-from", type=click.Choice(["base", "last"]), setting=f"{_LOOP}.start_from",
        help="Start each round of a full fit from the base model or from the last round kept.",
    ),
    defaulted(
        "--folds", type=click.IntRange(1, 20),
        setting={"adapter": f"{_LOOP}.folds", "full": "training.config:FULL_FIT_FOLDS"},
        help="Folds of the cross-validation over questions; with 1, only a tenth of the questions "
        "is measured.",
    ),
    defaulted(
        "--holdout", type=click.FloatRange(0, 0.5), setting=f"{_LOOP}.holdout",
        help="Share of the questions held out of training and measured at the end.",
    ),
)  # fmt: skip
_fit_options = together(
    click.option(
        "--fit", "kind", type=click.Choice(["adapter", "full"]),
        help="adapter: learn linear maps of its vectors, in seconds; full: train all weights. "
        "[default: full on a GPU, else adapter]",
    ),
    defaulted("--epochs", type=click.IntRange(min=1), setting=_of_fits("epochs")),
    defaulted("--batch-size", type=click.IntRange(min=2), setting=_of_fits("batch_size")),
    defaulted("--learning-rate", type=_ABOVE_ZERO, setting=_of_fits("learning_rate")),
    defaulted("--temperature", type=_ABOVE_ZERO, setting=f"{_FITS['full']}.temperature"),
    defaulted(
        "--objective", setting=f"{_FITS['full']}.objective",
        type=click.Choice(["mnr", "cached-mnr", "gist", "cached-gist", "cosine"]),
        help="The loss; see docs/objectives.md.",
    ),
    click.option(
        "--symmetric", is_flag=True, default=None, help="Train answers to find their questions too."
    ),
    defaulted(
        "--mini-batch-size", type=click.IntRange(min=1), setting=f"{_FITS['full']}.mini_batch_size",
        help="With a cached objective: texts in memory at a time.",
    ),
    click.option(
        "--guide", metavar="MODEL",
        help="With gist: the guide model. [default: the one that training starts from]",
    ),
    defaulted(
        "--guide-margin", type=click.FloatRange(-1, 1), setting=f"{_FITS['full']}.guide_margin",
        help="With gist: a negative's cosine must be this far below the right answer's.",
    ),
    click.option("--score-column", metavar="NAME", help="With cosine: column of the scores."),
    click.option(
        "--test-table", type=click.Path(path_type=Path),
        help="Table of test questions (with cosine: pairs), never trained on and measured once at "
        "the end.",
    ),
    click.option(
        "--report-to", type=click.Choice(["tensorboard", "trackio"]), help="Where to log full fits."
    ),
)  # fmt: skip


@click.command()
@table_argument
@workspace_option
@table_options
@model_options
@_loop_options
@_fit_options
@click.option(
    "--with-feedback", is_flag=True, default=None,
    help="Learn from users' votes on answers; see docs/feedback.md.",
)  # fmt: skip
@defaulted(
    "--votes-per-client", type=click.IntRange(min=1), metavar="N",
    setting="training.judgements.feedback:VOTES_PER_CLIENT",
    help="Count only the last N votes of each client.",
)  # fmt: skip
@defaulted("--seed", type=int, setting=f"{_LOOP}.seed", help="Seed of folds, mining and fits.")
@click.option("--cpu", "cpu_only", is_flag=True, help="Do not use a GPU.")
@click.option("--resume", is_flag=True, help="Continue the last run after it was interrupted.")
@json_option
def train(table: Path | None, workspace: str, as_json: bool, resume: bool, **options: Any) -> None:
    """Train on question-answer pairs, and publish the model if search is measurably better.

    Without a TABLE, train on the published collection, or else on the bundled Korean sample. Each
    round is cross-validated: it trains without each fold of questions in turn, and is measured on
    that fold. A round is kept only if its gain is significant; it is then trained again on all
    questions. Decisions from `dotbogi review` are always used, users' votes only with
    --with-feedback. Votes are published even if no round is kept.

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
    for package in ("torch", "sentence_transformers"):
        if find_spec(package) is None:  # fail before anything is read or fetched
            raise ModuleNotFoundError(name=package)
    if options.pop("cpu_only"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch is imported
    from dotbogi.training.fit import processes

    if processes.rank():
        from dotbogi.training.fit.full import follow

        follow()
        return
    with processes.leading():
        _lead(table, workspace, as_json, resume, options)


def _lead(
    table: Path | None, workspace: str, as_json: bool, resume: bool, options: Mapping[str, Any]
) -> None:
    """Run the loop; other processes that torchrun has started take part in full fits."""
    from dotbogi.indexes import UsageError, Workspace
    from dotbogi.training import resume_loop

    progress = shows_progress(as_json)
    read_lines: list[str] = []
    if resume:
        if used := list(given({"table": table, **options}, "table", *options)):
            raise UsageError(
                f"--resume continues with the run's own settings; leave out {_typed(used[0])}."
            )
        result = resume_loop(Workspace(workspace), progress=progress)
    else:
        start = _train_on_scores if options["objective"] == "cosine" else _train_on_pairs
        read_lines, result = start(table, Workspace(workspace), options, progress)
    if as_json:
        rounds = [asdict(replace(each, scores=(), dense_scores=())) for each in result.rounds]
        print_json({**asdict(result), "rounds": rounds})  # the ledger has each query's scores
    else:
        _print_result(result, read_lines, table, Workspace(workspace))


def _typed(name: str) -> str:
    """Return how a parameter of the command is typed."""
    parameters = click.get_current_context().command.params
    return next((p.opts[0] for p in parameters if p.name == name and p.opts[0][0] == "-"), "TABLE")


def _train_on_pairs(
    table: Path | None, workspace: "Workspace", options: Mapping[str, Any], progress: bool
) -> tuple[list[str], "RunResult"]:
    """Return lines about the table that was read, and the result of the run."""
    from dotbogi.training import check_run, run_loop

    refuse(options, "needs --objective cosine", "score_column")
    config, model = _loop_config(options), model_of(options)
    source = read(table, workspace, reading_of(options))
    test = None
    if options["test_table"]:
        test = read_test(
            options["test_table"], workspace, _names_of(options), collection=source.collection
        )
    if table and workspace.current_name() is not None:
        check_run(source.collection, config, model)  # before anything is published
        source = _indexed(source, workspace, progress)
    origin = {**source.origin, **({"test_table": test.origin["table"]} if test else {})}
    held_out = test.collection if test else None
    result = run_loop(
        workspace, source.collection, replace(config, source=origin), model=model,
        held_out=held_out, progress=progress,
    )  # fmt: skip
    return source.lines(), result


def _names_of(options: Mapping[str, Any]) -> "Reading":
    """Return the names of columns alone: a test table is read by its own looks otherwise."""
    from dotbogi.indexes import Reading

    reading = reading_of(options)
    return Reading(question=reading.question, answer=reading.answer, answer_id=reading.answer_id)


def _indexed(source: "Source", workspace: "Workspace", progress: bool) -> "Source":
    """Index a table that differs from what is published, and return it as it is published then."""
    from dotbogi.indexes import open_collection
    from dotbogi.indexes.update import change_lines
    from dotbogi.search import index_collection
    from dotbogi.search.continued import plan

    changes = plan(workspace, source.collection)
    if changes["differs"]:
        print_lines(change_lines(changes), err=True)
        generation = index_collection(
            workspace, source.collection, source.origin, progress=progress
        )
        click.echo(f"published generation {generation.name} with the table as it is now", err=True)
    return replace(source, collection=open_collection(workspace.current().folder))


def _train_on_scores(
    table: Path | None, workspace: "Workspace", options: Mapping[str, Any], progress: bool
) -> tuple[list[str], "RunResult"]:
    """Return lines about the table that was read, and the result of a run on scored pairs."""
    from dotbogi.indexes import UsageError
    from dotbogi.training import run_similarity
    from dotbogi.training.scored.pairs import ScoredColumns
    from dotbogi.training.scored.source import read_scored_source

    refuse(
        options, "does not apply to --objective cosine",
        "rounds", "patience", "negatives", "id_column", "window", "bound", "bound_absolute",
        "sampling", "start_from", "with_feedback", "folds", "holdout", "sheet", "header", "only",
        "split", "encoding", "delimiter", "markup", "further_columns",
    )  # fmt: skip
    if table is None:
        raise UsageError("--objective cosine needs a TABLE of two text columns and a score column.")
    config, model = _loop_config(options), model_of(options)
    columns = ScoredColumns(
        first=options["question_column"],
        second=options["answer_column"],
        score=options["score_column"],
    )
    with byte_bars() as bars:
        source = read_scored_source(
            table, columns, test_table=options["test_table"], seed=config.seed, progress=bars
        )
    print_notes(source.notes)
    result = run_similarity(
        workspace, source.split, replace(config, source=source.origin), model=model,
        progress=progress,
    )  # fmt: skip
    return source.lines, result


def _loop_config(options: Mapping[str, Any]) -> "LoopConfig":
    """Return the loop's settings, except for the table's origin."""
    from dotbogi.training.config import FULL_FIT_FOLDS, LoopConfig
    from dotbogi.training.fit.objectives import default_kind
    from dotbogi.training.judgements.feedback import VOTES_PER_CLIENT

    loop = given(
        options, "rounds", "patience", "seed", "start_from", "folds", "holdout", "votes_per_client"
    )
    if options["with_feedback"]:
        loop.setdefault("votes_per_client", VOTES_PER_CLIENT)
    else:
        refuse(options, "needs --with-feedback", "votes_per_client")
    fit = given(
        options, "epochs", "batch_size", "learning_rate", "temperature", "objective", "symmetric",
        "mini_batch_size", "guide", "guide_margin", "report_to", "seed",
    )  # fmt: skip
    kind = options["kind"] or default_kind(fit)
    if kind == "full":
        loop = {"folds": FULL_FIT_FOLDS, "hard_from": 1, **loop}
    if options["negatives"] is not None:
        loop["hard_from"] = 1
    return LoopConfig(**loop, kind=kind, mining=mining_of(options), fit=fit)


def _print_result(
    result: "RunResult", read_lines: list[str], table: Path | None, workspace: "Workspace"
) -> None:
    from dotbogi.training.report.lines import run_lines

    print_lines(["", *read_lines, *run_lines(result)])
    if result.generation:
        if not any(each.kept for each in result.rounds[1:]):
            what = "users' votes" if result.started.feedback else "the new pairs"
            click.echo(f"no round was better: the same model is published with {what}")
        click.echo(f"published generation {result.generation} in {workspace.folder}")
    elif result.model:
        click.echo("no collection is indexed here, so there is nothing to search yet. Run:")
        click.echo(f"dotbogi index TABLE --model {result.model}")
    else:
        as_it_was = "the table is indexed, with the model as it was"
        what = as_it_was if table else "nothing was published"
        click.echo(f"no round was better: {what}")
    report = workspace.rounds_folder / result.run / "report.html"
    with contextlib.suppress(OSError):  # the run has ended well
        if report.is_file():
            click.echo(f"report: {report}")
