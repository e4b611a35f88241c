"""Write a collection as JSON Lines."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.export.rows import rows_of


def write_json_lines(collection: Collection, path: Path) -> None:
    """Write one object for each row of the table; texts are as they are, with nothing before them.

    The first columns of an export are in every line, with null for what is blank.
    """
    rows = ({name: cell or None for name, cell in row.items()} for row in rows_of(collection))
    write_objects(rows, path)


def write_objects(objects: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write JSON objects, one a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for one in objects:
            file.write(json.dumps(one, ensure_ascii=False) + "\n")
