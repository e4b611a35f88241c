import sys
from pathlib import Path

import pytest

from dotbogi.indexes import analysis
from dotbogi.indexes.analysis import tokenize_all
from dotbogi.indexes.analyzer import Analyzer

TEXTS = [f"{word} {number}번 삼김 배송" for number in range(60) for word in ("환불", "wifi")]


@pytest.fixture(autouse=True)
def few_texts_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "_ENOUGH", 10)
    monkeypatch.setattr(analysis, "_AT_ONCE", 16)
    monkeypatch.setattr(analysis, "cores", lambda: 2)


def test_processes_give_the_tokens_of_one_in_order() -> None:
    analyzer = Analyzer("kiwi", ("삼김/NNP",))
    tokens = tokenize_all(analyzer, TEXTS)
    assert tokens == analyzer.tokenize(TEXTS)
    assert "삼김/N" in tokens[0]


@pytest.mark.parametrize(
    "does", ["raise SystemExit", "sys.stdin.readline()", "print('[[]]', flush=True)"]
)
def test_without_its_processes_it_goes_on_alone(
    does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport sys\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert tokenize_all(Analyzer(), TEXTS) == Analyzer().tokenize(TEXTS)
    assert "going on without it" in caplog.text


def test_a_program_that_is_not_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert tokenize_all(Analyzer(), TEXTS) == Analyzer().tokenize(TEXTS)
