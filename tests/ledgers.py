"""Ledgers as tests need them: cut off, or of files that a test has changed on purpose."""

import json
from pathlib import Path

from dotbogi.indexes.files import digest
from dotbogi.training.ledger import write_head


def cut(folder: Path, lines: int, beyond: bytes = b"") -> None:
    """Keep the first lines of a run's ledger, and add what a killed process left behind them."""
    path = folder / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
    write_head(folder)
    with path.open("ab") as file:
        file.write(beyond)


def accept(folder: Path) -> None:
    """Record the files of a run as they are now, and count the lines of its ledger as they are."""
    path = folder / "ledger.jsonl"
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        for name in entry["files"]:
            if (folder / name).is_file():
                entry["files"][name] = digest(folder / name)
    path.write_text("".join(f"{json.dumps(e, ensure_ascii=False)}\n" for e in entries), "utf-8")
    write_head(folder)
