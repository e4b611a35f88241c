"""Many queries at once give what each of them gives alone."""

import numpy as np

from dotbogi.indexes.views import SIGNALS
from dotbogi.search.candidates import Candidates
from dotbogi.search.confidence import features_of, features_of_many
from dotbogi.search.fusion import FusionWeights, fuse
from dotbogi.search.stacked import Stacked


def made(seed: int) -> tuple[list[Candidates], list[dict[str, int]]]:
    """Queries with 0 to 12 answers, many ties, and signals that found nothing."""
    rng = np.random.default_rng(seed)
    candidates, grades = [], []
    for _ in range(60):
        ids = [f"a{n:02}" for n in range(rng.integers(0, 13))]
        scores = rng.random((len(ids), len(SIGNALS))).round(1)
        scores[rng.random(scores.shape) < rng.random()] = np.nan
        candidates.append(Candidates(ids, scores))
        grades.append({f"a{n:02}": int(rng.integers(0, 2)) for n in rng.integers(0, 15, 3)})
    return candidates, grades


def test_parts_and_right_answers_are_those_of_each_query() -> None:
    candidates, grades = made(1)
    stacked = Stacked.of(candidates, grades)
    kept = [i for i, of_query in enumerate(candidates) if of_query.answer_ids]
    assert stacked.queries.tolist() == kept
    parts = np.split(stacked.parts(), stacked.starts[1:])
    right = np.split(stacked.right, stacked.starts[1:])
    for query, of_query, marks in zip(kept, parts, right, strict=True):
        assert np.array_equal(of_query, candidates[query].parts())
        expected = [grades[query].get(id_, 0) > 0 for id_ in candidates[query].answer_ids]
        assert marks.tolist() == expected


def test_without_right_answers_it_is_as_if_they_had_not_been_found() -> None:
    candidates, grades = made(2)
    right = [{id_ for id_, grade in graded.items() if grade} for graded in grades]
    alone = [c.without(ids) for c, ids in zip(candidates, right, strict=True)]
    expected = Stacked.of(alone, grades)
    stacked = Stacked.of(candidates, grades)
    found = stacked.only(~stacked.right)
    assert not found.right.any()
    assert np.array_equal(found.queries, expected.queries)
    assert np.array_equal(found.starts, expected.starts)
    assert np.array_equal(found.scores, expected.scores, equal_nan=True)


def test_features_are_those_of_each_query() -> None:
    candidates, grades = made(3)
    stacked = Stacked.of(candidates, grades)
    fused = (stacked.parts() @ FusionWeights().vector()).round(12)
    first, next_ = stacked.best(fused)
    lengths = np.arange(len(stacked.queries))
    many = features_of_many(lengths, stacked.scores, stacked.starts, first, fused[first], next_)
    for length, query, features in zip(lengths, stacked.queries, many, strict=True):
        ranked = fuse(candidates[query], k=2)
        alone = features_of("가" * length, candidates[query], ranked)
        assert np.array_equal(features, alone)


def test_nothing_can_be_stacked() -> None:
    stacked = Stacked.of([Candidates([], np.zeros((0, len(SIGNALS))))], [{"a": 1}])
    assert stacked.parts().shape[0] == len(stacked.queries) == len(stacked.any(stacked.right)) == 0
    assert len(stacked.only(stacked.right).queries) == 0
