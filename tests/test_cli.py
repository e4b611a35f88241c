import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from conftest import run
from test_store import snapshot

from dotbogi.cli import main
from dotbogi.commands.defaults import DefaultedOption, default_of
from dotbogi.indexes.tables import SAMPLE_PATH

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: click.Group, path: str = "dotbogi") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        inner = f"{path} {name}"
        found += (
            commands(command, inner) if isinstance(command, click.Group) else [(inner, command)]
        )
    return found


@pytest.mark.parametrize(("name", "command"), commands(main))
def test_every_command_has_help_with_examples_and_is_in_the_readme(
    name: str, command: click.Command
) -> None:
    assert command.help
    assert f"\b\n{name}" in inspect.cleandoc(command.help)
    speaks_json = name == "dotbogi mcp"  # and nothing else
    assert speaks_json or any(option.name == "as_json" for option in command.params)
    assert name in README


def test_help_shows_the_defaults_of_the_code() -> None:
    """Read from the source without importing it; here beside what the import says."""
    seen = 0
    for name, command in commands(main):
        for option in command.params:
            if not isinstance(option, DefaultedOption):
                said = getattr(option, "help", None) or ""
                assert not re.search(r"default:? \d", said), f"{name} {option.name}"
                continue
            settings = option.setting
            for setting in [settings] if isinstance(settings, str) else settings.values():
                module, _, path = setting.partition(":")
                found: Any = importlib.import_module(f"dotbogi.{module}")
                *classes, field = path.split(".")
                for class_name in classes:
                    found = getattr(found, class_name)()
                assert default_of(setting) == getattr(found, field), f"{name} {option.name}"
                seen += 1
    assert seen > 30


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['dotbogi', '--help']\nimport dotbogi.cli as cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'faiss', 'kiwipiepy', 'transformers', 'pyarrow', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_query_on_the_default_model_imports_no_torch(tmp_path: Path, pairs_csv: Path) -> None:
    assert run("index", pairs_csv, "-w", tmp_path / "w").exit_code == 0
    code = (
        f"import sys; sys.argv = ['dotbogi', 'query', '배고프다', '-w', {str(tmp_path / 'w')!r}]\n"
        "import dotbogi.cli as cli\ntry: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'pandas', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "맛있는 걸 챙겨 드세요." in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_untrained_sample_understands_a_typing_it_has_never_seen(tmp_path: Path) -> None:
    indexed = json.loads(run("index", "-w", tmp_path / "w", "--json").stdout)
    assert indexed["rows"] == {"read": 2428, "kept": 2428, "merged": 0, "skipped": {}}
    found = json.loads(run("query", "배가 고파요", "-w", tmp_path / "w", "--json").stdout)
    sample = pd.read_csv(SAMPLE_PATH)
    (expected,) = sample[sample.question == "배고프다"].answer
    assert found["hits"][0]["text"] == expected
    assert found["generation"] == "000001"
    assert {"rank", "score"} == set(found["hits"][0]["signals"]["bm25.joined"])


def test_query_where_keeps_to_the_metadata_asked_for(tmp_path: Path) -> None:
    w = tmp_path / "w"
    table = tmp_path / "t.csv"
    table.write_text(
        "question,answer,category,lang\n며칠 걸려요,이틀 걸립니다,배송,ko\n"
        "며칠이나 걸려요,사흘 걸립니다,환불,ko\n며칠 걸립니까,나흘 걸립니다,수리,en\n",
        encoding="utf-8",
    )
    run("index", table, "-w", w, "--model", "starter")

    def texts(*where: str) -> set[str]:
        options = [word for each in where for word in ("--where", each)]
        found = run("query", "며칠 걸려요", "-w", w, "--json", "--explain", *options)
        hits = json.loads(found.stdout)["hits"]
        for hit in hits:  # explained with the same filter
            parts = sum(hit["explanation"]["parts"].values())
            assert parts == pytest.approx(hit["score"], abs=1e-3)
        return {hit["text"] for hit in hits}

    assert texts("category=배송") == {"이틀 걸립니다"}
    assert texts("category=배송", "category=수리") == {"이틀 걸립니다", "나흘 걸립니다"}
    assert texts("category=배송", "lang=en") == set()
    assert len(texts()) == 3
    assert run("query", "며칠", "-w", w, "--where", "category=없음").output == "no answer found\n"
    refused = run("query", "며칠", "-w", w, "--where", "배송")
    assert refused.exit_code == 2
    assert "expected FIELD=VALUE" in refused.output


def test_index_prints_counts_that_add_up(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Q,A\n가나,밥 드세요\n가나,밥 드세요\n다라,\n,국 드세요\n")
    result = run("index", table, "-w", tmp_path / "w")
    assert "rows: 4 read = 2 kept + 1 merged + 1 skipped" in result.output
    assert "skipped 1: the answer is blank" in result.output
    assert "collection: 2 answers, 1 known questions" in result.output


def test_evaluate_history_and_rollback(tmp_path: Path, pairs_csv: Path) -> None:
    w = tmp_path / "w"
    for _ in range(2):
        assert run("index", pairs_csv, "-w", w).exit_code == 0
    measured = run("evaluate", pairs_csv, "-w", w, "--out", tmp_path / "trec", "--json")
    report = json.loads(measured.stdout)
    assert report["queries"] == 9
    assert set(report["metrics"]) == {"bm25", "dense", "hybrid"}
    for method in report["metrics"]:
        assert (tmp_path / "trec" / method / "run.trec").read_text().startswith("q")
    assert "* 000002" in run("history", "list", "-w", w).output
    assert run("history", "rollback", "-w", w).output == "published generation 000001\n"
    assert "* 000001" in run("history", "list", "-w", w).output
    assert run("history", "verify", "-w", w).output.count("all as published") == 2

    (w / "generations" / "000001" / "answers.parquet").write_bytes(b"")
    verified = run("history", "verify", "-w", w)
    assert verified.exit_code == 3
    assert "answers.parquet: 0 bytes, expected" in verified.stdout
    assert "000002: " in verified.stdout
    assert "damaged, 1 of 5 parts: 000001" in verified.stderr
    assert run("query", "배고프다", "-w", w).exit_code == 3
    (w / "CURRENT").write_text("garbage")
    assert "000002" in run("history", "list", "-w", w).stdout
    assert run("history", "rollback", "-w", w).stdout == "published generation 000002\n"
    (w / "CURRENT").write_text("000009")
    gone = run("query", "배고프다", "-w", w)
    assert gone.exit_code == 3
    assert "dotbogi history rollback" in gone.stderr


def test_without_a_table_a_workspace_keeps_its_own_collection(
    tmp_path: Path, pairs_csv: Path
) -> None:
    w = tmp_path / "w"
    assert run("index", pairs_csv, "-w", w, "--bm25", "rank-bm25").exit_code == 0
    again = json.loads(run("index", "-w", w, "--dense", "hnsw", "--json").stdout)
    assert again["counts"] == {"answers": 8, "questions": 9}
    kinds = {name: again["index"][name] for name in ("analyzer", "bm25", "dense")}
    assert kinds == {"analyzer": "kiwi", "bm25": "rank-bm25", "dense": "hnsw"}
    assert again["dense_recall"] == {"answer": 1, "question": 1, "whole": 1}
    assert "recall@10 1.00 of exact search" in run("index", "-w", w).stdout
    other = json.loads(run("index", "-w", w, "--model", "starter", "--json").stdout)
    assert other["index"] == again["index"]
    assert json.loads(run("evaluate", "-w", w, "--json").stdout)["queries"] == 9


def test_a_blank_query_finds_nothing_whatever_the_prompt(tmp_path: Path, pairs_csv: Path) -> None:
    w = tmp_path / "w"
    run("index", pairs_csv, "-w", w, "--model", "starter", "--query-prompt", "query: ")
    assert run("query", "  ", "-w", w).output == "no answer found\n"
    assert "맛있는 걸" in run("query", "배고프다", "-w", w).output


def bad_inputs(folder: Path) -> dict[str, tuple[list[object], int, str]]:
    files = {
        "header.csv": b"name,age\nx,1\n",
        "empty.csv": b"",
        "blank.csv": "Q,A\n배고프다,\n졸려, \n".encode(),
        "bytes.csv": b"Q,A\nx,y\n\xff\xfe\xfa,y\n",
        "one.csv": "Q,A\n배고프다,밥 드세요\n".encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"model_type": "bert"}')
    return {
        "no such file": (["index", folder / "nowhere.csv"], 2, "no such file"),
        "no usable columns": (
            ["index", folder / "header.csv"],
            2,
            "'name', 'age'. Name it with --a",
        ),
        "an empty table": (["index", folder / "empty.csv"], 1, "the table is empty"),
        "blank answers": (["index", folder / "blank.csv"], 1, "the answer is blank"),
        "undecodable bytes": (["index", folder / "bytes.csv"], 3, "bytes.csv, line 3: byte 0xff"),
        "no weights": (["index", folder / "one.csv", "--model", folder / "model"], 3, "no weights"),
        "training on one row": (["train", folder / "one.csv"], 1, "too few to train"),
        "resuming nothing": (["train", "--resume"], 2, "no run to resume"),
        "a model option without a model": (["index", "--query-prompt", "q"], 2, "needs --model"),
        "columns without a table": (["train", "--question-column", "x"], 2, "need a TABLE"),
        "a bad quota": (["train", folder / "one.csv", "--negatives", "web:3"], 2, "SOURCE:COUNT"),
        "a temperature of zero": (["train", "--temperature", "0"], 2, "temperature"),
        "two bounds": (["train", "--bound", "0.9", "--no-bound"], 2, "at most one"),
        "an objective that an adapter cannot run": (
            ["train", "--fit", "adapter", "--objective", "cached-mnr"],
            2,
            "--objective cached-mnr needs --fit full",
        ),
        "a guide that is not there": (
            ["train", "--objective", "gist", "--guide", folder / "gone"],
            2,
            "no such model folder",
        ),
        "a setting of another objective": (["train", "--guide", "starter"], 2, "gist"),
        "scores without a table": (["train", "--objective", "cosine"], 2, "needs a TABLE"),
        "scores that are not there": (
            ["train", folder / "one.csv", "--objective", "cosine"],
            2,
            "--score-column",
        ),
        "a round of scored pairs": (
            ["train", folder / "one.csv", "--objective", "cosine", "--rounds", "2"],
            2,
            "--rounds d",
        ),
    }


@pytest.mark.parametrize("indexed", [False, True], ids=["new workspace", "indexed workspace"])
@pytest.mark.parametrize("case", [
    "no such file", "no usable columns", "an empty table", "blank answers", "undecodable bytes",
    "no weights", "training on one row", "resuming nothing", "a model option without a model",
    "a bad quota", "two bounds", "columns without a table", "a temperature of zero",
    "an objective that an adapter cannot run", "a guide that is not there",
    "a setting of another objective", "scores without a table", "scores that are not there",
    "a round of scored pairs",
])  # fmt: skip
def test_bad_input_is_one_clear_line_and_an_untouched_workspace(
    tmp_path: Path, pairs_csv: Path, case: str, indexed: bool
) -> None:
    w = tmp_path / "w"
    if indexed:
        assert run("index", pairs_csv, "-w", w).exit_code == 0
    before = snapshot(w)
    arguments, exit_code, message = bad_inputs(tmp_path)[case]
    result = run(*arguments, "-w", w)
    error = result.stderr.strip().splitlines()[-1]
    if "Usage:" not in result.stderr:  # click's own errors show the usage first
        # Above it, at most notes on how the table was read.
        others = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
        assert others == [error]
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert error.startswith("Error: ")
    assert message in error
    assert snapshot(w) == before
    assert w.exists() == indexed


def test_a_query_before_the_first_index_says_what_to_run(tmp_path: Path) -> None:
    result = run("query", "배고프다", "-w", tmp_path / "w")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "nothing is indexed here yet" in result.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.slow
def test_the_recipe_people_know_is_one_command(tmp_path: Path, tiny_bert: Path) -> None:
    # A Parquet table with Q and answer, a plain BERT folder, mean pooling, 128/32/4.
    sample = pd.read_csv(SAMPLE_PATH).head(240)
    table = tmp_path / "pairs.parquet"
    pd.DataFrame({"Q": sample.question, "answer": sample.answer}).to_parquet(table)
    w = tmp_path / "w"
    result = run(
        "train", table, "--model", tiny_bert, "--max-seq-length", "32", "--batch-size", "32",
        "--epochs", "4", "--rounds", "1", "-w", w, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["rounds"]) == 2
    model = w / "generations" / "000001" / "model"
    pooling = json.loads((model / "1_Pooling" / "config.json").read_text())
    assert pooling["pooling_mode"] == "mean" or pooling["pooling_mode_mean_tokens"]
    assert not list(model.rglob("*.bin"))
    assert run("query", "배고프다", "-w", w).exit_code == 0


def test_a_file_of_queries_is_searched_line_by_line(tmp_path: Path, pairs_csv: Path) -> None:
    workspace, asked, out = (tmp_path / name for name in ("w", "asked.txt", "hits.jsonl"))
    assert run("index", pairs_csv, "-w", workspace).exit_code == 0
    asked.write_text("배고프다\r\n\n배고프다\n", encoding="utf-8-sig")
    search = ("query", "-w", workspace, "--from", asked)
    assert "3 queries" in run(*search, "--out", out).output
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    alone = json.loads(run("query", "배고프다", "-w", workspace, "--json").output)
    assert lines[0].keys() == alone.keys()
    # The last bits of a vector depend on what is encoded with it.
    ids = [[hit["answer_id"] for hit in line["hits"]] for line in (*lines, alone)]
    assert ids[0] == ids[2] == ids[3]
    assert len(ids[0]) == 5
    assert (lines[1]["query"], lines[1]["hits"]) == ("", [])
    for arguments in (search, (*search, "--out", out, "배고프다"), ("query", "-w", workspace)):
        assert run(*arguments).exit_code == 2
    asked.write_bytes(b"\xb9\xe8\n")
    assert "UTF-8" in run(*search, "--out", out).output
