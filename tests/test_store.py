import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import LetterEncoder

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.errors import (
    DamagedError,
    DotbogiError,
    LockedError,
    ModelMismatchError,
    NoSpaceError,
    OldFormatError,
    UsageError,
)
from dotbogi.indexes.store import Workspace, read_manifest
from dotbogi.search import IndexConfig, ModelConfig, Searcher, index_collection
from dotbogi.search.confidence import FEATURES, Calibration
from dotbogi.search.fitted import Fitted
from dotbogi.search.fusion import FusionWeights
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import open_index
from dotbogi.search.models import copy_model
from dotbogi.search.publish import publish_index


@pytest.fixture
def workspace(tmp_path: Path, collection: Collection) -> Workspace:
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {})
    return place


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".dotbogi-lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_nothing_indexed_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DotbogiError, match=r"nothing is indexed here yet.*dotbogi index"):
        Searcher.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("bm25", ["bm25s", "rank-bm25"])
@pytest.mark.parametrize("dense", ["exact", "hnsw"])
def test_opened_generation_answers_like_the_built_one(
    tmp_path: Path, collection: Collection, bm25: str, dense: str
) -> None:
    from dotbogi.search.encoders import open_encoder
    from dotbogi.search.index import build_index

    changes = {"bm25": bm25, "dense": dense}
    config = IndexConfig(**changes)  # type: ignore[arg-type]
    generation = index_collection(Workspace(tmp_path / "w"), collection, {}, changes=changes)
    encoder = open_encoder(generation.folder)
    built = Searcher(build_index(collection, encoder, config), generation.name)
    queries = ["배가 고파요", "환불", "5g wifi", "xyz", ""]
    assert Searcher.open(tmp_path / "w").search_many(queries) == built.search_many(queries)


def test_any_changed_byte_is_noticed(workspace: Workspace) -> None:
    folder = workspace.current().folder
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole = path.read_bytes()
            for place in {0, len(whole) // 2, len(whole) - 1}:
                damaged = bytearray(whole)
                damaged[place] ^= 1
                path.write_bytes(damaged)
                with pytest.raises(DamagedError):
                    workspace.current()
            path.write_bytes(whole)
    workspace.current()


@pytest.mark.parametrize("file", ["dense.answer.faiss", "answers.parquet", "manifest.json"])
def test_missing_and_truncated_files_are_noticed(workspace: Workspace, file: str) -> None:
    path = workspace.current().folder / file
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DamagedError):
        workspace.current()
    path.unlink()
    with pytest.raises(DamagedError):
        workspace.current()


def test_a_generation_holds_only_safe_kinds_of_files(workspace: Workspace) -> None:
    files = workspace.current().manifest["files"]
    assert {Path(name).suffix for name in files} <= {
        ".json", ".parquet", ".npy", ".faiss", ".safetensors", ".onnx", ".txt", ".md",
    }  # fmt: skip


def test_open_refuses_an_index_of_another_model(workspace: Workspace) -> None:
    with pytest.raises(ModelMismatchError, match=r"32-dimensional.*dotbogi index"):
        open_index(workspace.current(), LetterEncoder())


def test_a_second_writer_is_refused_with_the_first_ones_number(workspace: Workspace) -> None:
    code = (
        "import sys, time; from dotbogi.indexes.store import Workspace\n"
        f"with Workspace({str(workspace.folder)!r}).writing():\n"
        "    print('locked', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(LockedError, match=f"process {other.pid}"), workspace.writing():
            pass
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    with workspace.writing():  # the lock died with its holder
        pass


def test_a_failed_index_leaves_no_trace(tmp_path: Path, collection: Collection) -> None:
    broken = Collection(collection.answers, [])
    broken.questions.append(type(collection.questions[0])("질문", "no such answer"))
    place = Workspace(tmp_path / "new" / "w")
    with pytest.raises(KeyError):
        index_collection(place, broken, {})
    assert list(tmp_path.iterdir()) == []

    index_collection(place, collection, {})
    before = snapshot(place.folder)
    with pytest.raises(KeyError):
        index_collection(place, broken, {})
    after = snapshot(place.folder)
    assert {k: v for k, v in after.items() if "cache" not in k} == {
        k: v for k, v in before.items() if "cache" not in k
    }


def test_a_folder_of_something_else_is_refused_and_left_alone(
    tmp_path: Path, collection: Collection
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "my-app.sqlite3").write_text("keep")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="not empty, and not a workspace"):
        index_collection(Workspace(tmp_path), collection, {})
    assert snapshot(tmp_path) == before
    with pytest.raises(UsageError, match="not a workspace"):
        Searcher.open(tmp_path / "cache" / "my-app.sqlite3")


def test_a_full_disk_publishes_nothing(
    workspace: Workspace, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import dotbogi.indexes.store

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = snapshot(workspace.folder)
    monkeypatch.setattr(dotbogi.indexes.store, "sync", full)
    with pytest.raises(NoSpaceError, match="the disk is full"):
        index_collection(workspace, collection, {})
    assert snapshot(workspace.folder) == before


def test_roll_back_publishes_the_parent_or_the_named_one(
    workspace: Workspace, collection: Collection
) -> None:
    index_collection(workspace, collection, {})
    index_collection(workspace, collection, {})
    assert workspace.current_name() == "000003"
    assert workspace.roll_back().name == "000002"
    assert workspace.roll_back("000001").name == "000001"
    with pytest.raises(UsageError, match="generation before 000001"):
        workspace.roll_back()
    with pytest.raises(UsageError, match="no generation '9'"):
        workspace.roll_back("9")
    index_collection(workspace, collection, {})
    assert workspace.current_name() == "000004"
    assert workspace.current().manifest["parent"] == "000001"


def test_roll_back_passes_over_damaged_generations(
    workspace: Workspace, collection: Collection
) -> None:
    for _ in range(3):
        index_collection(workspace, collection, {})
    for name in ("000003", "000004"):
        (workspace.generations_folder / name / "manifest.json").write_text("{")
    assert workspace.roll_back().name == "000002"
    assert Searcher.open(workspace.folder).search("배고프다")


def test_a_current_that_names_nothing_is_damage_with_a_mend(workspace: Workspace) -> None:
    (workspace.folder / "CURRENT").write_text("")
    with pytest.raises(DamagedError, match="dotbogi history rollback"):
        workspace.current()
    workspace.roll_back("000001")
    assert workspace.current().name == "000001"


def test_a_newer_format_is_refused_by_name(workspace: Workspace) -> None:
    import json

    path = workspace.current().folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(DotbogiError, match=r"format 99\b.*reads 5"):
        read_manifest(path.parent)


def test_a_reader_keeps_its_generation(workspace: Workspace, collection: Collection) -> None:
    searcher = Searcher.open(workspace.folder)
    before = searcher.search("배고프다")
    index_collection(workspace, Collection(collection.answers[:1], []), {})
    assert searcher.search("배고프다") == before
    assert Searcher.open(workspace.folder).generation == "000002"


def test_reindexing_keeps_the_model_a_workspace_has(
    workspace: Workspace, collection: Collection, tiny_model: Path
) -> None:
    named = index_collection(workspace, collection, {}, model=ModelConfig(name=str(tiny_model)))
    again = index_collection(workspace, Collection(collection.answers[:2], []), {})
    assert again.manifest["model_fingerprint"] == named.manifest["model_fingerprint"]


def test_the_lock_file_names_no_process_when_nobody_writes(workspace: Workspace) -> None:
    with workspace.writing():
        assert (workspace.folder / ".dotbogi-lock").read_text() == str(os.getpid())
    assert (workspace.folder / ".dotbogi-lock").read_text() == ""


def test_a_generation_of_an_older_format_is_named_and_can_be_built_anew(
    collection: Collection, tiny_model: Path, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    old = index_collection(place, collection, {}, model=ModelConfig(name=str(tiny_model)))
    path = old.folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) | {"format": 1}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(OldFormatError, match=r"format 1\b.*reads 5.*--model starter"):
        place.current()
    with pytest.raises(OldFormatError):
        index_collection(place, collection, {})
    new = index_collection(place, collection, {}, model=ModelConfig(name=str(tiny_model)))
    assert place.current().name == new.name


def test_what_a_trained_model_was_fitted_with_goes_on_with_an_update_and_not_with_another_table(
    collection: Collection, tiny_model: Path, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    model = ModelConfig(name=str(tiny_model))
    first = index_collection(place, collection, {}, model=model)
    calibration = Calibration(
        coefficients=dict.fromkeys(FEATURES, 0.0), intercept=0.0, threshold=0.9, source="a test"
    )
    fitted = Fitted(FusionWeights(bm25_joined=1.0, source="a test"), calibration)
    training = {"run": "run-0001", "round": 1, "kind": "adapter", "seed": 1, "objective": "mnr"}
    with place.writing():
        publish_index(
            place, collection, lambda staged: copy_model(first.folder, staged), IndexConfig(),
            {"model": asdict(model), "source": {}, "training": training, "run": "run-0001"},
            geometry=Geometry.open(first.folder), fitted=fitted,
        )  # fmt: skip
    more = Collection([*collection.answers, Answer("b1", "새 답변입니다.")], collection.questions)
    assert Fitted.open(index_collection(place, more, {}).folder) == fitted
    other = Collection([Answer("c1", "다른 답변입니다.")], [])
    assert Fitted.open(index_collection(place, other, {}).folder) == Fitted()


def test_an_untrained_index_fits_what_its_table_teaches(
    collection: Collection, tiny_model: Path, tmp_path: Path
) -> None:
    place = Workspace(tmp_path / "w")
    model = ModelConfig(name=str(tiny_model))
    few = index_collection(place, collection, {}, model=model)
    assert Fitted.open(few.folder) == Fitted()
    questions = [
        KnownQuestion(f"{question.text} {number}", question.answer_id)
        for question in collection.questions
        for number in range(8)
    ]
    many = index_collection(place, Collection(collection.answers, questions), {})
    fitted = Fitted.open(many.folder)
    assert fitted.weights.source == "72 known questions, each searched in an index without it"
    assert fitted.calibration.source == fitted.weights.source == many.manifest["confidence"]
