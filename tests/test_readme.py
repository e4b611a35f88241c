"""The README's commands, run as a newcomer runs them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#([^)\s]+))?\)")


def sessions() -> list[tuple[str, list[str]]]:
    """Return each command of README's consoles with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """Return a line without its figures, which differ a little between processors."""
    return re.sub(r"[+-]?\d+(?:[.,]\d+)*%?", "#", line)


@pytest.mark.slow
@pytest.mark.starter
def test_every_command_prints_what_the_readme_says(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("DOTBOGI_WORKSPACE", None)
    commands = sessions()
    assert [shlex.split(command)[1] for command, _ in commands] == [
        "index", "query", "query", "train",
    ]  # fmt: skip
    for command, shown in commands:
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"
        printed = [shape(line) for line in (done.stderr + done.stdout).splitlines()]
        for line in shown:
            assert line == "…" or shape(line) in printed, f"{command}\n{line}\n" + "\n".join(
                printed
            )


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*()\[\],:.?'’]", "", head).lower() for head in heads)
    return {head.strip().replace(" ", "-") for head in plain}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{target}#{anchor}"


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 1200
