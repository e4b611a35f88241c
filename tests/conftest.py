import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result
from forked_commands import ForkedCommands, forked_commands
from hypothesis import settings
from tiny_model import write_tiny_model

from dotbogi.cli import main
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.dense import Vectors
from dotbogi.search.encoders import unit_rows
from dotbogi.search.models import STARTER_FOLDER

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Haystack reads it when it is imported, and tells posthog of every pipeline otherwise.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Shared machines stall: a slow example is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

ANSWERS = {
    "a1": "맛있는 걸 챙겨 드세요.",
    "a2": "푹 쉬면 나아질 거예요.",
    "a3": "배송은 이틀이면 도착합니다.",
    "a4": "환불은 사흘 안에 됩니다.",
    "a5": "비밀번호는 설정에서 바꿉니다.",
    "a6": "예약은 하루 전까지 취소됩니다.",
    "a7": "오늘은 우산을 챙기세요.",
    "a8": "Wi-Fi 5G 설정을 켜 주세요.",
}
QUESTIONS = [
    ("배고프다", "a1"),
    ("배가 너무 고픈데", "a1"),
    ("피곤해 죽겠다", "a2"),
    ("택배 언제 와요", "a3"),
    ("환불 언제 되나요", "a4"),
    ("비번 까먹음", "a5"),
    ("예약 취소할래요", "a6"),
    ("밖에 비 오네", "a7"),
    ("wifi 안 터져요", "a8"),
]


class LetterEncoder:
    """Counts letters: simple enough to recompute by hand, and equal texts get equal vectors."""

    dim = 64
    fingerprint = "letters"

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        self.encoded.extend(texts)
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for letter in text.replace(" ", ""):
                vectors[row, ord(letter) % self.dim] += 1
        return unit_rows(vectors)

    def encode_answers(self, texts: Sequence[str]) -> Vectors:
        return self.encode_queries(texts)


def run(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def collection() -> Collection:
    return Collection(
        [Answer(key, text) for key, text in ANSWERS.items()],
        [KnownQuestion(text, answer_id) for text, answer_id in QUESTIONS],
    )


@pytest.fixture
def encoder() -> LetterEncoder:
    return LetterEncoder()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder of a small random BERT."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _tiny_starter(tiny_model: Path) -> Iterator[None]:
    """Let the tiny model stand for the starter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dotbogi.search.models.STARTER_FOLDER", tiny_model)
        yield


@pytest.fixture(autouse=True)
def _real_starter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give tests marked `starter` the bundled model after all."""
    if request.node.get_closest_marker("starter"):
        monkeypatch.setattr("dotbogi.search.models.STARTER_FOLDER", STARTER_FOLDER)


@pytest.fixture(scope="session")
def commands(tiny_model: Path) -> Iterator[ForkedCommands]:
    """The command line, in processes that start at once; the tiny model is the starter."""
    with forked_commands(tiny_model) as process:
        yield process


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder in memory, if there is one: a flush there takes no time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def pairs_csv(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    lines = [f"{question},{ANSWERS[answer_id]}" for question, answer_id in QUESTIONS]
    path.write_text("\n".join(["question,answer", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def tiny_bert(tmp_path: Path) -> Path:
    """A plain BERT folder as hubs have it: config.json, vocab.txt, model.safetensors."""
    import torch
    from transformers import BertConfig, BertModel

    letters = sorted({letter for text in [*ANSWERS.values(), *dict(QUESTIONS)] for letter in text})
    pieces = [piece for letter in letters if letter.strip() for piece in (letter, f"##{letter}")]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    folder = tmp_path / "tiny-bert"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).eval().save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")  # it has an event loop, which other modules' tests must not meet
def browser() -> "Iterator[Browser]":
    """Debian's Chromium; a test that needs it is skipped without it, unless it is required."""
    if not CHROMIUM.is_file() and os.environ.get("DOTBOGI_REQUIRE_BROWSER") != "1":
        pytest.skip(f"{CHROMIUM} is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield browser
        browser.close()
