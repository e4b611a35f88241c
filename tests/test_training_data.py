import random
from collections import Counter

import pytest
from datasets import Dataset

from indexes.collection import Collection, KnownQuestion, build_collection
from indexes.tables import SAMPLE_PATH, read_table
from indexes.text import same_text_key
from training.fit.sampler import NoSharedAnswerSampler
from training.split import split_collection


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
