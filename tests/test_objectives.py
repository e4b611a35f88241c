import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ANSWERS, QUESTIONS, LetterEncoder
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    GISTEmbedLoss,
    MultipleNegativesRankingLoss,
)

from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import SAMPLE_PATH, Table, read_table
from dotbogi.search import ModelConfig
from dotbogi.search.encoders import EncoderFacts, TorchEncoder
from dotbogi.search.encoders.torch_encoder import load_sentence_transformer
from dotbogi.search.models import enter_model
from dotbogi.training import LoopConfig, MiningConfig, run_loop
from dotbogi.training.fit.adapter import AdapterConfig, learn_adapter, learn_similarity
from dotbogi.training.fit.config import OBJECTIVES, TrainConfig, TrainingRow
from dotbogi.training.fit.full import finetune
from dotbogi.training.fit.guided import CachedGuidedLoss, GuidedLoss, GuideVectors
from dotbogi.training.fit.objectives import check_objective
from dotbogi.training.ledger import clear_models

QUESTION_TEXTS = [text for text, _ in QUESTIONS]
RIGHT = [ANSWERS[answer_id] for _, answer_id in QUESTIONS]
WRONG = [RIGHT[(place + 3) % len(RIGHT)] for place in range(len(RIGHT))]


@pytest.fixture
def place(tiny_model: Path, tmp_path: Path) -> Path:
    """A folder with the tiny model and its encoder."""
    enter_model(ModelConfig(name=str(tiny_model)), tmp_path, QUESTION_TEXTS)
    return tmp_path


@pytest.fixture
def transformer(place: Path) -> Path:
    return place / "model"


def settings(objective: str) -> TrainConfig:
    return TrainConfig(
        epochs=2, batch_size=8, learning_rate=0.01, temperature=0.1, mini_batch_size=2,
        objective=objective, guide_margin=0.1,  # type: ignore[arg-type]
    )  # fmt: skip


def rows_for(objective: str) -> list[TrainingRow]:
    triples = zip(QUESTION_TEXTS, RIGHT, WRONG, strict=True)
    if objective == "cosine":
        return [
            row
            for question, right, wrong in triples
            for row in (
                TrainingRow(question, right, score=1.0),
                TrainingRow(question, wrong, score=0.0),
            )
        ]
    return [TrainingRow(question, right, (wrong,)) for question, right, wrong in triples]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_trains_a_whole_model(objective: str, place: Path, tmp_path: Path) -> None:
    guide = {"guide": "starter"} if "gist" in objective else {}
    check_objective({"objective": objective, **guide}, "full")
    log = finetune(
        place / "model", rows_for(objective), settings(objective), tmp_path / "fit", guide=place
    )
    assert [entry["epoch"] for entry in log if "loss" in entry] == [1, 2]
    before, after = map(load_sentence_transformer, (place / "model", tmp_path / "fit" / "model"))
    moved = np.abs(before.encode(QUESTION_TEXTS) - after.encode(QUESTION_TEXTS))
    assert moved.max() > 1e-3


def batch(model: object, columns: list[list[str]]) -> list[dict[str, torch.Tensor]]:
    return [model.preprocess(texts) for texts in columns]  # type: ignore[attr-defined]


def guide_vectors(columns: list[list[str]]) -> GuideVectors:
    names = ("anchor", "positive", "negative_1")
    return GuideVectors(LetterEncoder(), dict(zip(names, columns, strict=False)))


def by_hand(
    vectors: list[np.ndarray], guide: list[np.ndarray], temperature: float, margin: float
) -> float:
    """The mean of −log of the positive's share among the candidates that the guide leaves."""
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors]
    losses = []
    for i, question in enumerate(unit[0]):
        bound = guide[0][i] @ guide[1][i] - margin
        total = 0.0
        for column, guide_column in zip(unit[1:], guide[1:], strict=True):
            for j, candidate in enumerate(column):
                own = column is unit[1] and i == j
                if own or guide[0][i] @ guide_column[j] <= bound:
                    total += np.exp(question @ candidate / temperature)
        losses.append(np.log(total) - question @ unit[1][i] / temperature)
    return float(np.mean(losses))


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.1])
def test_the_guided_loss_equals_the_written_out_sum(tiny_model: Path, margin: float) -> None:
    model = load_sentence_transformer(tiny_model)
    columns = [QUESTION_TEXTS, RIGHT, WRONG]
    order = [4, 0, 7, 2, 5]  # a batch of a longer table: rows are found by their number
    picked = [[column[i] for i in order] for column in columns]
    loss = GuidedLoss(model, guide_vectors(columns), temperature=0.1, margin=margin)
    found = loss(batch(model, picked), torch.tensor(order)).item()
    vectors = [model.encode(texts).astype(np.float64) for texts in picked]
    guide = [LetterEncoder().encode_queries(texts).astype(np.float64) for texts in picked]
    assert found == pytest.approx(by_hand(vectors, guide, 0.1, margin), rel=1e-5)

    both = GuidedLoss(model, guide_vectors(columns), temperature=0.1, margin=margin, symmetric=True)
    back = by_hand(vectors[1::-1], guide[1::-1], 0.1, margin)
    found_both = both(batch(model, picked), torch.tensor(order)).item()
    assert found_both == pytest.approx((found + back) / 2, rel=1e-5)


def test_a_guide_that_leaves_all_is_mnr_and_one_like_the_librarys_is_gist(
    place: Path,
) -> None:
    model = load_sentence_transformer(place / "model").eval()
    columns = [QUESTION_TEXTS[2:], RIGHT[2:], WRONG[2:]]
    rows = torch.arange(len(columns[0]))
    ours = GuideVectors(
        TorchEncoder(place / "model", EncoderFacts.open(place / "encoder")),
        dict(zip(("anchor", "a", "b"), columns, strict=True)),
    )
    everything = GuidedLoss(model, ours, temperature=0.1, margin=-3)
    mnr = MultipleNegativesRankingLoss(model, scale=10)
    assert everything(batch(model, columns), rows).item() == pytest.approx(
        mnr(batch(model, columns), rows).item(), rel=1e-5
    )
    guided = GuidedLoss(model, ours, temperature=0.1, margin=0.001)
    gist = GISTEmbedLoss(
        model, model, temperature=0.1, margin=0.001, contrast_anchors=False,
        contrast_positives=False,
    )  # fmt: skip
    expected = gist(batch(model, columns), rows).item()
    assert guided(batch(model, columns), rows).item() == pytest.approx(expected, rel=1e-4)
    assert expected < mnr(batch(model, columns), rows).item() - 0.01  # something was left out


def test_the_share_that_a_guide_leaves_out_is_told() -> None:
    columns = [["가", "나", "다", "라"], ["가", "나", "다", "가라"]]
    guide = guide_vectors(columns)
    # "가" is nearer to itself (1) than to "가라" (.71); "라" has .71 for its own, 0 for the others.
    assert guide.share_left_out(0.0) == 0
    assert guide.share_left_out(0.5) == 1 / 12
    assert guide.share_left_out(3) == 1


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_cached_losses_have_the_gradients_of_the_whole_batch(
    transformer: Path, guided: bool, symmetric: bool
) -> None:
    columns = [QUESTION_TEXTS, RIGHT, WRONG]
    rows = torch.arange(len(QUESTION_TEXTS))
    gradients = []
    for cached in (False, True):
        model = load_sentence_transformer(transformer).eval()  # no dropout: nothing random
        if guided:
            guide = guide_vectors(columns)
            kind, extra = (CachedGuidedLoss, {"mini_batch_size": 2}) if cached else (GuidedLoss, {})
            loss = kind(model, guide, temperature=0.1, margin=0.1, symmetric=symmetric, **extra)
        else:
            both = ("query_to_doc", "doc_to_query")
            options = {
                "scale": 10,
                "directions": both if symmetric else both[:1],
                "partition_mode": "per_direction" if symmetric else "joint",
            }
            loss = (
                CachedMultipleNegativesRankingLoss(model, mini_batch_size=2, **options)
                if cached
                else MultipleNegativesRankingLoss(model, **options)
            )
        value = loss(batch(model, columns), rows)
        value.backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 5
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("fit", "kind", "message"),
    [
        ({"objective": "gist"}, "adapter", "--objective gist needs --fit full"),
        ({"guide": "starter"}, "full", "--guide .*--objective gist or cached-gist"),
        ({"objective": "gist", "mini_batch_size": 4}, "full", "--mini-batch-size .*e cached-mnr"),
        ({"symmetric": True}, "adapter", "--symmetric needs --fit full"),
        ({"objective": "cosine", "symmetric": True}, "full", "--symmetric does not apply"),
        ({"report_to": "no_such_reporter"}, "full", "pip install no_such_reporter"),
    ],
)
def test_what_cannot_run_is_refused_with_what_can(
    fit: dict[str, object], kind: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_objective(fit, kind)  # type: ignore[arg-type]


def test_a_guided_run_keeps_its_guide_until_it_ends(tiny_model: Path, tmp_path: Path) -> None:
    table = read_table(SAMPLE_PATH)
    few = Table(path=table.path, rows=table.rows[:300], columns=table.columns)
    collection, _ = build_collection(few)
    fit = {"objective": "gist", "guide": str(tiny_model), "epochs": 1}
    config = LoopConfig(rounds=1, kind="full", fit=fit, mining=MiningConfig(quotas={"random": 1}))
    place = Workspace(tmp_path / "w")
    run_loop(place, collection, config, model=ModelConfig())
    folder = place.rounds_folder / "run-0001"
    events = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    trained = [event for event in events if event["event"] == "trained"]
    assert trained
    for event in trained:
        assert event["settings"]["objective"] == "gist"
        assert event["settings"]["guide"] == str(tiny_model)
    assert not (folder / "guide").exists()


def test_tensorboards_files_outlive_the_working_models(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("tensorboard")
    config = TrainConfig(
        epochs=1, batch_size=8, learning_rate=0.01, temperature=0.1, report_to="tensorboard"
    )
    events = tmp_path / "run" / "tensorboard" / "round-1"
    finetune(tiny_model, rows_for("mnr"), config, tmp_path / "run" / "round-1", events=events)
    clear_models(tmp_path / "run")
    assert list(events.glob("events.*"))


@pytest.mark.parametrize("learning_rate", [1e30, float("inf")])
def test_an_adapter_of_no_numbers_is_refused(learning_rate: float) -> None:
    vectors = np.random.default_rng(0).standard_normal((80, 8)).astype(np.float32)
    config = AdapterConfig(learning_rate=learning_rate)
    with pytest.raises(DotbogiError, match="the fit has failed"):
        learn_adapter(vectors, np.arange(80), vectors, config=config)
    with pytest.raises(DotbogiError, match="the fit has failed"):
        learn_similarity(vectors, vectors[::-1].copy(), list(range(80)), config=config)


def test_a_full_fit_of_no_numbers_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    rows = [TrainingRow(question, ANSWERS[answer], ()) for question, answer in QUESTIONS]
    config = TrainConfig(epochs=3, learning_rate=1e30)
    with pytest.raises(DotbogiError, match="the fit has failed"):
        finetune(tiny_model, rows, config, tmp_path / "fit")
    assert not (tmp_path / "fit" / "model").exists()
