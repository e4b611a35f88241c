import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ANSWERS, QUESTIONS, LetterEncoder, run
from engine_exports import Exported, exported, sample_part
from opensearch_rules import Rules

from dotbogi.indexes.collection import Answer, Collection
from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.search import IndexConfig, Searcher
from dotbogi.search.engines import ENGINES, EngineQueries, export_to, fill, write
from dotbogi.search.fusion import FusionWeights
from dotbogi.search.index import build_index

LISTED = 100  # answers that each signal lists at most


@pytest.fixture(scope="module")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """With the default weights, of which OpenSearch can express all."""
    out = tmp_path_factory.mktemp("exports") / "opensearch"
    return exported("opensearch", out, sample_part(LISTED - 10, 4), FusionWeights())


def documents(folder: Path) -> list[dict[str, object]]:
    lines = [
        json.loads(line)
        for path in sorted((folder / "bulk").iterdir())
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert [line["index"]["_id"] for line in lines[::2]] == [str(i) for i in range(len(lines) // 2)]
    return lines[1::2]


def test_opensearchs_rules_give_the_scores_of_dotbogi(opensearch: Exported) -> None:
    """By its documentation; the collection is small, so no list lacks an answer."""
    answers = documents(opensearch.folder)
    rules = Rules(opensearch.read("index"), answers)
    queries, pipeline = opensearch.opened(), opensearch.read("pipeline")
    template = opensearch.read("query")
    compared = 0
    for text in opensearch.queries:
        values = queries.values(text)
        found = rules.search(fill(template, values), pipeline)
        ours = opensearch.fused(text)
        for one, score in found.items():
            assert score == pytest.approx(ours[answers[one]["answer_id"]], abs=2e-3), text
        assert [answers[one]["answer_id"] for one in found][:3] == list(ours)[:3], text
        for signal, query in {
            "bm25.answer": {"match": {"tokens": {"query": "{{tokens}}"}}},
            "bm25.question": {
                "nested": {"path": "questions", "score_mode": "max", "query": {
                    "match": {"questions.tokens": {"query": "{{tokens}}"}}}}
            },
            "bm25.joined": template["query"]["hybrid"]["queries"][0],
        }.items():  # fmt: skip
            theirs = rules.scores(fill(query, values))
            best = opensearch.signals(text)[signal]
            assert {answers[one]["answer_id"] for one in theirs} == set(best)
            for one, score in theirs.items():
                compared += 1
                assert score == pytest.approx(best[answers[one]["answer_id"]], rel=1e-5)
    assert compared > 300, f"{compared} BM25 scores of {len(opensearch.queries)} queries"


def test_opensearchs_weights_add_up_to_one_whatever_was_fitted(tmp_path: Path) -> None:
    weights = FusionWeights(
        bm25_answer=1, bm25_question=1, bm25_joined=1, bm25_best=1, dense_answer=1,
        dense_question=1, dense_best=0, dense_whole=1,
    )  # fmt: skip
    out = exported("opensearch", tmp_path / "o", sample_part(5, 1), weights)
    (step,) = out.read("pipeline")["phase_results_processors"]
    parts = step["normalization-processor"]["combination"]["parameters"]["weights"]
    assert parts == [0.142857, 0.428571, 0.285714, 0.142858]
    assert round(sum(parts), 12) == 1


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspaces")
    lines = [f"{question},{ANSWERS[answer_id]}" for question, answer_id in QUESTIONS]
    (folder / "pairs.csv").write_text("\n".join(["question,answer", *lines]), encoding="utf-8")
    run("index", folder / "pairs.csv", "-w", folder / "w")
    return folder / "w"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_command_writes_requests(tmp_path: Path, workspace: Path, engine: str) -> None:
    w, out = workspace, tmp_path / "out"
    said = run("export", out, "--to", engine, "-w", w)
    assert said.exit_code == 0, said.output
    assert said.stdout == (
        f"generation 000001: 8 answers, 9 known questions, in 1 requests for {engine}, in {out}\n"
    )
    facts = json.loads((out / "export.json").read_text())
    assert (facts["engine"], facts["generation"]) == (engine, "000001")
    again = run("export", out, "--to", engine, "-w", w)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    report = json.loads(run("export", out, "--to", engine, "--force", "-w", w, "--json").stdout)
    assert report == {"out": str(out), **facts}
    queries = EngineQueries.open(out, Searcher.open(w))
    assert len(queries.values("배송 언제 와요")["vector"]) == 32
    assert run("export", out, "--to", engine, "--format", "csv", "-w", w).exit_code == 2


def test_only_such_an_export_is_replaced(tmp_path: Path) -> None:
    index = build_index(sample_part(3, 1), LetterEncoder())
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "diary.txt").write_text("")
    with pytest.raises(UsageError, match="is no export for an engine, and is not replaced"):
        export_to("qdrant", index, "000001", tmp_path / "home", force=True)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["diary.txt"]


def test_a_failed_export_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, index = tmp_path / "out", build_index(sample_part(3, 1), LetterEncoder())
    export_to("qdrant", index, "000001", out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write_file", full)
    with pytest.raises(OSError, match="No space"):
        export_to("qdrant", index, "000002", out, force=True)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert list(tmp_path.iterdir()) == [out]


def test_large_exports_are_several_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = sample_part(12, 2)
    index = build_index(collection, LetterEncoder())
    monkeypatch.setattr(write, "_MOST_BYTES", 20_000)
    for engine, folder in [("qdrant", "points"), ("opensearch", "bulk")]:
        written = export_to(engine, index, "000001", tmp_path / engine)  # type: ignore[arg-type]
        parts = sorted((tmp_path / engine / folder).iterdir())
        assert len(parts) == written.requests > 1
        assert max(part.stat().st_size for part in parts) < 21_000
    assert len(documents(tmp_path / "opensearch")) == 12


def test_an_index_by_rank_bm25_is_refused(tmp_path: Path) -> None:
    index = build_index(sample_part(3, 1), LetterEncoder(), IndexConfig(bm25="rank-bm25"))
    with pytest.raises(UsageError, match="Index it again: dotbogi index TABLE --bm25 bm25s"):
        export_to("qdrant", index, "000001", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_queries_are_encoded_by_the_exported_generation_alone(tmp_path: Path) -> None:
    export = exported("qdrant", tmp_path / "q", sample_part(8, 2))
    other = build_index(sample_part(9, 2), LetterEncoder(), IndexConfig(tolerance="none"))
    with pytest.raises(UsageError, match="exported from generation 000001; generation 000002 has"):
        EngineQueries.open(export.folder, Searcher(other, "000002"))
    (export.folder / "export.json").write_text("{}")
    with pytest.raises(DamagedError, match="Export again"):
        export.opened()


@pytest.mark.parametrize("engine", ENGINES)
def test_collections_without_questions_or_tokens_are_exported(tmp_path: Path, engine: str) -> None:
    collection = Collection([Answer("a", "!"), Answer("b", "?", {"분류": "배송"})], [])
    export = exported(engine, tmp_path / "out", replace(collection))
    values = export.opened().values("배송")
    assert len(values["vector"]) == LetterEncoder.dim
    assert export.read("export")["answers"] == 2
