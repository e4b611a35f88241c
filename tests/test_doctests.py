import doctest
import importlib
import pkgutil

import pytest

import dotbogi

ROOMS = ("commands", "indexes", "search", "training")
MODULES = [
    module.name
    for room in ROOMS
    for module in pkgutil.walk_packages(
        importlib.import_module(f"dotbogi.{room}").__path__, f"dotbogi.{room}."
    )
    if not module.name.endswith(("__main__", ".haystack", ".langchain", ".mcp"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_come_out_as_written(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        pytest.skip("ray is not installed")
    assert doctest.testmod(module).failed == 0


def test_what_the_package_offers_is_there() -> None:
    for name in dotbogi.__all__:
        assert getattr(dotbogi, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Finder'"):
        _ = dotbogi.Finder
