import random
from collections import Counter, defaultdict

import pytest
from datasets import Dataset

from dotbogi.indexes.collection import Collection, KnownQuestion, build_collection
from dotbogi.indexes.tables import SAMPLE_PATH, read_table
from dotbogi.indexes.text import same_text_key
from dotbogi.search.known_questions import balanced_folds, fold_of
from dotbogi.training.fit.sampler import NoSharedAnswerSampler
from dotbogi.training.split import division, held_back, hold_out


def sample() -> Collection:
    return build_collection(read_table(SAMPLE_PATH))[0]


def test_held_out_is_the_share_asked_for_by_question_and_seeded() -> None:
    for share in (0, 0.1, 0.3):
        split = hold_out(sample(), share, seed=42)
        counts = Counter(question.split for question in split.questions)
        assert counts["test"] / 2428 == pytest.approx(share, abs=0.03)
        assert counts["train"] == 2428 - counts["test"]
    assert hold_out(sample(), 0.3, seed=42) == split
    assert hold_out(sample(), 0.3, seed=43) != split


def test_folds_are_even_and_those_held_out_are_of_all_folds() -> None:
    split = hold_out(sample(), 0.2, seed=42)
    for part in ("train", "test"):
        questions = [q for q in split.questions if q.split == part]
        folds = Counter(fold_of(question.text, 5, 42) for question in questions)
        assert sorted(folds) == [0, 1, 2, 3, 4]
        assert max(folds.values()) < 1.5 * min(folds.values())
        balanced = Counter(balanced_folds(questions, 5, 42))
        assert max(balanced.values()) - min(balanced.values()) < 10  # typings stay together


def test_the_questions_of_one_answer_are_in_as_many_folds_as_there_are() -> None:
    questions = [q for q in sample().questions for _ in "12"]  # every question twice
    places = defaultdict(set)
    keys = defaultdict(set)
    folds_of_key = defaultdict(set)
    for question, fold in zip(questions, balanced_folds(questions, 5, 42), strict=True):
        places[question.answer_id].add(fold)
        keys[question.answer_id].add(same_text_key(question.text))
        folds_of_key[same_text_key(question.text)].add(fold)
    assert all(len(folds) == 1 for folds in folds_of_key.values())
    apart = [len(places[answer]) == min(5, len(keys[answer])) for answer in keys]
    assert sum(apart) >= 0.99 * len(apart)  # a question of two answers may have to share one


def test_typings_of_one_question_stay_together_also_when_the_table_grows() -> None:
    twins = [KnownQuestion(text, "a") for text in ("배고프다", "배 고프다!", "배고프다~")]
    more = [KnownQuestion(f"질문 {n}", "a") for n in range(50)]
    small = hold_out(Collection([], twins), 0.5, seed=1).questions
    large = hold_out(Collection([], [*more, *twins]), 0.5, seed=1).questions[-3:]
    assert len({question.split for question in small}) == 1
    assert len({fold_of(question.text, 5, 1) for question in small}) == 1
    assert small == large


def test_outside_a_fold_is_what_is_not_marked() -> None:
    split = hold_out(sample(), 0.2, seed=42)
    train = split.only(["train"])
    kept = [number % 5 != 0 for number in range(len(train.questions))]
    outside = held_back(split, train, kept)
    marked = [q.text for q, mark in zip(train.questions, kept, strict=True) if mark]
    assert [q.text for q in outside.questions if q.split == "train"] == marked
    assert len(outside.questions) == len(split.questions)
    assert (division(5), division(1)) == (5, 10)


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
