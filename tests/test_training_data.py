import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset

from indexes.analyzer import Analyzer
from indexes.collection import Answer, Collection, KnownQuestion, build_collection
from indexes.errors import UsageError
from indexes.tables import SAMPLE_PATH, read_table
from indexes.text import same_text_key
from search.encoders import open_encoder
from search.scratch import save_scratch_model
from tests.conftest import LetterEncoder
from training.negatives import (
    Mined,
    MiningConfig,
    mine,
    open_negatives,
    parse_quotas,
    save_negatives,
)
from training.sampler import NoSharedAnswerSampler
from training.split import split_collection

SHARED = Path(__file__).parents[2] / "shared" / "data"


def sample() -> Collection:
    return split_collection(build_collection(read_table(SAMPLE_PATH))[0], seed=42)


def test_split_is_by_question_seeded_and_about_80_10_10() -> None:
    collection = sample()
    counts = Counter(question.split for question in collection.questions)
    assert counts["train"] / 2428 == pytest.approx(0.8, abs=0.03)
    assert counts["dev"] / 2428 == pytest.approx(0.1, abs=0.03)
    assert sample() == collection
    assert split_collection(collection, seed=43) != collection


def test_typings_of_one_question_share_a_split_and_keep_it_when_the_table_grows() -> None:
    twins = [KnownQuestion(text, "a") for text in ("배고프다", "배 고프다!", "배고프다~")]
    more = [KnownQuestion(f"질문 {n}", "a") for n in range(50)]
    small = split_collection(Collection([], twins), seed=1).questions
    large = split_collection(Collection([], [*more, *twins]), seed=1).questions[-3:]
    assert len({question.split for question in small}) == 1
    assert small == large


def test_no_batch_holds_a_text_twice_or_anothers_right_answer() -> None:
    rng = random.Random(0)
    rows = []
    for number in range(400):
        answer = number % 37
        negatives = rng.sample([n for n in range(37) if n != answer], 2)
        question = f"q{number // 2}" if number % 10 < 2 else f"q{number}"  # some have two answers
        rows.append((question, f"answer {answer}", *(f"Answer  {n}!" for n in negatives)))
    columns = zip(*rows, strict=True)
    dataset = Dataset.from_dict(
        dict(zip(["anchor", "positive", "n1", "n2"], map(list, columns), strict=True))
    )
    right: dict[str, set[str]] = {}
    for question, positive, *_ in rows:
        right.setdefault(question, set()).add(same_text_key(positive))
    sampler = NoSharedAnswerSampler(dataset, batch_size=16, drop_last=False, seed=3)
    seen: Counter[int] = Counter()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) <= len(sampler)
        for batch in batches:
            seen.update(batch)
            texts = [{same_text_key(text) for text in rows[i]} for i in batch]
            assert sum(map(len, texts)) == len(set().union(*texts))
            for i in batch:
                brought = set().union(*(set(map(same_text_key, rows[j])) for j in batch if j != i))
                assert not right[rows[i][0]] & brought
    assert len(seen) == len(rows)


def test_batches_differ_by_epoch_and_repeat_by_seed() -> None:
    texts = {"anchor": [f"q{n}" for n in range(64)], "positive": [f"a{n}" for n in range(64)]}
    dataset = Dataset.from_dict(texts)

    def batches(seed: int, epoch: int) -> list[list[int]]:
        sampler = NoSharedAnswerSampler(dataset, batch_size=8, drop_last=False, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert batches(1, 0) == batches(1, 0)
    assert batches(1, 0) != batches(1, 1) != batches(2, 1)
    assert sorted(row for batch in batches(1, 1) for row in batch) == list(range(64))


def assert_clean(collection: Collection, mined: Mined) -> None:
    """No negative is right, shares the answer, or comes from dev or test rows."""
    texts = {answer.id: same_text_key(answer.text) for answer in collection.answers}
    right: dict[str, set[str]] = {}
    train_answers, held_out = set(), set()
    for question in collection.questions:
        right.setdefault(same_text_key(question.text), set()).add(texts[question.answer_id])
        (train_answers if question.split == "train" else held_out).add(question.answer_id)
    train_questions = {q.text for q in collection.questions if q.split == "train"}
    negatives = list(mined.all())
    assert negatives
    for negative in negatives:
        assert negative.question in train_questions
        assert texts[negative.answer_id] not in right[same_text_key(negative.question)]
        assert negative.answer_id != negative.positive_id
        assert negative.answer_id not in held_out - train_answers
        assert negative.source == "random" or negative.cosine <= negative.bound
    for pair, row in mined.rows.items():
        assert len({texts[negative.answer_id] for negative in row}) == len(row), pair


def test_no_mined_negative_is_right_or_held_out(tmp_path: Path) -> None:
    collection = sample()
    save_scratch_model([answer.text for answer in collection.answers], tmp_path / "m")
    config = MiningConfig(quotas={"bm25": 2, "model": 2, "random": 1})
    mined = mine(collection, open_encoder(tmp_path / "m"), Analyzer(), config)
    assert_clean(collection, mined)
    assert {len(row) for row in mined.rows.values()} == {5}
    assert len(mined.rows) == sum(q.split == "train" for q in collection.questions)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="chatbot.csv is not in a clone")
def test_no_negative_mined_from_chatbot_csv_is_right_or_held_out(tmp_path: Path) -> None:
    table = read_table(SHARED / "chatbot.csv")
    collection = split_collection(build_collection(table)[0], seed=42)
    save_scratch_model([answer.text for answer in collection.answers], tmp_path / "m")
    mined = mine(collection, open_encoder(tmp_path / "m"), Analyzer(), MiningConfig())
    assert_clean(collection, mined)


def mined_by_hand(**changes: object) -> Mined:
    answers = [
        Answer("a", "가나"),
        Answer("b", "가나다"),
        Answer("c", "라마"),
        Answer("d", "가 나!"),
    ]
    questions = [
        KnownQuestion("가나", "a", "train"),
        KnownQuestion("라", "c", "train"),
        KnownQuestion("바", "d", "train"),
        KnownQuestion("다", "b", "train"),
    ]
    config = replace(MiningConfig(quotas={"model": 1}, seed=0), **changes)  # type: ignore[arg-type]
    return mine(Collection(answers, questions), LetterEncoder(), Analyzer("bigram"), config)


def test_the_bound_drops_what_scores_too_near_the_positive_and_lists_it() -> None:
    # "가나": its positive has cosine 1, "가나다" has 2/√6 = .816; "가 나!" equals the positive.
    strict, loose = mined_by_hand(bound=0.8), mined_by_hand(bound=0.9)
    assert [(n.answer_id, n.source) for n in strict.rows["가나", "a"]] == [("c", "model")]
    assert ("가나", "b") in {(s.question, s.answer_id) for s in strict.suspects}
    found = loose.rows["가나", "a"][0]
    assert (found.answer_id, found.positive_cosine, found.bound) == pytest.approx(("b", 1, 0.9))
    assert found.cosine == pytest.approx(2 / 6**0.5)


def test_random_answers_take_the_places_of_a_starving_source() -> None:
    row = mined_by_hand(quotas={"bm25": 2}).rows["라", "c"]
    assert {negative.source for negative in row} == {"random"}
    assert len(row) == 2


def test_mining_is_seeded() -> None:
    config = {"quotas": {"random": 2}}
    assert mined_by_hand(**config).rows == mined_by_hand(**config).rows


def test_saved_negatives_open_equal(tmp_path: Path) -> None:
    negatives = list(mined_by_hand().all())
    save_negatives(negatives, tmp_path / "n.parquet")
    assert open_negatives(tmp_path / "n.parquet") == negatives


@pytest.mark.parametrize("text", ["bm25", "web:3", "bm25:x", "bm25:-1", ""])
def test_quotas_that_cannot_be_read_say_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="SOURCE:COUNT"):
        parse_quotas(text)
