import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ANSWERS, QUESTIONS, LetterEncoder
from tiny_model import DIM, write_tiny_model

from dotbogi.indexes.cache import Cache
from dotbogi.indexes.errors import DamagedError, DotbogiError
from dotbogi.search.encoders import (
    CachedEncoder,
    EncoderFacts,
    OnnxEncoder,
    TorchEncoder,
    export_encoder,
    open_encoder,
)
from dotbogi.search.encoders.architecture import NotExportableError
from dotbogi.search.encoders.graph import build_graph
from dotbogi.search.encoders.model_folder import read_tensors
from dotbogi.search.encoders.torch_encoder import load_sentence_transformer
from dotbogi.search.models import ModelConfig, enter_model, save_model

TEXTS = [*ANSWERS.values(), *(text for text, _ in QUESTIONS), "龘", "ABC 123 가나", "가" * 300]


def entered(model: Path, place: Path, texts: Sequence[str] = TEXTS) -> OnnxEncoder:
    place.mkdir()
    enter_model(ModelConfig(name=str(model)), place, texts)
    encoder = open_encoder(place)
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def in_precision(model: Path, place: Path, precision: str) -> OnnxEncoder:
    """Open a model's graph in one precision, whatever the check says."""
    facts = entered(model, place).facts
    graph = build_graph(model, precision).SerializeToString()  # type: ignore[arg-type]
    return OnnxEncoder(graph, place / "encoder" / "tokenizer.json", facts)


def mean_cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(axis=1) / lengths).mean())


def test_the_float_graph_equals_sentence_transformers(tiny_model: Path, tmp_path: Path) -> None:
    ours = in_precision(tiny_model, tmp_path / "p", "float32").encode_queries(TEXTS)
    theirs = load_sentence_transformer(tiny_model).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "camembert"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_every_family_that_is_named_has_a_right_graph(
    family: str, pooling: str, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    settings = json.loads((tiny_model / "config.json").read_text())
    for name in ("architectures", "model_type"):
        del settings[name]
    torch.manual_seed(0)
    plain = tmp_path / "plain"
    AutoModel.from_config(AutoConfig.for_model(family, **settings)).save_pretrained(plain)
    PreTrainedTokenizerFast(
        tokenizer_file=str(tiny_model / "tokenizer.json"), pad_token="[PAD]", model_max_length=64
    ).save_pretrained(plain)
    transformer = Transformer(str(plain))
    model = SentenceTransformer(modules=[transformer, Pooling(DIM, pooling_mode=pooling)])
    model.save(str(tmp_path / "model"), create_model_card=False)
    ours = in_precision(tmp_path / "model", tmp_path / "p", "float32").encode_queries(TEXTS)
    theirs = model.eval().encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_int8_is_near_float32_and_says_how_near(tiny_model: Path, tmp_path: Path) -> None:
    encoder = entered(tiny_model, tmp_path / "p")
    exact = in_precision(tiny_model, tmp_path / "q", "float32")
    assert encoder.facts.precision == "int8"
    found = mean_cosine(encoder.encode_answers(TEXTS), exact.encode_answers(TEXTS))
    assert found > 0.99
    assert encoder.facts.cosine == pytest.approx(found, abs=0.01)
    assert encoder.facts.overlap is not None
    assert encoder.facts.overlap >= 0.85


def test_a_vector_does_not_depend_on_the_texts_beside_it(tiny_model: Path, tmp_path: Path) -> None:
    encoder = entered(tiny_model, tmp_path / "p")
    together = encoder.encode_queries(TEXTS)
    alone = np.concatenate([encoder.encode_queries([text]) for text in TEXTS])
    assert mean_cosine(together, alone) > 1 - 1e-5


def test_what_was_asked_lately_is_not_encoded_again(tiny_model: Path, tmp_path: Path) -> None:
    encoder = entered(tiny_model, tmp_path / "p")
    first = encoder.encode_queries(["배고프다"])
    kept = first.copy()
    first[:] = 0  # the caller's own
    for texts in (["배고프다"], ["졸리다", "배고프다"]):
        np.testing.assert_array_equal(encoder.encode_queries(texts)[-1:], kept)
    assert encoder._recent.cache_info()[:2] == (2, 2)  # hits, misses
    encoder.encode_queries(["가" * 1000])
    assert encoder._recent.cache_info().currsize == 2  # long texts would fill the memory


def test_where_int8_falls_short_the_encoder_is_float32(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dotbogi.search.encoders.graph._WEIGHT_STEPS", 1)  # no more than signs
    facts = entered(tiny_model, tmp_path / "p", [a + b for a in TEXTS for b in TEXTS]).facts
    assert facts.precision == "float32"
    assert "ten nearest" in facts.why
    theirs = load_sentence_transformer(tiny_model).encode(TEXTS, normalize_embeddings=True)
    ours = open_encoder(tmp_path / "p").encode_answers(TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_large_graph_keeps_its_constants_beside_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = entered(tiny_model, tmp_path / "p").encode_answers(TEXTS)
    monkeypatch.setattr("dotbogi.search.encoders.graph._LARGE", 1000)  # bytes
    found = entered(tiny_model, tmp_path / "q").encode_answers(TEXTS)
    assert (tmp_path / "q" / "encoder" / "model.onnx.data").is_file()
    np.testing.assert_array_equal(found, expected)


def test_prompts_are_applied_as_sentence_transformers_applies_them(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "m", prompts={"query": "질문 ", "document": "답 "})
    encoder = in_precision(tmp_path / "m", tmp_path / "p", "float32")
    model = load_sentence_transformer(tmp_path / "m")
    for ours, theirs in (
        (encoder.encode_queries(TEXTS), model.encode_query(TEXTS, normalize_embeddings=True)),
        (encoder.encode_answers(TEXTS), model.encode_document(TEXTS, normalize_embeddings=True)),
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert not np.allclose(encoder.encode_queries(TEXTS), encoder.encode_answers(TEXTS))


def test_rows_are_unit_length_and_no_texts_are_no_rows(tiny_model: Path, tmp_path: Path) -> None:
    encoder = entered(tiny_model, tmp_path / "p")
    lengths = np.linalg.norm(encoder.encode_answers(TEXTS), axis=1)
    np.testing.assert_allclose(lengths, np.ones(len(TEXTS)), atol=1e-5)
    assert encoder.encode_queries([]).shape == (0, DIM)
    assert encoder.count_tokens(["가나", "다"]) == 2 + 1 + 2 * 2  # [CLS] and [SEP] of each


def test_an_encoder_imports_neither_torch_nor_transformers(
    tiny_model: Path, tmp_path: Path
) -> None:
    entered(tiny_model, tmp_path / "p")
    code = (
        "import sys; from pathlib import Path; from search.encoders import open_encoder\n"
        f"open_encoder(Path({str(tmp_path / 'p')!r})).encode_queries(['배고프다'] * 300)\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'onnx'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_ready_model_enters_without_torch(tiny_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from search.models import ModelConfig, enter_model\n"
        f"model = ModelConfig(name={str(tiny_model)!r})\n"
        f"enter_model(model, Path({str(tmp_path)!r}), ['배고프다'])\n"
        "print(sorted({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_fingerprint_follows_weights_prompts_and_precision_and_nothing_else(
    tmp_path: Path, tiny_model: Path
) -> None:
    original = entered(tiny_model, tmp_path / "a").fingerprint
    write_tiny_model(tmp_path / "elsewhere")
    assert entered(tmp_path / "elsewhere", tmp_path / "b").fingerprint == original
    write_tiny_model(tmp_path / "other", seed=1)
    assert entered(tmp_path / "other", tmp_path / "c").fingerprint != original
    write_tiny_model(tmp_path / "prompted", prompts={"query": "q "})
    assert entered(tmp_path / "prompted", tmp_path / "d").fingerprint != original


def test_a_model_without_a_graph_runs_on_torch_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A table of token vectors is a model of sentence-transformers, and no transformer.
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    write_tiny_model(tmp_path / "tiny")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tiny" / "tokenizer.json"))
    weights = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), 8))
    table = StaticEmbedding(tokenizer, embedding_weights=weights.astype(np.float32))
    model = SentenceTransformer(modules=[table])
    model.save(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(NotExportableError, match="StaticEmbedding"):
        build_graph(tmp_path / "static", "int8")
    (tmp_path / "p").mkdir()
    with caplog.at_level("INFO"):
        enter_model(ModelConfig(name=str(tmp_path / "static")), tmp_path / "p", TEXTS)
    assert "no ONNX graph for modules Static" in caplog.text
    encoder = open_encoder(tmp_path / "p")
    assert isinstance(encoder, TorchEncoder)
    assert encoder.facts.precision == "torch"
    np.testing.assert_allclose(
        encoder.encode_queries(TEXTS), model.encode(TEXTS, normalize_embeddings=True), atol=1e-5
    )
    assert encoder.encode_answers([]).shape == (0, 8)
    assert encoder.count_tokens(["가나"]) == 2 + 2


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"model_type": "modernbert"}])
def test_other_architectures_are_not_exported(
    change: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    save_model(ModelConfig(name=str(tiny_model)), tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(NotExportableError, match=next(iter(change.values()))):
        build_graph(tmp_path / "m", "int8")


def test_a_module_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}])
    )
    with pytest.raises(DotbogiError, match=r"'evil\.Module' with code of its own"):
        export_encoder(tmp_path, tmp_path / "encoder", TEXTS)


@pytest.mark.parametrize("damage", ["tokenizer.json", "model.onnx", "encoder.json"])
def test_a_damaged_encoder_is_one_clear_error(
    damage: str, tiny_model: Path, tmp_path: Path
) -> None:
    entered(tiny_model, tmp_path / "p")
    (tmp_path / "p" / "encoder" / damage).write_text("{}")
    with pytest.raises(DamagedError, match=damage):
        open_encoder(tmp_path / "p")


def test_an_encoder_encodes_from_many_threads(tiny_model: Path, tmp_path: Path) -> None:
    encoder = entered(tiny_model, tmp_path / "p")
    texts = [["배고프다"], ["환불 언제 되나요", "피곤해 죽겠다"], ["비번 까먹음"]]
    expected = [encoder.encode_queries(each) for each in texts]

    def encode(number: int) -> None:
        for turn in range(20):
            which = (number + turn) % len(texts)
            np.testing.assert_array_equal(encoder.encode_queries(texts[which]), expected[which])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(encode, range(8)))


def test_onnxruntime_starts_no_thread_that_reports_and_the_environment_stays() -> None:
    code = (
        "import os; from dotbogi.search.encoders.runtime import load_onnxruntime\n"
        "before = dict(os.environ)\n"
        "load_onnxruntime()\n"
        "print(before == dict(os.environ), len(os.listdir('/proc/self/task')))"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.strip() == "True 1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_open_encoder_goes_on_in_a_forked_process(tiny_model: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from search.encoders import open_encoder\n"
        f"encoder = open_encoder(Path({str(tmp_path / 'p')!r}))\n"
        "before = encoder.encode_queries(['배고프다'] * 300)\n"
        "child = os.fork()\n"
        "same = (encoder.encode_queries(['배고프다'] * 300) == before).all()\n"
        "sys.exit(0 if same else 1) if not child else None\n"
        "print(os.waitpid(child, 0)[1], same)"
    )
    entered(tiny_model, tmp_path / "p")
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "0 True"


def test_a_cached_encoder_encodes_a_text_once(tmp_path: Path) -> None:
    inner = LetterEncoder()
    inner.count_tokens = len  # type: ignore[attr-defined]
    cached = CachedEncoder(inner, Cache(tmp_path))  # type: ignore[arg-type]
    first = cached.encode_queries(["배고프다", "환불"])
    again = cached.encode_queries(["환불", "배송"])
    assert inner.encoded == ["배고프다", "환불", "배송"]
    np.testing.assert_array_equal(first[1], again[0])
    cached.encode_answers(["환불"])  # the answer prompt may be another
    assert inner.encoded[-1] == "환불"


def test_facts_are_what_was_saved(tmp_path: Path) -> None:
    facts = EncoderFacts(
        fingerprint="f", dim=3, max_tokens=9, query_prompt="q: ", answer_prompt="", precision="int8"
    )
    facts.save(tmp_path)
    assert EncoderFacts.open(tmp_path) == facts


def test_tensors_of_every_float_type_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    values = torch.linspace(-2, 2, 64).reshape(8, 8)
    kinds = {
        "a": torch.float32, "b": torch.float16, "c": torch.bfloat16, "d": torch.float8_e4m3fn,
    }  # fmt: skip
    tensors = {name: values.to(kind) for name, kind in kinds.items()}
    save_file(tensors | {"ids": torch.arange(3)}, tmp_path / "model.safetensors")
    found = read_tensors(tmp_path)
    assert found.keys() == kinds.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy())
