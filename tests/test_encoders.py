import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import DamagedError, DotbogiError
from search.encoders import (
    StaticEncoder,
    TransformerEncoder,
    load_sentence_transformer,
    open_encoder,
)
from search.models import ModelConfig, save_model
from search.scratch import save_scratch_model
from tests.conftest import ANSWERS, QUESTIONS

TEXTS = [*ANSWERS.values(), *(text for text, _ in QUESTIONS), "", "龘", "ABC 123 가나"]


def test_numpy_encoder_equals_sentence_transformers(scratch_folder: Path) -> None:
    ours = StaticEncoder(scratch_folder).encode_queries(TEXTS)
    theirs = load_sentence_transformer(scratch_folder).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_prompts_are_applied_as_sentence_transformers_applies_them(tmp_path: Path) -> None:
    config = ModelConfig(query_prompt="질문: ", answer_prompt="답: ")
    save_model(config, TEXTS, tmp_path / "m")
    encoder, model = open_encoder(tmp_path / "m"), load_sentence_transformer(tmp_path / "m")
    for ours, theirs in (
        (encoder.encode_queries(TEXTS), model.encode_query(TEXTS, normalize_embeddings=True)),
        (encoder.encode_answers(TEXTS), model.encode_document(TEXTS, normalize_embeddings=True)),
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert not np.allclose(encoder.encode_queries(TEXTS), encoder.encode_answers(TEXTS))


def test_rows_are_unit_length_and_texts_without_tokens_are_zero(scratch_folder: Path) -> None:
    vectors = StaticEncoder(scratch_folder).encode_answers(["배송은 이틀이면", ""])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0], atol=1e-6)
    assert StaticEncoder(scratch_folder).encode_queries([]).shape == (0, 256)


def test_static_model_opens_without_torch(scratch_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from search.encoders import open_encoder\n"
        f"open_encoder(Path({str(scratch_folder)!r})).encode_queries(['배고프다'])\n"
        "print(sorted({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_same_texts_give_the_same_scratch_model(tmp_path: Path) -> None:
    for name, texts in (("a", TEXTS), ("b", list(reversed(TEXTS))), ("c", TEXTS[:-4])):
        save_scratch_model(texts, tmp_path / name)
    a, b, c = (open_encoder(tmp_path / name).fingerprint for name in "abc")
    assert a == b != c


def test_fingerprint_follows_weights_and_prompts_and_nothing_else(
    tmp_path: Path, scratch_folder: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    original = open_encoder(scratch_folder).fingerprint
    load_sentence_transformer(scratch_folder).save(str(tmp_path / "again"))  # another layout
    assert open_encoder(tmp_path / "again").fingerprint == original

    save_model(ModelConfig(name=str(scratch_folder), query_prompt="q: "), [], tmp_path / "prompted")
    assert open_encoder(tmp_path / "prompted").fingerprint != original

    weights = tmp_path / "again" / "model.safetensors"
    tensors = load_file(weights)
    tensors["embedding.weight"][3, 3] += 1e-3  # as the library saves it: floats, not bytes
    save_file(tensors, weights)
    assert open_encoder(tmp_path / "again").fingerprint != original


def test_a_module_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}])
    )
    with pytest.raises(DotbogiError, match=r"'evil\.Module' with code of its own"):
        open_encoder(tmp_path)


@pytest.mark.parametrize("damage", ["tokenizer.json", "model.safetensors"])
def test_a_damaged_static_model_is_one_clear_error(scratch_folder: Path, damage: str) -> None:
    (scratch_folder / "0_StaticEmbedding" / damage).write_text("{}")
    with pytest.raises(DamagedError):
        open_encoder(scratch_folder)


def test_a_trained_static_model_is_no_longer_marked_untrained(
    tmp_path: Path, scratch_folder: Path
) -> None:
    assert not open_encoder(scratch_folder).trained
    load_sentence_transformer(scratch_folder).save(str(tmp_path / "saved"))
    assert open_encoder(tmp_path / "saved").trained


def test_transformer_encoder_gives_unit_rows(tiny_bert: Path, tmp_path: Path) -> None:
    save_model(ModelConfig(name=str(tiny_bert)), [], tmp_path / "m")
    encoder = open_encoder(tmp_path / "m")
    assert isinstance(encoder, TransformerEncoder)
    np.testing.assert_allclose(
        np.linalg.norm(encoder.encode_queries(["배고프다", "환불"]), axis=1), [1, 1], atol=1e-5
    )
    assert encoder.encode_answers([]).shape == (0, encoder.dim)
