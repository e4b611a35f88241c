"""The templates of this folder, with escaping."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def open_templates(**filters: Callable[..., Any]) -> Environment:
    """Return the templates with these filters; texts are escaped, unknown names are errors."""
    environment = Environment(
        loader=PackageLoader("dotbogi.training.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment
