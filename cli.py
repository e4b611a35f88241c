"""The command line: the group of commands, exit codes and logging."""

import logging
import os
import sys
from typing import Any

import click

from dotbogi.commands.check import check
from dotbogi.commands.dictionary import dictionary
from dotbogi.commands.evaluate import evaluate
from dotbogi.commands.export import export
from dotbogi.commands.feedback import feedback
from dotbogi.commands.fetch import fetch
from dotbogi.commands.history import history
from dotbogi.commands.index import index
from dotbogi.commands.mine import mine
from dotbogi.commands.query import query
from dotbogi.commands.report import report
from dotbogi.commands.review import review
from dotbogi.commands.serve import mcp, serve
from dotbogi.commands.train import train

# The packages that each extra installs.
_EXTRAS = {
    "train": {
        "accelerate",
        "datasets",
        "huggingface_hub",
        "sentence_transformers",
        "torch",
        "transformers",
    },
    "serve": {
        "fastapi",
        "fastapi_offline",
        "itsdangerous",
        "jinja2",
        "prometheus_client",
        "pydantic",
        "starlette",
        "uvicorn",
    },
    "mcp": {"mcp"},
    "ray": {"ray"},
}


class _Commands(click.Group):
    """Turns errors that a user can act on into one line and a documented exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if (shown := _for_user(error)) is None:
                raise
            raise shown from error


def _for_user(error: Exception) -> click.ClickException | None:
    """Return an error as one line with its exit code, or None if it is a bug in dotbogi."""
    from dotbogi.indexes.system_errors import for_user

    if shown := for_user(error):
        return _line(str(shown), shown.exit_code)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        for extra, packages in _EXTRAS.items():
            if package in packages:
                return _line(
                    f'the package {package} is missing. Run: pip install "dotbogi[{extra}]"', 1
                )
    return None


def _line(message: str, exit_code: int) -> click.ClickException:
    shown = click.ClickException(" ".join(message.split("\n")))
    shown.exit_code = exit_code  # type: ignore[misc]
    return shown


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dotbogi", prog_name="dotbogi")
def main() -> None:
    """Find the right answer to a question, and get better at it from your own pairs.

    \b
    dotbogi index faq.csv         index a table of questions and answers
    dotbogi train                 learn from it, round by round; publish what is better
    dotbogi query "배고프다"       search
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[handler])
    logging.getLogger("dotbogi").setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs each retry
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")


for _command in (
    check, index, train, query, evaluate, mine, review, report, export, feedback, fetch, serve, mcp,
    history,
    dictionary,
):  # fmt: skip
    main.add_command(_command)

if __name__ == "__main__":
    main()
