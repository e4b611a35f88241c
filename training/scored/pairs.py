"""Pairs of texts that people scored by how alike they are: read, checked, split."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dotbogi.indexes.collection import Counts, Split
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.records import quoted, read_records
from dotbogi.indexes.text import clean, is_valid_unicode, same_text_key
from dotbogi.training.split import split_of

TEXT_NAMES = (
    ("sentence1", "sentence2"), ("text1", "text2"), ("question1", "question2"), ("문장1", "문장2"),
    ("질문1", "질문2"), ("question", "answer"), ("질문", "답변"),
)  # fmt: skip
SCORE_NAMES = ("score", "similarity", "점수", "유사도", "label")
FEWEST = 20  # pairs of a split
LARGE_GROUP = 0.01  # of all pairs: a group above it would be most of a development split


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredColumns:
    """Which columns of a table hold the two texts and their score; None means found by name."""

    first: str | None = None
    second: str | None = None
    score: str | None = None


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """Two texts and how alike they are, from 0 (least of the table) to 1 (most)."""

    first: str
    second: str
    score: float
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """The usable pairs of one table."""

    path: Path
    pairs: list[ScoredPair]
    columns: ScoredColumns
    counts: Counts
    lowest: float  # score of the table that became 0
    highest: float  # and 1

    def lines(self) -> list[str]:
        """Return what was read as lines for a person."""
        scale = f"scores {self.lowest:g} to {self.highest:g} of {self.path.name} are scaled to 0..1"
        return [*self.counts.lines(), scale]


def read_scored_table(path: Path, columns: ScoredColumns | None = None) -> ScoredTable:
    """Read a table of two text columns and a score column (CSV, TSV, JSON Lines, Parquet).

    Rows without two texts or a finite score are counted and named.

    Raises:
        UsageError: there is no such file, or it has no usable columns.
        DamagedError: the bytes cannot be decoded or parsed.
        DotbogiError: no row can be used, or all have one score.
    """
    records = read_records(path)
    found = _find_columns(path, records.names, columns or ScoredColumns())
    pairs: list[ScoredPair] = []
    bad: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(records.rows, 1):
        first, second = (clean(row.get(name or "", "")) for name in (found.first, found.second))
        score = _number(row.get(found.score or "", ""))
        reason = _unusable(first, second, score)
        if reason:
            bad[reason].append(number)
        else:
            pairs.append(ScoredPair(first, second, score))
    read = len(records.rows) + sum(records.skipped.values())
    counts = Counts(read, len(pairs), 0, {**records.skipped, **_named(bad)})
    scores = [pair.score for pair in pairs]
    if len(set(scores)) < 2:
        what = f"all scores are {scores[0]:g}" if scores else "none has two texts and a score"
        raise DotbogiError(
            f"{path}: of {read} rows {what} (column {found.score!r}); nothing can be ranked. "
            "Expected scores that differ; --score-column names another column."
        )
    low, high = min(scores), max(scores)
    scaled = [replace(p, score=(p.score - low) / (high - low)) for p in pairs]
    return ScoredTable(path, scaled, found, counts, low, high)


def _find_columns(path: Path, names: list[str], wanted: ScoredColumns) -> ScoredColumns:
    for option, name in zip(
        ("--question-column", "--answer-column", "--score-column"),
        asdict(wanted).values(),
        strict=True,
    ):
        if name is not None and name not in names:
            raise UsageError(
                f"{path}: no column {name!r}; the columns are {quoted(names)}. Change {option}."
            )
    by_key = {name.strip().casefold().replace(" ", ""): name for name in reversed(names)}
    both = next(
        ((by_key[a], by_key[b]) for a, b in TEXT_NAMES if a in by_key and b in by_key), (None, None)
    )
    first, second = wanted.first or both[0], wanted.second or both[1]
    score = wanted.score or next((by_key[key] for key in SCORE_NAMES if key in by_key), None)
    if first is None or second is None or score is None or len({first, second, score}) < 3:
        raise UsageError(
            f"{path}: no two text columns and a score column among {quoted(names)}. Name them with "
            "--question-column, --answer-column and --score-column."
        )
    return ScoredColumns(first=first, second=second, score=score)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _unusable(first: str, second: str, score: float) -> str:
    if not first or not second:
        return "a text is blank"
    if not is_valid_unicode(first + second):
        return "not valid Unicode"
    return "" if math.isfinite(score) else "the score is not a number"


def _named(bad: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the number of bad rows by their reason, which names the first of them."""
    return {
        f"{reason}: row {', '.join(map(str, rows[:5]))}{', …' if len(rows) > 5 else ''}": len(rows)
        for reason, rows in bad.items()
    }


@dataclass(frozen=True, slots=True)
class ScoredSplit:
    """Pairs with their splits; no normalised text is in two of them."""

    pairs: list[ScoredPair]
    repeated: int  # texts of several pairs, which bind these together
    left_out: int  # pairs of the table with a text that the test table has too

    def only(self, split: Split) -> list[ScoredPair]:
        """Return the pairs of one split."""
        return [pair for pair in self.pairs if pair.split == split]

    def lines(self) -> list[str]:
        """Return what was kept apart as lines for a person."""
        lines = [f"{self.repeated} texts are in several pairs, which share a split for it"]
        if self.left_out:
            lines.append(f"{self.left_out} pairs left out: a text of theirs is in the test table")
        return lines


def split_scored(
    pairs: Sequence[ScoredPair], *, seed: int, test: Sequence[ScoredPair] | None = None
) -> ScoredSplit:
    """Give every pair its split: about 80% train, 10% dev, 10% test.

    Pairs that share a text, or are bound by a chain of such pairs, go one way: by the hash of
    (seed, their first text in order). A group of more than 1% of all pairs goes to train.

    Args:
        pairs: of the table to train on.
        seed: of the split.
        test: the pairs to test on; then none of the others is one, and those that share a text with
            them are left out.

    Raises:
        DotbogiError: a split would be too small, or have one score only.
    """
    held_out = {key for pair in test or () for key in _keys(pair)}
    free = [pair for pair in pairs if held_out.isdisjoint(_keys(pair))]
    group_of = _groups(free)
    sizes = Counter(group_of)
    large = max(10, LARGE_GROUP * len(free))

    def place(group: str) -> Split:
        split = "train" if sizes[group] > large else split_of(group, seed)
        return "train" if test is not None and split == "test" else split

    placed = [replace(p, split=place(group)) for p, group in zip(free, group_of, strict=True)]
    placed += [replace(pair, split="test") for pair in test or ()]
    seen = Counter(key for pair in free for key in set(_keys(pair)))
    result = ScoredSplit(placed, sum(count > 1 for count in seen.values()), len(pairs) - len(free))
    _check_enough(result)
    return result


def _keys(pair: ScoredPair) -> tuple[str, str]:
    return same_text_key(pair.first), same_text_key(pair.second)


def _groups(pairs: Sequence[ScoredPair]) -> list[str]:
    """Return for each pair the smallest key of all texts that it is bound to (union-find)."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for pair in pairs:
        a, b = sorted(map(root, _keys(pair)))
        parent[b] = a
    return [root(_keys(pair)[0]) for pair in pairs]


def _check_enough(split: ScoredSplit) -> None:
    sizes = {name: len(split.only(name)) for name in ("train", "dev", "test")}
    flat = [n for n in ("dev", "test") if len({pair.score for pair in split.only(n)}) < 2]
    if min(sizes.values()) < FEWEST or flat:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DotbogiError(
            f"too few pairs to train, tune and test on ({shown}). Expected at least {FEWEST} in "
            "each, with scores that differ: some 300 pairs that share few texts."
        )


def save_pairs(pairs: Sequence[ScoredPair], folder: Path) -> None:
    """Write pairs.parquet (first, second, score, split)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.float64()
    fields = [("first", text), ("second", text), ("score", number), ("split", text)]
    schema = pa.schema(fields)
    columns = {name: [getattr(pair, name) for pair in pairs] for name in schema.names}
    pq.write_table(pa.table(columns, schema=schema), folder / "pairs.parquet", compression="zstd")


def open_pairs(folder: Path) -> list[ScoredPair]:
    """Read what `save_pairs` wrote."""
    import pyarrow.parquet as pq

    return [
        ScoredPair(**row) for row in pq.ParquetFile(folder / "pairs.parquet").read().to_pylist()
    ]
