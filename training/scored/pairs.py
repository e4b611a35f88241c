"""Pairs of texts with similarity scores by people: read, check and split them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dotbogi.indexes.collection import Counts, Split
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.files import reading, write_parquet
from dotbogi.indexes.tables.records import quoted, read_records
from dotbogi.indexes.tables.table import Skip
from dotbogi.indexes.text import clean, is_valid_unicode, same_text_key
from dotbogi.training.run_files import REMEDY
from dotbogi.training.split import split_of

TEXT_NAMES = (
    ("sentence1", "sentence2"), ("text1", "text2"), ("question1", "question2"), ("문장1", "문장2"),
    ("질문1", "질문2"), ("question", "answer"), ("질문", "답변"),
)  # fmt: skip
SCORE_NAMES = ("score", "similarity", "점수", "유사도", "label")
FEWEST = 20  # pairs in each split
LARGE_GROUP = 0.01  # share of all pairs; a larger group would fill most of a dev split


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredColumns:
    """The columns of a table with the two texts and their score; None: recognised by name."""

    first: str | None = None
    second: str | None = None
    score: str | None = None


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """Two texts and their similarity, from 0 (lowest score of the table) to 1 (highest)."""

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
    lowest: float  # score in the table that is scaled to 0
    highest: float  # score in the table that is scaled to 1

    def lines(self) -> list[str]:
        """Return the counts and the scale as lines for a terminal."""
        scale = f"scores {self.lowest:g} to {self.highest:g} of {self.path.name} are scaled to 0..1"
        return [*self.counts.lines(), scale]


def read_scored_table(path: Path, columns: ScoredColumns | None = None) -> ScoredTable:
    """Read a table of two text columns and a score column (CSV, TSV, JSON Lines, Parquet).

    Rows without two texts and a finite score are skipped, counted and named.

    Raises:
        UsageError: there is no such file, or it has no usable columns.
        DamagedError: the bytes cannot be decoded or parsed.
        DotbogiError: no row can be used, or all scores are equal.
    """
    records = read_records(path)
    used = _find_columns(path, records.names, columns or ScoredColumns())
    pairs: list[ScoredPair] = []
    skips = list(records.skips)
    for number, row in zip(records.numbers, records.rows, strict=True):
        first, second = (clean(row.get(name or "", "")) for name in (used.first, used.second))
        score = _number(row.get(used.score or "", ""))
        reason = _unusable(first, second, score)
        if reason:
            skips.append(Skip(number, reason))
        else:
            pairs.append(ScoredPair(first, second, score))
    read = len(records.rows) + len(records.skips)
    counts = Counts(read, len(pairs), 0, skips)
    scores = [pair.score for pair in pairs]
    if len(set(scores)) < 2:
        what = f"all scores are {scores[0]:g}" if scores else "none has two texts and a score"
        raise DotbogiError(
            f"{path}: {read} rows, but {what} (column {used.score!r}). Expected scores that "
            "differ; choose another column with --score-column."
        )
    low, high = min(scores), max(scores)
    scaled = [replace(p, score=(p.score - low) / (high - low)) for p in pairs]
    return ScoredTable(path, scaled, used, counts, low, high)


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
            f"{path}: expected two text columns and a score column among {quoted(names)}. Name "
            "them with --question-column, --answer-column and --score-column."
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


@dataclass(frozen=True, slots=True)
class ScoredSplit:
    """Pairs with their splits; no normalised text is in more than one split."""

    pairs: list[ScoredPair]
    repeated: int  # texts that are in several pairs, which then share a split
    left_out: int  # pairs that share a text with the test table

    def only(self, split: Split) -> list[ScoredPair]:
        """Return the pairs of one split."""
        return [pair for pair in self.pairs if pair.split == split]

    def lines(self) -> list[str]:
        """Return the counts as lines for a terminal."""
        lines = [
            f"{self.repeated} texts are in several pairs; pairs with a common text share a split"
        ]
        if self.left_out:
            lines.append(f"{self.left_out} pairs left out: they share a text with the test table")
        return lines


def split_scored(
    pairs: Sequence[ScoredPair], *, seed: int, test: Sequence[ScoredPair] | None = None
) -> ScoredSplit:
    """Give every pair its split: about 80% train, 10% dev, 10% test.

    Pairs that share a text, directly or through other pairs, form a group with one split. The split
    depends on the hash of (seed, alphabetically first text). A group of more than 1% of all pairs
    is in train.

    Args:
        pairs: pairs of the table to train on.
        seed: for the split.
        test: the pairs to test on, in place of a tenth of `pairs`; those of `pairs` that share a
            text with them are left out.

    Raises:
        DotbogiError: a split would be too small, or all its scores equal.
    """
    held_out = {key for pair in test or () for key in _keys(pair)}
    free = [pair for pair in pairs if held_out.isdisjoint(_keys(pair))]
    group_of = _groups(free)
    sizes = Counter(group_of)
    large = max(10, LARGE_GROUP * len(free))

    def split_of_group(group: str) -> Split:
        split = "train" if sizes[group] > large else split_of(group, seed)
        return "train" if test is not None and split == "test" else split

    divided = [
        replace(pair, split=split_of_group(group))
        for pair, group in zip(free, group_of, strict=True)
    ]
    divided += [replace(pair, split="test") for pair in test or ()]
    seen = Counter(key for pair in free for key in set(_keys(pair)))
    repeated = sum(count > 1 for count in seen.values())
    result = ScoredSplit(divided, repeated, len(pairs) - len(free))
    _check_enough(result)
    return result


def _keys(pair: ScoredPair) -> tuple[str, str]:
    return same_text_key(pair.first), same_text_key(pair.second)


def _groups(pairs: Sequence[ScoredPair]) -> list[str]:
    """Return for each pair the smallest text key of its group (union-find)."""
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
    single_score = [n for n in ("dev", "test") if len({pair.score for pair in split.only(n)}) < 2]
    if min(sizes.values()) < FEWEST or single_score:
        counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DotbogiError(
            f"too few pairs to train, tune and test on ({counts}). Expected at least {FEWEST} in "
            "each, with scores that differ: about 300 pairs that share few texts."
        )


def save_pairs(pairs: Sequence[ScoredPair], folder: Path) -> None:
    """Write pairs.parquet with the columns first, second, score and split."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    fields = [("first", text), ("second", text), ("score", number), ("split", text)]
    schema = pa.schema(fields)
    columns = {name: [getattr(pair, name) for pair in pairs] for name in schema.names}
    write_parquet(folder / "pairs.parquet", pa.table(columns, schema=schema), compression="zstd")


def open_pairs(folder: Path) -> list[ScoredPair]:
    """Read what `save_pairs` wrote."""
    import pyarrow.parquet as pq

    path = folder / "pairs.parquet"
    with reading(path, REMEDY):
        return [ScoredPair(**row) for row in pq.ParquetFile(path).read().to_pylist()]
