import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

import training.finetune
from search.encoders import StaticEncoder, load_sentence_transformer
from search.static import compress, read_weights, save_static_model, train_unigram
from tests.conftest import ANSWERS, QUESTIONS
from training.finetune import finetune
from training.fit import TrainConfig, TrainingRow
from training.static_rows import token_dropout

TEXTS = [*ANSWERS.values(), *(text for text, _ in QUESTIONS)]
ROWS = [TrainingRow(question, ANSWERS[answer_id]) for question, answer_id in QUESTIONS]
CONFIG = TrainConfig(epochs=2, batch_size=4, learning_rate=0.05, temperature=0.1)


def test_rows_are_kept_to_a_127th_of_their_largest_element(tmp_path: Path) -> None:
    tokenizer = train_unigram(TEXTS, vocabulary=300)
    size = tokenizer.get_vocab_size()
    weights = np.random.default_rng(0).standard_normal((size, 8)).astype(np.float32)
    weights[3] = 0
    weights[4] *= 1e4
    save_static_model(tmp_path / "m", tokenizer, weights)
    found = read_weights(tmp_path / "m" / "0_StaticEmbedding")
    assert found.dtype == np.float32
    assert (np.abs(found - weights) <= np.abs(weights).max(axis=1, keepdims=True) / 253).all()


def test_sentence_transformers_reads_the_same_table(scratch_folder: Path) -> None:
    model = load_sentence_transformer(scratch_folder)
    ours = read_weights(scratch_folder / "0_StaticEmbedding")
    np.testing.assert_array_equal(model[0].embedding.weight.detach().numpy(), ours)


def test_the_forms_of_other_libraries_are_read(tmp_path: Path) -> None:
    rows = np.arange(6, dtype=np.float16).reshape(3, 2)
    save_file({"embedding.weight": rows}, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(read_weights(tmp_path), rows)
    tensors = {
        "embeddings": rows,
        "mapping": np.asarray([2, 0, 1, 2]),
        "weights": np.asarray([1.0, 2.0, 1.0, 0.5]),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    expected = StaticEmbedding._fold_model2vec_weights(
        tensors["embeddings"], tensors["mapping"], tensors["weights"]
    )
    np.testing.assert_array_equal(read_weights(tmp_path), expected.numpy())


def test_compressing_what_is_compressed_changes_nothing(scratch_folder: Path) -> None:
    before = StaticEncoder(scratch_folder).fingerprint
    compress(scratch_folder)
    assert StaticEncoder(scratch_folder).fingerprint == before


def fit(base: Path, folder: Path, rows: object = ROWS, config: TrainConfig = CONFIG):  # type: ignore[no-untyped-def]
    finetune(base, rows, config, folder, evaluate=None)  # type: ignore[arg-type]
    return StaticEncoder(folder / "model")


def test_a_fit_of_the_used_rows_is_the_fit_of_the_whole_table(
    scratch_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ROWS[:6]
    part = fit(scratch_folder, tmp_path / "part", rows)

    class WholeTable(training.finetune.UsedRows):
        def __init__(self, model: object, texts: object) -> None:
            del texts
            super().__init__(model, TEXTS)

    monkeypatch.setattr(training.finetune, "UsedRows", WholeTable)
    whole = fit(scratch_folder, tmp_path / "whole", rows)
    base = StaticEncoder(scratch_folder)
    np.testing.assert_allclose(part.encode_queries(TEXTS), whole.encode_queries(TEXTS), atol=1e-5)
    moved = np.abs(part.encode_queries(TEXTS) - base.encode_queries(TEXTS)).max(axis=1)
    assert moved.max() > 0.01


def test_batches_of_several_sources_train_on_all(scratch_folder: Path, tmp_path: Path) -> None:
    sources = {"first": ROWS[:4], "second": ROWS[4:]}
    config = TrainConfig(
        epochs=20, batch_size=4, learning_rate=0.2, temperature=0.1, symmetric=True,
        token_dropout=0.2,
    )  # fmt: skip
    found = fit(scratch_folder, tmp_path / "fit", sources, config)
    queries = found.encode_queries([row.question for row in ROWS])
    answers = found.encode_answers([row.positive for row in ROWS])
    cosines = (queries * answers).sum(axis=1)
    before = StaticEncoder(scratch_folder)
    queries = before.encode_queries([row.question for row in ROWS])
    answers = before.encode_answers([row.positive for row in ROWS])
    assert (cosines > (queries * answers).sum(axis=1) + 0.1).all()


def test_token_dropout_leaves_no_text_without_tokens_and_spares_evaluation() -> None:
    module = torch.nn.Module()
    hook = token_dropout(0.5)
    lengths = torch.tensor([1, 0, 400, 1, 1])
    ids = torch.arange(int(lengths.sum()))
    features = {"input_ids": ids, "offsets": lengths.cumsum(0) - lengths, "other": "kept"}
    torch.manual_seed(0)
    (dropped,) = hook(module, (features,))
    assert dropped["other"] == "kept"
    offsets = [*dropped["offsets"].tolist(), len(dropped["input_ids"])]
    bags = [dropped["input_ids"][a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert [bags[0], bags[1], bags[3], bags[4]] == [[0], [], [401], [402]]
    assert 150 < len(bags[2]) < 250
    assert set(bags[2]) <= set(range(1, 401))
    assert hook(module.eval(), (features,)) is None
