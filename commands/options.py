"""Options that several commands have, and what becomes of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.defaults import defaulted

if TYPE_CHECKING:
    from dotbogi.indexes import Columns
    from dotbogi.search import ModelConfig
    from dotbogi.training import MiningConfig

_MINING = "training.negatives.negative:MiningConfig"


def together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds these options, in this order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


workspace_option = click.option(
    "--workspace", "-w", default="workspace", envvar="DOTBOGI_WORKSPACE", show_default=True,
    show_envvar=True, help="Folder of the collection.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
table_argument = click.argument("table", required=False, type=click.Path(path_type=Path))
column_options = together(
    click.option("--question-column", metavar="NAME", help="Column of the questions."),
    click.option("--answer-column", metavar="NAME", help="Column of the answers."),
    click.option("--id-column", metavar="NAME", help="Column of the answers' ids."),
)
model_options = together(
    defaulted(
        "--model", metavar="MODEL", setting="search.models:STARTER",
        help="The bundled starter, a folder, or a hub id.",
    ),
    click.option("--max-seq-length", type=int, metavar="N", help="Tokens read of each text."),
    click.option("--query-prompt", metavar="TEXT", help='Before every query, e.g. "query: ".'),
    click.option("--answer-prompt", metavar="TEXT", help='Before every answer, e.g. "passage: ".'),
)  # fmt: skip
mining_options = together(
    defaulted(
        "--negatives", metavar="QUOTAS", setting=f"{_MINING}.quotas",
        help="Hard negatives of each pair, from bm25, model and random. An adapter learns from "
        "them from its second round on unless they are given.",
    ),
    defaulted(
        "--window", type=click.IntRange(min=1), setting=f"{_MINING}.window",
        help="Best answers of bm25 and of the model to choose from; doubled while too few pass.",
    ),
    defaulted(
        "--bound", type=click.FloatRange(0, 1), setting=f"{_MINING}.bound",
        help="A negative's cosine is at most this share of the right answer's.",
    ),
    click.option(
        "--bound-absolute", type=click.FloatRange(0, 2),
        help="In place of --bound: the cosine is at least so far below the right answer's.",
    ),
    click.option("--no-bound", is_flag=True, default=None, help="Negatives of any cosine."),
    defaulted(
        "--sampling", type=click.Choice(["top", "random", "near"]), setting=f"{_MINING}.sampling",
        help="From the window: the best, any, or those nearest to the right answer.",
    ),
)  # fmt: skip


def given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the options among these that the user has given."""
    return {name: options[name] for name in names if options[name] is not None}


def refuse(options: Mapping[str, Any], why: str, *names: str) -> None:
    """Raise a UsageError if the user has given one of these options."""
    from dotbogi.indexes import UsageError

    for name in given(options, *names):
        raise UsageError(f"--{name.replace('_', '-')} {why}.")


def columns_of(options: Mapping[str, Any]) -> "Columns":
    """Return the columns that the user has named."""
    from dotbogi.indexes import Columns

    return Columns(
        question=options["question_column"],
        answer=options["answer_column"],
        answer_id=options["id_column"],
    )


def model_of(options: Mapping[str, Any]) -> "ModelConfig | None":
    """Return the model that the user has named, or None."""
    from dotbogi.search import ModelConfig

    settings = ("max_seq_length", "query_prompt", "answer_prompt")
    if options["model"] is None:
        refuse(options, "belongs to a model; name it with --model", *settings)
        return None
    return ModelConfig(name=options["model"], **given(options, *settings))


def mining_of(options: Mapping[str, Any]) -> "MiningConfig":
    """Return how negatives are mined."""
    from dotbogi.indexes import UsageError
    from dotbogi.training.negatives import MiningConfig, parse_quotas

    settings = given(options, "window", "sampling")
    if options["negatives"] is not None:
        settings["quotas"] = parse_quotas(options["negatives"])
    bounds = given(options, "bound", "bound_absolute")
    if len(bounds) + bool(options["no_bound"]) > 1:
        raise UsageError("--bound, --bound-absolute and --no-bound: one of them at most.")
    if bounds or options["no_bound"]:
        settings |= {"bound": None, "bound_absolute": None, **bounds}
    return MiningConfig(**settings)
