"""A generation is what its manifest lists, and nothing beside it is opened."""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.indexes.manifest import Generation
from dotbogi.indexes.store import Workspace
from dotbogi.search import ModelConfig, Searcher, index_collection

FILE = "answers.parquet"


@pytest.fixture
def workspace(tmp_path: Path, collection: Collection) -> Workspace:
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {})
    return place


def rewrite(generation: Generation, **entries: Any) -> None:
    """Change entries of a manifest and give it the digest that fits."""
    manifest = {**generation.manifest, **entries}
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (generation.folder / "manifest.json").write_text(json.dumps({**manifest, "digest": digest}))


@pytest.mark.parametrize(
    "name",
    ["tokens.parquet", "bm25.answer/tokens.parquet", "removed_answers.parquet", "model/more.txt",
     "encoder/model.onnx.data", "model/extra.safetensors", ".hidden"],
)  # fmt: skip
def test_a_file_that_is_not_listed_is_refused(workspace: Workspace, name: str) -> None:
    (workspace.current().folder / name).write_bytes(b"")
    with pytest.raises(DamagedError, match=f"{name}: was not published"):
        Searcher.open(workspace.folder)


def test_a_file_that_only_its_manifest_lacks_is_refused(workspace: Workspace) -> None:
    generation = workspace.current()
    for name in ("calibration.json", "geometry.safetensors", "bm25.joined/params.index.json"):
        files = {key: value for key, value in generation.manifest["files"].items() if key != name}
        rewrite(generation, files=files)
        with pytest.raises(DamagedError, match=f"{name}: was not published"):
            workspace.current()


SIZED = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}


@pytest.mark.parametrize(
    "files",
    [None, {}, [], "x", {FILE: 1}, {FILE: {}}, {FILE: {"size": 1}}, {"/dev/null": SIZED},
     {"../000001/answers.parquet": SIZED}, {"./answers.parquet": SIZED}, {"a//b": SIZED},
     {"a/": SIZED}, {"": SIZED}, {".": SIZED}, {"..": SIZED}, {"a/../b": SIZED},
     {"a\0": SIZED}, {"a\nb": SIZED}, {"manifest.json": SIZED}],
)  # fmt: skip
def test_a_list_of_no_files_or_of_files_elsewhere_is_refused(
    workspace: Workspace, files: object
) -> None:
    rewrite(workspace.current(), files=files)
    with pytest.raises(DamagedError, match=r"manifest\.json: lists"):
        workspace.current()


def link(path: Path) -> None:
    other = path.parent.parent.parent / "elsewhere"
    path.rename(other)
    path.symlink_to(other)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_socket(path: Path) -> None:
    path.unlink()
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [link, device, fifo, folder, a_socket])
@pytest.mark.parametrize("name", [FILE, "manifest.json", "model/model.safetensors"])
def test_only_regular_files_are_opened(
    workspace: Workspace, kind: Callable[[Path], None], name: str
) -> None:
    path = workspace.current().folder / name
    kind(path)
    with pytest.raises(DamagedError, match=path.name):
        workspace.current()
    with pytest.raises(DamagedError):
        workspace.generation("000001")
    with pytest.raises(DotbogiError):
        Searcher.open(workspace.folder)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [link, device, fifo, folder, a_socket])
def test_a_current_that_is_no_regular_file_is_refused(
    workspace: Workspace, kind: Callable[[Path], None]
) -> None:
    kind(workspace.folder / "CURRENT")
    with pytest.raises(DamagedError, match="CURRENT"):
        workspace.current()


def test_a_folder_that_is_a_link_is_no_generation(workspace: Workspace) -> None:
    folder = workspace.current().folder
    moved = folder.rename(folder.parent.parent / "elsewhere")
    folder.symlink_to(moved)
    with pytest.raises(DamagedError, match="000001 is missing"):
        workspace.current()


def test_a_folder_inside_that_is_a_link_is_refused(workspace: Workspace) -> None:
    model = workspace.current().folder / "model"
    model.symlink_to(model.rename(workspace.folder / "elsewhere"))
    with pytest.raises(DamagedError, match="missing"):
        workspace.current()


def test_a_generation_under_another_name_is_refused(
    workspace: Workspace, collection: Collection
) -> None:
    folder = workspace.current().folder
    shutil.copytree(folder, folder.parent / "000002")
    with pytest.raises(DamagedError, match="000002: holds generation 000001 under another name"):
        workspace.roll_back("000002")
    assert workspace.manifests()["000002"] is None
    assert index_collection(workspace, collection, {}).name == "000003"


@pytest.mark.parametrize("name", ["7", "１２３４５６", "0000001"])
def test_other_names_are_no_generations(workspace: Workspace, name: str) -> None:
    (workspace.generations_folder / name).mkdir()
    assert workspace.names() == ["000001"]
    (workspace.folder / "CURRENT").write_text(name)
    with pytest.raises(DamagedError, match="does not name a generation"):
        workspace.current()


def test_sizes_are_compared_before_any_digest(workspace: Workspace) -> None:
    generation = workspace.current()
    first, last = sorted(generation.manifest["files"])[:: len(generation.manifest["files"]) - 1]
    (generation.folder / first).write_bytes(bytes(len((generation.folder / first).read_bytes())))
    with (generation.folder / last).open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(DamagedError, match=f"{last}: 1099511627776 bytes, expected"):
        workspace.current()


@pytest.mark.parametrize("name", ["README.md", "notes.txt", "1_Pooling/more.json"])
def test_a_link_out_of_a_model_folder_is_refused(
    tmp_path: Path, collection: Collection, tiny_model: Path, name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a password")
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / name).symlink_to(secret)
    with pytest.raises(DotbogiError, match="outside the model"):
        index_collection(
            Workspace(tmp_path / "w"), collection, {}, model=ModelConfig(name=str(model))
        )
    assert not (tmp_path / "w").exists()


@pytest.mark.timeout(60)
def test_a_fifo_in_a_model_folder_is_refused(
    tmp_path: Path, collection: Collection, tiny_model: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    os.mkfifo(model / "README.md")
    with pytest.raises(DamagedError, match=r"README\.md: not a regular file"):
        index_collection(
            Workspace(tmp_path / "w"), collection, {}, model=ModelConfig(name=str(model))
        )


def test_a_model_in_the_cache_of_the_hub_links_to_its_blobs(
    tmp_path: Path, collection: Collection, tiny_model: Path
) -> None:
    repository = tmp_path / "models--ko--tiny"
    snapshot = repository / "snapshots" / "0123"
    shutil.copytree(tiny_model, snapshot)
    (repository / "blobs").mkdir()
    for path in [path for path in snapshot.rglob("*") if path.is_file()]:
        blob = path.rename(
            repository / "blobs" / path.relative_to(snapshot).as_posix().replace("/", "-")
        )
        path.symlink_to(os.path.relpath(blob, path.parent))
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {}, model=ModelConfig(name=str(snapshot)))
    assert not any(path.is_symlink() for path in place.current().folder.rglob("*"))
