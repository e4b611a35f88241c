"""A model folder that somebody else has made: data, never code, in bounded memory."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile_models
import numpy as np
import pytest
from conftest import ANSWERS, QUESTIONS, run
from effort import SOAK
from hostile import SECRET, Canary, check, edit, in_child, load_torch, some
from hostile_models import Change, setting
from safetensors.numpy import load_file, save_file
from tiny_model import write_tiny_model


class Place:
    """A sound model to make hostile ones of, a table, and what must never be touched."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.model = folder / "model"
        write_tiny_model(self.model)
        self.table = folder / "pairs.csv"
        lines = [f"{question},{ANSWERS[answer]}" for question, answer in QUESTIONS]
        self.table.write_text("\n".join(["question,answer", *lines]) + "\n", encoding="utf-8")
        self.canary, self.ran = folder / "canary", folder / "it-ran"
        self.canary.write_text(SECRET)
        self.index(self.model)  # a child has what its parent has loaded
        load_torch(self.model)

    def copy(self) -> Path:
        self.count += 1
        return Path(shutil.copytree(self.model, self.folder / f"model-{self.count}"))

    def index(self, model: Path, *options: object) -> Any:
        workspace = self.folder / "w"
        shutil.rmtree(workspace, ignore_errors=True)
        return run("index", self.table, "-w", workspace, "--model", model, *options)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("hostile"))
    yield made
    shutil.rmtree(made.folder)


def weights(change: Callable[[dict[str, Any]], Any]) -> Change:
    def shape(model: Path) -> None:
        tensors = load_file(model / "model.safetensors")
        save_file(change(tensors) or tensors, model / "model.safetensors")

    return shape


def one(name: str, change: Callable[[Any], Any]) -> Change:
    return weights(lambda tensors: {**tensors, name: change(tensors[name])})


def header(change: Callable[[dict[str, Any]], Any]) -> Change:
    def shape(model: Path) -> None:
        path = model / "model.safetensors"
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        stored = json.loads(data[8 : 8 + length])
        new = json.dumps(change(stored) or stored).encode()
        path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + length :])

    return shape


def put(file: str, data: bytes) -> Change:
    return lambda model: (model / file).write_bytes(data)


def linked(file: str, target: str = "canary") -> Change:
    def shape(model: Path) -> None:
        path = model / file
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(model.parent / target)

    return shape


def linked_folder(model: Path) -> None:
    elsewhere = model.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "config.json").write_text(SECRET)
    shutil.rmtree(model / "1_Pooling")
    (model / "1_Pooling").symlink_to(elsewhere)


def unpacked_bomb(model: Path) -> None:
    (model / "model.safetensors").unlink()
    with zipfile.ZipFile(model / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(800_000_000))


def old_pickle(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Canary()))


def dense(**values: Any) -> Change:
    """Add a dense layer behind the pooling."""

    def shape(model: Path) -> None:
        folder = model / "3_Dense"
        folder.mkdir()
        settings = {"in_features": 32, "out_features": 32, "bias": True, **values}
        (folder / "config.json").write_text(json.dumps(settings))
        save_file(
            {"linear.weight": np.eye(32, dtype="f4"), "linear.bias": np.zeros(32, "f4")},
            folder / "model.safetensors",
        )
        kind = "sentence_transformers.base.modules.dense.Dense"
        edit(
            model / "modules.json",
            lambda stored: [*stored, {"idx": 3, "name": "3", "path": "3_Dense", "type": kind}],
        )

    return shape


WORDS = "embeddings.word_embeddings.weight"
SHAPES: dict[str, Change] = {
    **hostile_models.CODE,
    **hostile_models.TOKENIZERS,
    # Links.
    **{f"a link in place of {file}": linked(file) for file in (
        "config.json", "modules.json", "tokenizer.json", "model.safetensors", "README.md",
        "notes.txt", "1_Pooling/config.json", "vocab.txt",
    )},
    "a link to /etc/passwd": lambda model: (model / "more.txt").symlink_to("/etc/passwd"),
    "a link to a device": lambda model: (model / "more.txt").symlink_to("/dev/zero"),
    "a link to nothing": linked("more.txt", "nothing"),
    "a link to nothing in the model": lambda model: (model / "more.txt").symlink_to("nothing"),
    "a link to itself": lambda model: (model / "more.txt").symlink_to("more.txt"),
    "a folder that is a link": linked_folder,
    "a fifo": lambda model: os.mkfifo(model / "more.json"),
    "a module's folder that leads out": lambda model: edit(
        model / "modules.json", lambda stored: [{**stored[0], "path": "../model"}, *stored[1:]]
    ),
    "a module's folder from the root": lambda model: edit(
        model / "modules.json", lambda stored: [{**stored[0], "path": "/etc"}, *stored[1:]]
    ),
    # JSON.
    **{f"{file}: {what}": put(file, data)
       for file in ("config.json", "modules.json", "config_sentence_transformers.json",
                    "1_Pooling/config.json", "tokenizer_config.json")
       for what, data in {
           "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
           "4,000,000 lists": b"[" + b"[]," * 4_000_000 + b"[]]",
           "a list": b"[1]",
           "not UTF-8": b'{"\xff": 1}',
           "nothing": b"",
       }.items()},
    "modules: 100,000 of them": lambda model: edit(
        model / "modules.json", lambda stored: stored * 30_000
    ),
    "modules: numbers": put("modules.json", b'[{"type": 1, "path": 2}]'),
    "config: heads that do not divide": setting("config.json", num_attention_heads=7),
    "config: no heads": setting("config.json", num_attention_heads=0),
    "config: minus one layer": setting("config.json", num_hidden_layers=-1),
    "config: more layers than weights": setting("config.json", num_hidden_layers=12),
    "config: 10^12 dimensions": setting("config.json", hidden_size=10**12),
    "config: a text for a number": setting("config.json", hidden_size="32; import os"),
    "config: a padding of 10^9": setting("config.json", model_type="roberta", pad_token_id=10**9),
    "config: an endless epsilon": setting("config.json", layer_norm_eps=1e999),
    "prompts: 50 MB": setting("config_sentence_transformers.json",
                              prompts={"query": "가" * 16_000_000}),
    "prompts: numbers": setting("config_sentence_transformers.json", prompts={"query": 5}),
    "prompts: a list": setting("config_sentence_transformers.json", prompts=["query"]),
    "pooling: of its own": setting("1_Pooling/config.json", pooling_mode="__import__"),
    "dense: an activation that is a function": dense(activation_function="os.system"),
    "dense: an activation that loads": dense(activation_function="torch.hub.load"),
    "dense: 10^9 numbers": dense(in_features=10**9, out_features=10**9,
                                 activation_function="torch.nn.modules.linear.Identity"),
    "an adapter of another model": put("adapter_config.json", b'{"base_model_name_or_path": "x"}'),
    # Weights.
    "weights: no numbers": one(WORDS, lambda values: values * np.float32("nan")),
    "weights: endless": one(WORDS, lambda values: values + np.float32("inf")),
    "weights: one that is none": one(
        "encoder.layer.1.output.dense.bias",
        lambda values: np.concatenate([[np.float32("nan")], values[1:]]).astype("f4"),
    ),
    "weights: larger than any product": weights(
        lambda tensors: {
            name: np.copysign(np.float32(3e38), values) for name, values in tensors.items()
        }
    ),
    "weights: the wrong way round": one(WORDS, lambda values: values.T.copy()),
    "weights: a layer of another size": one(
        "encoder.layer.0.intermediate.dense.weight", lambda values: values[:-1].copy()
    ),
    "weights: no layers": weights(
        lambda tensors: {name: v for name, v in tensors.items() if "layer" not in name}
    ),
    "weights: whole numbers": weights(
        lambda tensors: {name: values.astype("i4") for name, values in tensors.items()}
    ),
    "weights: a header of 2^60 bytes": put("model.safetensors", (1 << 60).to_bytes(8, "little")),
    "weights: 12 GB stated": header(
        lambda stored: {**stored, WORDS: {**stored[WORDS], "shape": [100_000_000, 32]}}
    ),
    "weights: one on the other": header(
        lambda stored: {name: stored[WORDS] for name in stored if name != "__metadata__"}
    ),
    "weights: an endless end": header(
        lambda stored: {**stored, WORDS: {**stored[WORDS], "data_offsets": [0, 1 << 62]}}
    ),
    "weights: below the beginning": header(
        lambda stored: {**stored, WORDS: {**stored[WORDS], "data_offsets": [-8, 0]}}
    ),
    "weights: an unknown type": header(
        lambda stored: {**stored, WORDS: {**stored[WORDS], "dtype": "OBJECT"}}
    ),
    "weights: nothing": put("model.safetensors", b""),
    "weights: a pickle": put("model.safetensors", pickle.dumps([1])),
    "weights: a pickle for torch": old_pickle,
    "weights: an archive that unpacks to 800 MB": unpacked_bomb,
    "weights: a list of files elsewhere": put(
        "model.safetensors.index.json", b'{"weight_map": {"x": "../../canary"}}'
    ),
}  # fmt: skip
# Torch has to be loaded before these are refused, so they are for the soak.
BY_TORCH = {
    "a pickle", "code of its own", "pooling: of its own", "weights: a pickle for torch",
    "config: more layers than weights", "dense: 10^9 numbers",
}  # fmt: skip
# What is beside a sound model, and is neither copied nor read.
HARMLESS = {"weights: a list of files elsewhere"}


@pytest.mark.soak
@pytest.mark.parametrize("name", some([n for n in SHAPES if SOAK or n not in BY_TORCH], 9))
def test_a_hostile_model_is_refused_in_one_line(name: str, place: Place) -> None:
    model = place.copy()
    Canary.where = str(place.ran)
    SHAPES[name](model)
    outcome = in_child(lambda: place.index(model))
    copied = [
        path for path in (place.folder / "w").rglob("*")
        if path.is_file() and (SECRET.encode() in path.read_bytes() or path.suffix == ".py")
    ]  # fmt: skip
    shutil.rmtree(model)
    assert not copied, f"{copied} has what is outside of the model"
    codes = (0,) if name in HARMLESS else (1, 2, 3)
    check(outcome, codes, canary=place.canary, ran=place.ran)
