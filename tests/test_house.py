"""The shape of the code, as docs/design.md promises it."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("indexes", "search", "training", "commands")  # each may import those before it
FILES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for path in [ROOT / "cli.py", *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]
}


def imported(tree: ast.Module) -> set[str]:
    """Return the modules of dotbogi that a module imports, also inside of functions."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dotbogi."):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("dotbogi.")}
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_those_below_them_alone(room: str) -> None:
    above = ROOMS[ROOMS.index(room) + 1 :]
    for path, tree in FILES.items():
        if path.parts[0] == room:
            rooms = {name.split(".")[1] for name in imported(tree)}
            assert not rooms & {*above, "cli"}, path


def test_no_module_imports_itself_by_way_of_others() -> None:
    """At import time, that is: of what stands at the top of modules."""
    modules = {
        ".".join(["dotbogi", *path.with_suffix("").parts]).removesuffix(".__init__"): tree
        for path, tree in FILES.items()
    }
    edges: dict[str, set[str]] = {}
    for name, tree in modules.items():
        top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
        # `from package import module` asks the module, not the package that lists it.
        asked = imported(top) & set(modules) - {name}
        edges[name] = {m for m in asked if not any(n.startswith(f"{m}.") for n in asked)}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in edges[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in modules:
        visit(name, ())


def test_functions_and_files_stay_short() -> None:
    for path, tree in FILES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
    lines = [len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in FILES]
    assert statistics.median(lines) <= 120
    assert len((ROOT / "cli.py").read_text(encoding="utf-8").splitlines()) <= 400
    assert len([p for p in FILES if p.parent == Path("training") and p.stem != "__init__"]) <= 12
