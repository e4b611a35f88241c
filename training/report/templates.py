"""The templates of this folder, in which every text is only a text."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def open_templates(**filters: Callable[..., Any]) -> Environment:
    """Return the templates with these filters: escaping, and strict about names."""
    environment = Environment(
        loader=PackageLoader("dotbogi.training.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment
