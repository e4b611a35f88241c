import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LetterEncoder

from dotbogi.indexes.analyzer import Analyzer
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, build_collection
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.indexes.text import same_text_key
from dotbogi.search.encoders import Encoder, open_encoder
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.training.negatives import Mined, MiningConfig, Negative, mine, parse_quotas, train_side
from dotbogi.training.negatives.exports import save_flag_embedding, save_n_tuples
from dotbogi.training.negatives.files import open_negatives, save_negatives
from dotbogi.training.negatives.sampling import limits, near_weights, order_keys
from dotbogi.training.split import hold_out

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def sample() -> Collection:
    """A third of the bundled sample, split."""
    table = build_collection(read_table(SAMPLE_PATH))[0]
    return hold_out(replace(table, questions=table.questions[::3]), 0.2, seed=42)


@pytest.fixture(scope="module")
def starter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    place = tmp_path_factory.mktemp("place")
    enter_model(ModelConfig(name=str(tiny_model)), place, ["배고프다"])
    return open_encoder(place)


def assert_clean(collection: Collection, mined: Mined, encoder: Encoder) -> None:
    """No negative is right, shares the answer, comes from dev or test rows or passes no bound."""
    texts = {answer.id: same_text_key(answer.text) for answer in collection.answers}
    right: dict[str, set[str]] = {}
    train_answers, held_out = set(), set()
    for question in collection.questions:
        right.setdefault(same_text_key(question.text), set()).add(texts[question.answer_id])
        (train_answers if question.split == "train" else held_out).add(question.answer_id)
    held_out_texts = {texts[id_] for id_ in held_out - train_answers}
    usable_texts = {texts[answer.id] for answer in train_side(collection).answers}
    train_questions = {q.text for q in collection.questions if q.split == "train"}
    negatives = list(mined.all())
    assert negatives
    asked = encoder.encode_queries([negative.question for negative in negatives])
    said = encoder.encode_answers([negative.text for negative in negatives])
    for negative, cosine in zip(negatives, (asked * said).sum(axis=1), strict=True):
        key = same_text_key(negative.text)
        assert negative.question in train_questions
        assert key not in right[same_text_key(negative.question)]
        assert key not in held_out_texts - usable_texts
        assert negative.cosine == pytest.approx(cosine, abs=1e-5)
        assert negative.answer_id
        if negative.answer_id:
            assert texts[negative.answer_id] == key
        if negative.source in ("bm25", "model"):
            assert negative.rank >= 1
            if negative.bound is not None:
                assert negative.cosine <= negative.bound
        else:
            assert negative.bound is None
    for pair, row in mined.rows.items():
        assert len({same_text_key(negative.text) for negative in row}) == len(row), pair
    for suspect in mined.suspects:
        assert suspect.bound is not None
        assert suspect.cosine > suspect.bound
        assert same_text_key(suspect.text) not in right[same_text_key(suspect.question)]
        assert suspect.answer_id not in held_out - train_answers


@pytest.mark.parametrize(
    "settings",
    [
        {"quotas": {"bm25": 2, "model": 2, "random": 1}},
        {"quotas": {"bm25": 1, "model": 2, "random": 2}, "sampling": "near", "window": 20},
        {"quotas": {"bm25": 1, "model": 3}, "sampling": "random", "bound_absolute": 0.1},
        {"quotas": {"model": 2, "random": 1}, "bound": None},
    ],
    ids=["defaults", "near and random", "random and absolute", "no bound"],
)
def test_no_mined_negative_is_right_held_out_or_over_the_bound(
    sample: Collection, starter: Encoder, settings: dict[str, Any]
) -> None:
    config = MiningConfig(**settings)
    mined = mine(sample, starter, Analyzer(), config)
    assert_clean(sample, mined, starter)
    assert {len(row) for row in mined.rows.values()} == {sum(config.quotas.values())}
    assert len(mined.rows) == sum(q.split == "train" for q in sample.questions)
    assert bool(mined.suspects) == (config.bound is not None)
    kept = Counter(negative.source for negative in mined.all())
    assert kept == {source: c["kept"] for source, c in mined.counts.items() if c["kept"]}
    again = mine(sample, starter, Analyzer(), config)
    assert again.rows == mined.rows
    if config.sampling != "top":
        assert mine(sample, starter, Analyzer(), replace(config, seed=7)).rows != mined.rows


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="chatbot.csv is not in a clone")
def test_no_negative_mined_from_chatbot_csv_is_right_or_held_out(starter: Encoder) -> None:
    table = read_table(SHARED / "chatbot.csv")
    collection = hold_out(build_collection(table)[0], 0.2, seed=42)
    mined = mine(collection, starter, Analyzer(), MiningConfig())
    assert_clean(collection, mined, starter)


ANSWERS = [Answer("a", "가나"), Answer("b", "가나다"), Answer("c", "라마"), Answer("d", "가 나!")]
QUESTIONS = [
    KnownQuestion("가나", "a", "train"),
    KnownQuestion("라", "c", "train"),
    KnownQuestion("바", "d", "train"),
    KnownQuestion("다", "b", "train"),
]


def mined_by_hand(rejected: object = (), **changes: Any) -> Mined:
    config = replace(MiningConfig(quotas={"model": 1}, seed=0), **changes)
    collection = Collection(ANSWERS, QUESTIONS)
    return mine(
        collection, LetterEncoder(), Analyzer("bigram"), config,
        rejected=rejected,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_bound_drops_what_scores_too_near_the_positive_and_lists_it() -> None:
    # "가나": its positive has cosine 1, "가나다" has 2/√6 = .816; "가 나!" equals the positive.
    strict, loose = mined_by_hand(bound=0.8), mined_by_hand(bound=0.9)
    assert [(n.answer_id, n.source) for n in strict.rows["가나", "a"]] == [("c", "model")]
    assert ("가나", "b") in {(s.question, s.answer_id) for s in strict.suspects}
    found = loose.rows["가나", "a"][0]
    assert (found.answer_id, found.positive_cosine, found.bound) == pytest.approx(("b", 1, 0.9))
    assert found.cosine == pytest.approx(2 / 6**0.5)
    assert (found.rank, found.text) == (2, "가나다")
    absolute = mined_by_hand(bound=None, bound_absolute=0.19).rows["가나", "a"][0]
    assert (absolute.answer_id, absolute.bound) == ("c", pytest.approx(0.81))


def test_a_starving_source_widens_its_window_and_says_so() -> None:
    # "가나": rank 1 is the right answer, 2 over the bound, 3 passes. A window of 1 is doubled to 2
    # and then to all 3 texts.
    mined = mined_by_hand(bound=0.8, window=1)
    assert mined.rows["가나", "a"][0].answer_id == "c"
    counts = mined.counts["model"]
    assert counts["window"] == 3
    assert counts["widened"] >= 1
    assert mined_by_hand(bound=0.8, window=3).counts["model"]["widened"] == 0


def test_random_answers_take_the_places_of_a_starving_source() -> None:
    row = mined_by_hand(quotas={"bm25": 2}).rows["라", "c"]
    assert {negative.source for negative in row} == {"random"}
    assert len(row) == 2


def test_rejected_answers_come_first_whatever_the_bound_and_are_no_suspects() -> None:
    mined = mined_by_hand(bound=0.8, rejected=[("가  나", "b"), ("가나", "a"), ("가나", "gone")])
    (found,) = mined.rows["가나", "a"]
    assert (found.answer_id, found.source, found.bound) == ("b", "review", None)
    assert ("가나", "b") not in {(s.question, s.answer_id) for s in mined.suspects}
    assert mined.counts["review"]["kept"] == 1  # never the right answer


def test_near_weights_are_those_of_simans() -> None:
    cosines, positives = np.float32([0.5, 0.7]), np.float32([0.6, 0.6])
    expected = [math.exp(-3 * (0.5 - 0.6 - 0.05) ** 2), math.exp(-3 * (0.7 - 0.6 - 0.05) ** 2)]
    assert near_weights(cosines, positives, a=3, b=0.05) == pytest.approx(expected, rel=1e-4)


def test_near_draws_as_often_as_the_weights_say() -> None:
    cosines = np.float32([0.5, 0.6, 0.4])
    positives = np.float32([0.6] * 3)
    weights = near_weights(cosines, positives)
    rng = np.random.default_rng(0)
    first = Counter(
        int(order_keys("near", cosines, cosines, positives, rng).argmax()) for _ in range(4000)
    )
    for place, weight in enumerate(weights / weights.sum()):
        assert first[place] / 4000 == pytest.approx(weight, abs=0.03)


def test_the_bound_below_a_cosine_of_zero_is_below_it_too() -> None:
    found = limits(np.float32([0.8, -0.2]), 0.9, None)
    assert found == pytest.approx([0.72, -0.22])
    assert limits(np.float32([0.8]), 0.9, 0.2) == pytest.approx([0.6])  # both have to hold


def test_saved_negatives_open_equal(tmp_path: Path) -> None:
    negatives: list[Negative] = list(mined_by_hand(quotas={"model": 1, "random": 1}).all())
    save_negatives(negatives, tmp_path / "n.parquet")
    assert open_negatives(tmp_path / "n.parquet") == negatives


def test_flag_embedding_has_a_line_a_question_with_all_its_right_answers(tmp_path: Path) -> None:
    import json

    more = [*QUESTIONS, KnownQuestion("가나", "c", "train")]
    collection = Collection([*ANSWERS, Answer("e", "바사")], more)
    config = MiningConfig(quotas={"random": 2})
    mined = mine(collection, LetterEncoder(), Analyzer("bigram"), config)
    save_flag_embedding(collection, mined, tmp_path / "f.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    by_query = {line["query"]: line for line in lines}
    assert len(by_query) == len(lines) == 4
    assert by_query["가나"]["pos"] == ["가나", "라마"]
    assert sorted(by_query["가나"]["neg"]) == ["가나다", "바사"]


def test_n_tuples_load_with_datasets_and_train_a_step_of_mnr(
    tmp_path: Path, tiny_model: Path
) -> None:
    from datasets import load_dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    collection = Collection(ANSWERS, QUESTIONS)
    mined = mined_by_hand(quotas={"model": 1, "random": 1})
    save_n_tuples(collection, mined, tmp_path / "n-tuple.jsonl")
    data = load_dataset(
        "json",
        data_files=str(tmp_path / "n-tuple.jsonl"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert data.column_names == ["anchor", "positive", "negative_1", "negative_2"]
    assert len(data) == 4
    model = SentenceTransformer(str(tiny_model))
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=1, report_to="none", use_cpu=True,
        disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    loss = MultipleNegativesRankingLoss(model)
    model.model_card_data.widget = [{}]
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=loss)
    assert trainer.train().global_step == 1


@pytest.mark.parametrize("text", ["bm25", "web:3", "bm25:x", "bm25:-1", ""])
def test_quotas_that_cannot_be_read_say_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="SOURCE:COUNT"):
        parse_quotas(text)


def test_a_source_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="bm25 is named twice"):
        parse_quotas("bm25:1,bm25:2")


def test_the_text_of_a_held_out_answer_is_no_negative_under_another_id() -> None:
    answers = [
        Answer("1", "네, 됩니다."),
        Answer("2", "주차장은 없어요."),
        Answer("3", "주차장은 없어요"),
    ]
    questions = [
        KnownQuestion("환불 되나요", "1", "train"),
        KnownQuestion("주차 되나요", "2", "dev"),
    ]
    assert [a.id for a in train_side(Collection(answers, questions)).answers] == ["1"]
