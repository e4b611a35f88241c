"""The defaults of settings, read from the source code."""

import ast
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

_PACKAGE = Path(__file__).parent.parent


def default_of(setting: str) -> Any:
    """Return a default, read from the source: an import would load numpy and slow `--help`.

    Args:
        setting: MODULE:CLASS.FIELD of a dataclass, or MODULE:NAME of a constant; MODULE without
            `dotbogi`.

    Raises:
        LookupError: there is no such setting.
        ValueError: its default is not a literal.

    >>> default_of("training.config:LoopConfig.rounds")
    2
    """
    module, _, path = setting.partition(":")
    file = _PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    body: Iterable[ast.stmt] = ast.parse(file.read_text(encoding="utf-8")).body
    *classes, name = path.split(".")
    for class_name in classes:
        body = next(n.body for n in body if isinstance(n, ast.ClassDef) and n.name == class_name)
    for node in body:
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            continue
        if isinstance(target, ast.Name) and target.id == name and node.value is not None:
            return _literal(node.value)
    raise LookupError(f"{setting}: no such setting")


def _literal(value: ast.expr) -> Any:
    """Return the value of a literal, or of `field(default_factory=lambda: literal)`."""
    if isinstance(value, ast.Call) and isinstance(value.keywords[0].value, ast.Lambda):
        value = value.keywords[0].value.body
    return ast.literal_eval(value)


class DefaultedOption(click.Option):
    """An option whose help ends with the default of the setting that it changes.

    Without the option, its value is None and the setting keeps its default.
    """

    def __init__(self, *names: Any, setting: str | dict[str, str], **options: Any) -> None:
        """Take one setting, or {label: setting}; help shows each label after its default."""
        super().__init__(*names, **options)
        self.setting = setting

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names of the option and its help."""
        record = super().get_help_record(ctx)
        return record and (record[0], f"{record[1]}  [default: {self.shown_default()}]")

    def shown_default(self) -> str:
        """Return the default as help shows it."""
        if isinstance(self.setting, str):
            return _shown(default_of(self.setting))
        return ", ".join(f"{_shown(default_of(s))} {kind}" for kind, s in self.setting.items())


def defaulted(
    *names: str, setting: str | dict[str, str], **options: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a click option whose help shows the default of a setting."""
    return click.option(*names, cls=DefaultedOption, setting=setting, **options)


def if_new(setting: str) -> dict[str, str]:
    """Label a default as that of a new workspace; an existing one keeps its own."""
    return {"in a new workspace": setting}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
