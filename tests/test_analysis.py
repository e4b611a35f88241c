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
    monkeypatch.setattr(analysis, "_EACH", 16)
    monkeypatch.setattr(analysis, "cores", lambda: 2)


def test_processes_give_the_tokens_of_one_in_order() -> None:
    analyzer = Analyzer("kiwi", ("삼김/NNP",))
    tokens = tokenize_all(analyzer, TEXTS)
    assert tokens == analyzer.tokenize(TEXTS)
    assert "삼김/N" in tokens[0]


@pytest.mark.parametrize(
    "does", ["raise SystemExit", "print('ready')", "print('ready', '[[]]', sep='\\n')"]
)
def test_without_its_processes_it_goes_on_alone(
    does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport sys\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert tokenize_all(Analyzer(), TEXTS) == Analyzer().tokenize(TEXTS)
    assert "goes on without them" in caplog.text


def test_modules_beside_the_table_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kiwipiepy.py").write_text("open('run', 'w').close()")
    monkeypatch.chdir(tmp_path)
    assert tokenize_all(Analyzer(), TEXTS) == Analyzer().tokenize(TEXTS)
    assert not (tmp_path / "run").exists()
    assert not caplog.text


@pytest.mark.parametrize("program", ["/no/such/python", None])
def test_a_program_that_is_not_there_is_no_error(
    program: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert tokenize_all(Analyzer(), TEXTS) == Analyzer().tokenize(TEXTS)
