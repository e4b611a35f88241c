"""Records from JSON, checked against the annotations of their dataclass."""

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def record(kind: type[Record], value: Any) -> Record:
    """Return a dataclass made of a JSON object; entries that are missing have their defaults.

    >>> @dataclasses.dataclass
    ... class Point:
    ...     x: int
    >>> record(Point, {"x": 1})
    Point(x=1)

    Raises:
        ValueError: an entry is unknown, missing, or not of its annotated type.
    """
    hints = get_type_hints(kind)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object for {kind.__name__}")
    for name, entry in value.items():
        if name not in fields or not fits(entry, fields[name]):
            raise ValueError(f"{name} is no entry of {kind.__name__}, or of another type")
    try:
        return kind(**value)
    except TypeError as error:
        raise ValueError(f"{kind.__name__} lacks an entry") from error


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value from JSON is what an annotation says; numbers must be finite.

    >>> fits([["a"]], tuple[tuple[str, ...], ...]), fits(True, int), fits(1, float)
    (True, False, True)
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin in (list, tuple):
        return isinstance(value, list | tuple) and all(fits(item, arguments[0]) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(fits(item, arguments[1]) for item in value.values())
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is type(None):
        return value is None
    return isinstance(value, hint)
