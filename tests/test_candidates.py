import numpy as np
import pytest
from conftest import LetterEncoder

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.hits import Evidence
from dotbogi.search.candidates import Candidates
from dotbogi.search.index import build_index
from dotbogi.search.ranking import find_candidates, find_rankings


@pytest.mark.parametrize("n", [1, 3, 100])
def test_candidates_are_those_of_the_rankings(encoder: LetterEncoder, n: int) -> None:
    rng = np.random.default_rng(0)
    letters = [chr(0xAC00 + 28 * 7 * i) for i in range(12)]

    def text() -> str:
        return "".join(rng.choice(letters, 5)) + " " + "".join(rng.choice(letters, 3))

    answers = [Answer(f"a{i:02}", text()) for i in range(40)]
    questions = [KnownQuestion(text(), f"a{rng.integers(40):02}") for _ in range(90)]
    questions += [KnownQuestion(questions[0].text, f"a{i:02}") for i in range(5)]  # ties
    index = build_index(Collection(answers, questions), encoder)
    queries = [text() for _ in range(30)] + [questions[0].text, "xyz"]
    pairs = zip(find_candidates(index, queries, n), find_rankings(index, queries, n), strict=True)
    for gathered, signals in pairs:
        of_rankings = Candidates.of(signals)
        assert gathered.answer_ids == of_rankings.answer_ids
        np.testing.assert_array_equal(gathered.scores, of_rankings.scores)
        assert gathered.questions == of_rankings.questions
        for answer_id, evidence in zip(
            gathered.answer_ids, gathered.evidence(gathered.answer_ids), strict=True
        ):
            assert evidence == {
                name: Evidence(rank, found.score)
                for name, ranking in signals.items()
                for rank, found in enumerate(ranking, 1)
                if found.answer_id == answer_id
            }


def test_without_an_answer_is_what_the_signals_find_if_it_is_not_there() -> None:
    found = Candidates(["a", "b"], np.arange(12.0).reshape(2, 6), {"a": "q"})
    left = found.without({"a"})
    assert left.answer_ids == ["b"]
    assert left.scores.tolist() == [[6, 7, 8, 9, 10, 11]]
