"""Tables of any size are read or refused in bounded time and memory."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from sheets import row, write_book

from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.errors import DamagedError
from dotbogi.indexes.tables import read_table


def test_a_hundred_thousand_columns_are_read_at_once(tmp_path: Path) -> None:
    names = [f"항목 {number}" for number in range(100_000)]
    cells = ["값"] * len(names)
    path = tmp_path / "faq.csv"
    path.write_text(f"{','.join(names)},질문,답변\n{','.join(cells)},환불?,네\n")
    start = time.process_time()
    collection, _ = build_collection(read_table(path))
    assert time.process_time() - start < 20
    assert (collection.answers[0].text, len(collection.answers[0].metadata)) == ("네", 100_000)


PEAK = """
import re, sys
from pathlib import Path
from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.errors import DotbogiError
from dotbogi.indexes.tables import read_table
try:
    print(build_collection(read_table(Path(sys.argv[1])))[1].lines()[0])
except DotbogiError as error:
    print(error)
# ru_maxrss would begin with what the tests' own process takes.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""
MIB = 1 << 20
HEAD = row("질문", "답변")


def many(count: int, line: str) -> Iterator[str]:
    """A line many times; "%d" in it is its number."""
    for start in range(0, count, 1000):
        yield "".join(
            line.replace("%d", str(number)) for number in range(start, min(start + 1000, count))
        )


BOMBS: dict[str, tuple[Callable[[], dict[str, Iterable[str]]], str]] = {
    "a sheet of 200 MiB": (lambda: {"rows": [HEAD, *[" " * MIB] * 200]}, "no rows"),
    "a cell of 200 MiB": (
        lambda: {"rows": [HEAD, "<row><c t='str'><v>", *["x" * MIB] * 200, "</v></c></row>"]},
        "a cell in row 2",
    ),
    "a tag of 200 MiB": (
        lambda: {"rows": [HEAD, '<row ht="', *["x" * MIB] * 200, '"/>']}, "a tag of more than",
    ),
    "a row of 10,000,000 cells": (
        lambda: {"rows": [HEAD, "<row>", *["<c/>" * 100_000] * 100, "</row>"]}, "16,384 cells",
    ),
    "a string of 200 MiB": (
        lambda: {"rows": [HEAD], "strings": ["<si><t>", *["x" * MIB] * 200, "</t></si>"]},
        "a cell in xl/sharedStrings.xml",
    ),
    "10,000,000 strings": (
        lambda: {"rows": [HEAD], "strings": ["<si><t/></si>" * 100_000] * 100}, "strings",
    ),
    "200 MiB of strings": (
        lambda: {"rows": [HEAD], "strings": [f"<si><t>{'x' * 10_000}</t></si>" * 100] * 210},
        "strings",
    ),
    "3,000,000 styles": (
        lambda: {"rows": [HEAD], "styles": ["<cellXfs>", *["<xf/>" * 100_000] * 30, "</cellXfs>"]},
        "styles",
    ),
    "merged cells over all": (
        lambda: {
            "rows": [HEAD, *many(20_000, row("환불 %d", "네"))],
            "after": [f'<mergeCell ref="A2:XFD{n}"/>' for n in range(3, 300)],
        },
        "20000 read",
    ),
    "1,000,000 rows, inline strings": (
        lambda: {"rows": [HEAD, *many(1_000_000, row("환불은 언제 되나요 %d", "사흘입니다"))]},
        "more than 300,000 filled rows. Save the table as CSV or Parquet",
    ),
    "1,000,000 rows, shared strings": (
        lambda: {
            "rows": many(1_000_000, '<row><c t="s"><v>%d</v></c><c t="s"><v>1</v></c></row>'),
            "strings": ["<si><t>질문</t></si>", "<si><t>답변</t></si>",
                        *many(999_998, "<si><t>환불은 언제 되나요 %d</t></si>")],
        },
        "more than 300,000 filled rows. Save the table as CSV or Parquet",
    ),
    "299,999 rows that all differ": (
        lambda: {
            "rows": [HEAD, *many(299_999, row("환불은 언제 되나요 %d", "사흘 안에 됩니다 %d"))]
        },
        "299999 read = 299999 kept",
    ),
    "1,048,576 formatted rows": (
        lambda: {
            "rows": [HEAD, row("환불?", "네"),
                     *many(1_048_574, '<row ht="16" s="%d" customHeight="1"><c s="0"/></row>')]
        },
        "1 read = 1 kept",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "fact"), BOMBS.values(), ids=BOMBS)
def test_workbook_of_any_size_stays_under_500_mb(
    parts: Callable[[], dict[str, Iterable[str]]], fact: str, tmp_path: Path
) -> None:
    write_book(tmp_path / "faq.xlsx", **parts())
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "faq.xlsx")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    line, peak = ran.stdout.splitlines()
    assert fact in line
    assert int(peak) < 500


def test_sheet_of_too_many_cells_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound, 149,000 rows of ten different texts, a process takes 410 MB."""
    monkeypatch.setattr("dotbogi.indexes.tables.workbook._MAX_CELLS", 5)
    write_book(tmp_path / "faq.xlsx", [HEAD, row("환불?", "네"), row("교환?", "네")])
    with pytest.raises(DamagedError, match=r"more than 5 filled cells. Save the table as CSV"):
        read_table(tmp_path / "faq.xlsx")
