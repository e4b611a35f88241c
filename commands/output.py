"""What commands print, and their progress bars."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click

ByteProgress = Callable[[str, int, int | None], None]


def print_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines, on stdout or on stderr."""
    for line in lines:
        click.echo(line, err=err)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes for the user, on stderr."""
    for note in notes:
        click.echo(f"note: {note}", err=True)


def print_json(value: Any) -> None:
    """Print one JSON object on a line."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def shows_progress(as_json: bool) -> bool:
    """Return whether to show progress bars: only on a terminal, and not with --json."""
    return sys.stderr.isatty() and not as_json


@contextlib.contextmanager
def byte_bars() -> Iterator[ByteProgress | None]:
    """Yield a callback that shows a bar on stderr for each file; None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bars: dict[str, Any] = {}

    def show(file: str, done: int, total: int | None) -> None:
        if file not in bars:
            for bar in bars.values():
                bar.render_finish()
            bars[file] = click.progressbar(length=total or done, label=file, file=sys.stderr)
        bars[file].update(done - bars[file].pos)

    try:
        yield show
    finally:
        for bar in list(bars.values())[-1:]:
            bar.render_finish()


def described_model(manifest: Mapping[str, Any]) -> str:
    """Return a generation's model in a few words."""
    training = manifest["training"]
    state = (
        f"trained in {training['run']}, round {training['round']}" if training else "not fine-tuned"
    )
    model, precision = manifest["model"]["name"], manifest["encoder"]["precision"]
    return f"{model}, {manifest['dim']} dimensions, {precision}, {state}"


def without_files(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest without its list of files."""
    return {name: value for name, value in manifest.items() if name != "files"}
