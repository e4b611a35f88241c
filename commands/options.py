"""Options that several commands share, and the settings made from them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dotbogi.commands.defaults import defaulted, if_new

if TYPE_CHECKING:
    from dotbogi.indexes import Reading
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
_columns = together(
    click.option("--question-column", metavar="NAME", help="Column of the questions."),
    click.option("--answer-column", metavar="NAME", help="Column of the answers."),
    click.option(
        "--id-column", metavar="NAME", help="Column of the answers' ids; none: by their texts."
    ),
)
# How to read a table; what is left out is found by looking at it, and printed.
table_options = together(
    _columns,
    click.option(
        "--further-columns", metavar="NAMES",
        help="Columns with further phrasings of the question, between commas; none.",
    ),
    click.option("--sheet", metavar="NAME", help="Sheet of a workbook."),
    click.option(
        "--header", type=click.IntRange(min=0), metavar="ROW",
        help="Row that names the columns; 0: none does.",
    ),
    click.option(
        "--split", metavar="WHAT",
        help="What separates phrasings in a question's cell: newline, |, another text, or none.",
    ),
    click.option(
        "--only", multiple=True, metavar="COLUMN=VALUE", help="Leave out rows with another value."
    ),
    click.option("--encoding", metavar="NAME", help="Of CSV, TSV and JSON Lines, e.g. cp949."),
    click.option("--delimiter", metavar="CHAR", help="What separates cells, e.g. ';' or tab."),
    click.option(
        "--keep-markup/--no-markup", "markup", default=None,
        help="Keep HTML as it is, or turn it into text.",
    ),
)  # fmt: skip
strict_option = click.option(
    "--strict", is_flag=True, help="Refuse a table with rows that cannot be used."
)
model_options = together(
    defaulted(
        "--model", metavar="MODEL", setting=if_new("search.models:STARTER"),
        help="The bundled starter, a folder, or a hub id.",
    ),
    click.option("--max-seq-length", type=int, metavar="N", help="Maximum tokens per text."),
    click.option("--query-prompt", metavar="TEXT", help='Prefix of queries, e.g. "query: ".'),
    click.option("--answer-prompt", metavar="TEXT", help='Prefix of answers, e.g. "passage: ".'),
)  # fmt: skip
mining_options = together(
    defaulted(
        "--negatives", metavar="QUOTAS", setting=f"{_MINING}.quotas",
        help="Hard negatives per pair, from bm25, model and random. Without this option, an "
        "adapter uses them only from round 2 on.",
    ),
    defaulted(
        "--window", type=click.IntRange(min=1), setting=f"{_MINING}.window",
        help="How many top answers of bm25 and model to choose from; doubled while too few pass.",
    ),
    defaulted(
        "--bound", type=click.FloatRange(0, 1), setting=f"{_MINING}.bound",
        help="A negative's cosine is at most this share of the right answer's.",
    ),
    click.option(
        "--bound-absolute", type=click.FloatRange(0, 2),
        help="Instead of --bound: the cosine is at least this far below the right answer's.",
    ),
    click.option("--no-bound", is_flag=True, default=None, help="Allow any cosine."),
    defaulted(
        "--sampling", type=click.Choice(["top", "random", "near"]), setting=f"{_MINING}.sampling",
        help="Take from the window the best, random ones, or those nearest to the right answer.",
    ),
)  # fmt: skip


def given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the options with these names that the user has given, by name."""
    return {name: options[name] for name in names if options[name] not in (None, ())}


def refuse(options: Mapping[str, Any], why: str, *names: str) -> None:
    """Raise an error if the user has given one of these options.

    Raises:
        UsageError: names the first one given, and says `why` it is refused.
    """
    from dotbogi.indexes import UsageError

    for name in given(options, *names):
        raise UsageError(f"--{name.replace('_', '-')} {why}.")


def reading_of(options: Mapping[str, Any]) -> "Reading":
    """Return what the user says about the table."""
    from dotbogi.indexes import Reading

    further = options.get("further_columns")
    return Reading(
        question=options["question_column"],
        answer=options["answer_column"],
        answer_id=options["id_column"],
        further=_names(further) if further is not None else None,
        only=tuple(options.get("only") or ()),
        **{
            name: options.get(name)
            for name in ("sheet", "header", "split", "encoding", "delimiter", "markup")
        },
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return () if names == ("none",) else names


def model_of(options: Mapping[str, Any]) -> "ModelConfig | None":
    """Return the model that the user has named, or None.

    Raises:
        UsageError: an option of the model is given without --model.
    """
    from dotbogi.search import ModelConfig

    settings = ("max_seq_length", "query_prompt", "answer_prompt")
    if options["model"] is None:
        refuse(options, "needs --model", *settings)
        return None
    return ModelConfig(name=options["model"], **given(options, *settings))


def mining_of(options: Mapping[str, Any]) -> "MiningConfig":
    """Return the settings for mining negatives.

    Raises:
        UsageError: the quotas are not valid, or more than one bound is given.
    """
    from dotbogi.indexes import UsageError
    from dotbogi.training.negatives import MiningConfig, parse_quotas

    settings = given(options, "window", "sampling")
    if options["negatives"] is not None:
        settings["quotas"] = parse_quotas(options["negatives"])
    bounds = given(options, "bound", "bound_absolute")
    if len(bounds) + bool(options["no_bound"]) > 1:
        raise UsageError("--bound, --bound-absolute and --no-bound: use at most one.")
    if bounds or options["no_bound"]:
        settings |= {"bound": None, "bound_absolute": None, **bounds}
    return MiningConfig(**settings)
