"""Write docs/speed.md and README.md's table of speed from query_speed.json and the like."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
PAGE, README = ROOT / "docs" / "speed.md", ROOT / "README.md"
BEGIN, END = "<!--benchmarks/speed_page.py-->\n", "<!--end-->\n"
SHORT = """A query's processor time over that of others ({date}); the glue is bm25s, FAISS, RRF.

|answers|known|glue|txtai|rank-bm25|
|-|-|-|-|-|
"""

HEAD = """# Speed, measured

Made by `benchmarks/speed_page.py` from benchmarks/results/. Processor time on a
shared machine ({machine}), so compare the columns of a row, not the rows of different days. Below
1.00, dotbogi takes less time.
"""
QUERIES = """
## A hybrid query

Milliseconds of a warm query over synthetic answers ({date};
[benchmarks/query_speed.py](../benchmarks/query_speed.py) says what each of the others is): the
median, and for dotbogi the 95th and the 99th percentile. All get the same tokens and vectors. The
time to encode the query is not in it (about 5 ms), that of Kiwi is.

| answers | known | at once | dotbogi | glue | txtai | rank-bm25 | / glue | / txtai | / rank-bm25 |
|---|---|---|---|---|---|---|---|---|---|
"""
MINING = """
## Mining negatives

Four negatives for each of {questions:,} questions among {answers:,} answers ({date};
[benchmarks/mining_speed.py](../benchmarks/mining_speed.py)), without bounds. Tokens and vectors are
given. Memory is what a miner takes beside them. Of dotbogi's negatives by the model,
{equal:.0%} are those of mine_hard_negatives.

| miner | ms a question | MB |
|---|---|---|
"""
INDEX = """
## Indexing

`dotbogi index` of a table of answers, on all cores, nothing in the cache at first; then of the same
table with one answer in a hundred changed ({date}, {machine};
[benchmarks/index_speed.py](../benchmarks/index_speed.py)). Most of the first time is encoding. The
floor is what Kiwi, the model's graph and FAISS alone take for these texts, of the processor.

| answers | first: seconds | processor | MB | floor | / floor | again: seconds | processor | MB |
|---|---|---|---|---|---|---|---|---|
"""
TRAINING = """
## Training

Processor time on one thread, the bundled sample ({date};
[benchmarks/train_speed.py](../benchmarks/train_speed.py)). Two rounds of adapters with five folds
took {whole} s: fitting {fitting}, searching {searching}, mining {mining}, and all else {rest}. A
full fit of {pairs} pairs, {epochs} epochs, took {ratio:.2f} times what SentenceTransformerTrainer
alone takes for it: after each epoch, a checkpoint is flushed and sealed.
"""
PARTS = ("fitting", "searching", "mining")
PEERS = ("glue", "txtai", "rank-bm25")


def queries(result: dict[str, Any]) -> str:
    """Return the rows of the table of queries."""
    rows = []
    for size in result["sizes"]:
        for label, at_once in (("single", 1), ("batch", 64)):
            of = size[label]
            ours = " / ".join(f"{of['dotbogi'][p]:.1f}" for p in ("p50", "p95", "p99"))
            peers = [f"{of[peer]['p50']:.1f}" if peer in of else "–" for peer in PEERS]
            ratios = [f"{of['ratio'][p]:.2f}" if p in of["ratio"] else "–" for p in PEERS]
            cells = [f"{size['answers']:,}", f"{size['known']:,}", str(at_once), ours]
            rows.append("| " + " | ".join([*cells, *peers, *ratios]) + " |")
    return "\n".join(rows) + "\n"


def short(speed: dict[str, Any], mining: dict[str, Any]) -> str:
    """Return the table of README.md."""
    rows = []
    for size in speed["sizes"]:
        ratios = [f"{size['single']['ratio'].get(peer, float('nan')):.2f}" for peer in PEERS]
        rows.append("|".join(["", f"{size['answers']:,}", f"{size['known']:,}", *ratios, ""]))
    took = {name: of["ms"] for name, of in mining["miners"].items()}
    bm25 = [took["dotbogi bm25"] / took[name] for name in ("bm25s", "rank-bm25")]
    model = took["dotbogi model"] / took["mine_hard_negatives"]
    note = (
        f"Mining: {bm25[0]:.2f} of bm25s, {bm25[1]:.3f} of rank-bm25; by the model {model:.2f} of "
        "mine_hard_negatives. [All figures](docs/speed.md)"
    )
    return SHORT.format(**speed) + "\n".join(rows) + "\n\n" + note + "\n"


def main() -> None:
    """Write the page and the table of README.md."""
    speed, mining, indexing, training = (
        json.loads((RESULTS / f"{name}_speed.json").read_text(encoding="utf-8"))
        for name in ("query", "mining", "index", "train")
    )
    rows = [f"| {name} | {of['ms']:.2f} | {of['mb']:,} |" for name, of in mining["miners"].items()]
    page = HEAD.format(**speed) + QUERIES.format(**speed) + queries(speed)
    page += MINING.format(**mining) + "\n".join(rows) + "\n"
    page += INDEX.format(**indexing)
    for size in indexing["sizes"]:
        cells = [f"{size['answers']:,}"]
        for part in ("first", "again"):
            cells += [f"{size[part][name]:,}" for name in ("seconds", "processor", "mb")]
            if part == "first":
                floor = sum(size.get("floor", {}).values())
                cells += [f"{floor:.0f}", f"{size['over']:.2f}"] if floor else ["–", "–"]
        page += "| " + " | ".join(cells) + " |\n"
    loop = training["adapter"]
    shares = {part: f"{loop[part] / loop['whole']:.0%}" for part in PARTS} | {
        "rest": f"{loop['rest']:.0%}", "whole": f"{loop['whole']:.0f}"
    }  # fmt: skip
    page += TRAINING.format(date=training["date"], **training["full"], **shares)
    PAGE.write_text(page, encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    table = short(speed, mining)
    README.write_text(before + BEGIN + table + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
