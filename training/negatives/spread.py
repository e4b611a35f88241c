"""Mining on a Ray cluster: workers get a copy of the miner, and mine blocks of questions."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from dotbogi.indexes.json_files import parse_json
from dotbogi.search.cluster.crew import Crew, Work
from dotbogi.training.negatives.mining import MinedBlock, Miner
from dotbogi.training.negatives.negative import Negative

_PROBE = 8  # questions
_MOST_VALUES = 1 << 24  # commas of long answers count too


@dataclass(frozen=True, slots=True)
class MiningRecipe:
    """What the workers need: the miner, with the vectors and the BM25 index of its pool."""

    miner: Miner
    fingerprint: str

    @classmethod
    def of(cls, miner: Miner) -> "MiningRecipe":
        """Name a miner by all that determines what it mines."""
        wrong = sorted((key, sorted(columns.items())) for key, columns in miner.wrong.items())
        settings = json.dumps([asdict(miner.config), wrong])
        digest = hashlib.sha256((settings + miner.pool.digest()).encode()).hexdigest()
        return cls(miner, f"mined {digest}")

    def open(self) -> Work:
        """Return the function that mines the questions with these numbers."""
        return lambda numbers: _packed(self.miner.mine(numbers))


def mine_on_ray(blocks: Path, miner: Miner, *, progress: bool = False) -> Iterator[MinedBlock]:
    """Yield the negatives of all questions of a miner, block by block.

    Args:
        blocks: folder of the finished blocks.
        miner: what is mined.
        progress: show a bar.
    """
    numbers = [*miner.pool.blocks()]
    probe = range(min(_PROBE, len(miner.pool.questions)))
    expected = _packed(miner.mine(probe))
    with Crew(MiningRecipe.of(miner), blocks, probe, expected, progress=progress) as crew:
        keys = [[*map(str, block), "counts"] for block in numbers]
        yield from map(_unpacked, crew.do(keys, numbers))


def _packed(mined: MinedBlock) -> list[str]:
    """Return the negatives and suspects of each question, and after them the counts."""
    values: list[Any] = [
        [[astuple(n) for n in of_question] for of_question in pair]
        for pair in zip(mined.chosen, mined.suspects, strict=True)
    ]
    return [json.dumps(value, ensure_ascii=False) for value in [*values, mined.counts]]


def _unpacked(values: Sequence[str]) -> MinedBlock:
    *rows, counts = (parse_json(value.encode(), _MOST_VALUES) for value in values)
    chosen, suspects = (
        [[Negative(*fields) for fields in row[part]] for row in rows] for part in (0, 1)
    )
    return MinedBlock(chosen, suspects, counts)
