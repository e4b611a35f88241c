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


# What runs code that is in data, or may: by the name that it is called by.
RUNS_CODE = {
    "eval", "exec", "compile", "__import__", "execfile",
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle",
    "joblib", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle",
    "pd.read_pickle", "numpy.fromregex", "os.system", "os.popen", "runpy",
}  # fmt: skip


def dotted(node: ast.expr) -> str:
    """Return the name that an expression is: yaml.load."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(tree: ast.AST) -> list[str]:
    """Return what could run code that is in a file that is read."""
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            is_safe = [dotted(value) for value in node.args[1:2]] == ["yaml.CSafeLoader"]
            names = [] if name == "yaml.load" and is_safe else [name]
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if name == "yaml.load" and [dotted(loader) for loader in node.args[1:]] == [
                "yaml.CSafeLoader"
            ]:
                continue  # as yaml.safe_load, and ten times as fast
            if name.endswith("torch.load") and not is_true(given.get("weights_only")):
                found.append(f"{name} without weights_only=True, line {node.lineno}")
            for argument in ("allow_pickle", "trust_remote_code", "shell"):
                value = given.get(argument)
                if value is not None and not (
                    isinstance(value, ast.Constant) and value.value is False
                ):
                    found.append(f"{argument} that may be true, line {node.lineno}")
        elif isinstance(node, ast.Dict):  # of arguments that are passed on
            pairs = zip(node.keys, node.values, strict=True)
            found += [
                f"trust_remote_code, line {node.lineno}"
                for key, value in pairs
                if isinstance(key, ast.Constant) and key.value == "trust_remote_code"
                if not (isinstance(value, ast.Constant) and value.value is False)
            ]
        found += [
            f"{name}, line {node.lineno}"  # type: ignore[attr-defined]
            for name in names
            if name in RUNS_CODE or name.split(".")[0] in RUNS_CODE
        ]
    return found


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def test_nothing_that_is_read_can_become_code() -> None:
    for path, tree in FILES.items():
        assert dangers(tree) == [], path


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from pickle import loads", "import joblib", "eval(x)", "exec(x)",
     "yaml.load(x)", "yaml.load(x, yaml.Loader)", "np.load(x, allow_pickle=True)",
     "np.load(x, allow_pickle=y)",
     "torch.load(x)", "torch.load(x, weights_only=False)", "f(trust_remote_code=True)",
     "f(**{'trust_remote_code': True})", "os.system(x)", "subprocess.run(x, shell=True)",
     "import marshal", "import shelve", "pd.read_pickle(x)", "from os import system"],
)  # fmt: skip
def test_the_lint_finds(line: str) -> None:
    assert dangers(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    ["np.save(x, y, allow_pickle=False)", "torch.load(x, weights_only=True)", "yaml.safe_load(x)",
     "yaml.load(x, yaml.CSafeLoader)",
     "f(trust_remote_code=False)", "re.compile(x)", "json.loads(x)"],
)  # fmt: skip
def test_the_lint_lets_pass(line: str) -> None:
    assert dangers(ast.parse(line)) == []
