"""Changes to a model folder that mean harm."""

import base64
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import Canary, edit

Change = Callable[[Path], object]  # of a folder


def tokenizer(change: Callable[[dict[str, Any]], Any]) -> Change:
    def shape(folder: Path) -> None:
        edit(folder / "tokenizer.json", lambda stored: change(stored) or stored)

    return shape


def replacing(*pairs: tuple[dict[str, str], str]) -> Change:
    parts = [{"type": "Replace", "pattern": one, "content": other} for one, other in pairs]
    return tokenizer(
        lambda stored: stored.update(normalizer={"type": "Sequence", "normalizers": parts})
    )


def splitting(expression: str) -> Change:
    part = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated",
            "invert": False}  # fmt: skip
    return tokenizer(lambda stored: stored.update(pre_tokenizer=part))


def charsmap(table: bytes) -> Change:
    packed = base64.b64encode(table).decode()
    return tokenizer(
        lambda stored: stored.update(
            normalizer={"type": "Precompiled", "precompiled_charsmap": packed}
        )
    )


TOKENIZERS: dict[str, Change] = {
    "tokenizer: each letter becomes 8, ten times": replacing(*[({"Regex": "."}, "a" * 8)] * 10),
    "tokenizer: one letter becomes 100,000": replacing(({"String": "배"}, "a" * 100_000)),
    "tokenizer: nothing becomes 100,000": replacing(({"String": ""}, "a" * 100_000)),
    "tokenizer: an exponential expression": splitting(r"(배|배고|고프|프|.)*[^다]x"),
    "tokenizer: a cubic expression": splitting(r".*.*.*.*x"),
    "tokenizer: a broken expression": splitting(r"(("),
    "tokenizer: 10,000 parts": replacing(*[({"String": "a"}, "b")] * 10_000),
    "tokenizer: 20,000 levels": lambda folder: (folder / "tokenizer.json").write_text(
        '{"normalizer":' * 20_000 + "{}" + "}" * 20_000
    ),
    "tokenizer: an unknown part": tokenizer(
        lambda stored: stored.update(pre_tokenizer={"type": "Python", "code": "import os"})
    ),
    "tokenizer: an unknown model": tokenizer(lambda stored: stored["model"].update(type="Pickle")),
    "tokenizer: no model": tokenizer(lambda stored: stored.pop("model") and None),
    "tokenizer: numbers without rows": tokenizer(
        lambda stored: stored["model"].update(
            vocab={piece: 10**6 + at for at, piece in enumerate(stored["model"]["vocab"])}
        )
    ),
    "tokenizer: numbers below 0": tokenizer(
        lambda stored: stored["model"]["vocab"].update({"가": -1})
    ),
    "tokenizer: words of any length": tokenizer(
        lambda stored: stored.update(model={
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 10**9, "vocab": stored["model"]["vocab"],
        })
    ),
    "tokenizer: an empty piece": tokenizer(
        lambda stored: stored.update(model={
            "type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["", 1.0], ["가", 0.0]],
        })
    ),
    "tokenizer: no unknown piece": tokenizer(
        lambda stored: stored.update(model={
            "type": "Unigram", "unk_id": 10**6, "vocab": [["가", 0.0]],
        })
    ),
    "tokenizer: a table cut short": charsmap(b"\x10\x00"),
    "tokenizer: a table of garbage": charsmap(struct.pack("<I", 4000) + b"\xff" * 4000 + b"a\0"),
    "tokenizer: a table that stretches": charsmap(
        struct.pack("<I", 1024) + bytes(1024) + b"a" * 100_000 + b"\0"
    ),
    "tokenizer: a million marks": tokenizer(
        lambda stored: stored["post_processor"].update(
            single=[{"SpecialToken": {"id": "[CLS]", "type_id": 0}}] * 1_000_000
        )
    ),
    "tokenizer: a mark of a million": tokenizer(
        lambda stored: stored["post_processor"]["special_tokens"]["[CLS]"].update(
            ids=[2] * 1_000_000, tokens=["[CLS]"] * 1_000_000
        )
    ),
}  # fmt: skip


def module(kind: str, at: int = 1) -> Change:
    def change(model: Path) -> None:
        modules = json.loads((model / "modules.json").read_text())
        modules[at]["type"] = kind
        (model / "modules.json").write_text(json.dumps(modules))
        torch_pickle(model / modules[at]["path"])

    return change


def torch_pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Canary()))
    (folder / "evil.py").write_text(f"import os; os.mkdir({Canary.where!r})")


def setting(file: str, **values: Any) -> Change:
    return lambda model: edit(model / file, lambda stored: {**stored, **values})


def only_pickled(model: Path) -> None:
    (model / "model.safetensors").unlink()
    torch_pickle(model)


CODE: dict[str, Change] = {
        "a pickle": only_pickled,
        "a module of its own": module("evil.Evil"),
        "a module of torch": module("sentence_transformers.base.modules.module.torch"),
        "a module of os": module("sentence_transformers.util.misc.os"),
        "a router": module("sentence_transformers.base.modules.router.Router"),
        "a function": module("sentence_transformers.util.http_get"),
        "code of its own": setting(
            "config.json", model_type="evil", auto_map={"AutoModel": "evil.Evil"}
        ),
        "attention from the hub": setting("config.json", attn_implementation="evil/kernel"),
        "weights elsewhere": setting("config.json", transformers_weights="../../../canary"),
        "arguments of its own": setting(
            "sentence_bert_config.json", model_args={"trust_remote_code": True}
        ),
        "a vocabulary elsewhere": setting("tokenizer_config.json", vocab_file="/etc/passwd"),
        "10^9 layers": setting("config.json", num_hidden_layers=10**9),
        "10^12 words": setting("config.json", vocab_size=10**12),
        "no modules": lambda model: (model / "modules.json").write_text("[]"),
        "a module outside": lambda model: edit(
            model / "modules.json", lambda modules: [*modules[:1], {**modules[1], "path": ".."}]
        ),
}  # fmt: skip
