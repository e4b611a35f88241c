"""Block files: read back as they were, or not at all."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dotbogi.search.cluster.blocks import Block, BlockFolder, pack

KEYS = ["one", "two", "", "셋"]
VALUES = ["1", "", "둘", "\x00\n" * 99]


@pytest.fixture
def folder(tmp_path: Path) -> BlockFolder:
    return BlockFolder(tmp_path / "blocks")


def test_a_block_is_read_back_as_it_was_written_however_often(folder: BlockFolder) -> None:
    block = Block.of("recipe", KEYS, None)
    assert folder.read(block) is None
    for _ in range(2):
        folder.write(block, pack(KEYS, VALUES))
    assert folder.read(block) == VALUES
    assert len([*folder.folder.iterdir()]) == 1


def test_a_block_of_many_equal_values_is_read_back(folder: BlockFolder) -> None:
    keys, values = [*map(str, range(512))], ["a" * 70_000] * 512
    block = Block.of("recipe", keys, None)
    folder.write(block, pack(keys, values))
    assert folder.read(block) == values


def test_every_other_recipe_or_key_is_another_block() -> None:
    blocks = [
        Block.of(recipe, keys, None).name
        for recipe in ("one", "other")
        for keys in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"])
    ]
    assert len({*blocks}) == 8


def test_every_damaged_byte_of_a_block_is_noticed(folder: BlockFolder) -> None:
    block = Block.of("recipe", KEYS, None)
    folder.write(block, whole := pack(KEYS, VALUES))
    [path] = folder.folder.iterdir()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        assert folder.read(block) is None, place
    path.write_bytes(whole[:-1])
    assert folder.read(block) is None


@pytest.mark.parametrize("kind", ["link", "more rows", "other rows", "no texts", "no Parquet"])
def test_a_file_that_is_no_block_is_as_if_it_were_not_there(folder: BlockFolder, kind: str) -> None:
    block = Block.of("recipe", KEYS, None)
    keys = {"more rows": [*KEYS, "three"], "other rows": [*KEYS[1:], "three"]}.get(kind, KEYS)
    buffer = pa.BufferOutputStream()
    values = [1, 2, 3, 4] if kind == "no texts" else ["1"] * len(keys)
    pq.write_table(pa.table({"key": keys, "value": values}), buffer)
    folder.write(block, b"PAR1" if kind == "no Parquet" else bytes(buffer.getvalue()))
    if kind == "link":
        [path] = folder.folder.iterdir()
        path.rename(elsewhere := folder.folder.parent / "elsewhere")
        path.symlink_to(elsewhere)
    assert folder.read(block) is None
