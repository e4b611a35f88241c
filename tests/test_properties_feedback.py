"""The store of feedback against a list, through every door that it has."""

import functools
import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from effort import effort
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dotbogi.indexes.errors import UsageError
from dotbogi.search.feedback import Feedback, FeedbackStore, save_feedback

CLIENTS = ["u-1", "u-2", "사용자 '3'"]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
votes = st.builds(
    Feedback,
    id=st.sampled_from("12345"),
    client=st.sampled_from(CLIENTS),
    query=texts,
    shown=st.lists(texts, max_size=3).map(tuple),
    answer_id=st.sampled_from(["a1", "a2"]),
    verdict=st.sampled_from(["right", "wrong", "best"]),
    generation=st.just("000001"),
    time=st.just("2026-11-21T00:00:00+00:00"),
)
doors = st.integers(0, 1)  # which of two stores is used, as by two processes


class LifeOfVotes(RuleBasedStateMachine):
    """Two stores of one workspace, opened and closed in between."""

    def __init__(self, folder: Path, done: Counter[str]) -> None:
        super().__init__()
        done["lives"] += 1
        self.done = done
        self.folder = folder / str(done["lives"])
        self.folder.mkdir()
        self.stores = [FeedbackStore.open(self.folder) for _ in range(2)]
        self.expected: list[Feedback] = []

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    @rule(vote=votes, door=doors)
    def add(self, vote: Feedback, door: int) -> None:
        is_new = (vote.client, vote.id) not in {(v.client, v.id) for v in self.expected}
        assert self.stores[door].add(vote) == is_new
        self.expected += [vote] * is_new
        self.done["votes"] += is_new

    @rule(vote=votes, door=doors, text=st.sampled_from(["", "\ud800"]))
    def add_what_cannot_be_stored(self, vote: Feedback, door: int, text: str) -> None:
        with pytest.raises(UsageError):
            self.stores[door].add(replace(vote, answer_id=text))

    @rule(client=st.sampled_from(CLIENTS), door=doors)
    def erase(self, client: str, door: int) -> None:
        left = [vote for vote in self.expected if vote.client != client]
        assert self.stores[door].erase(client) == len(self.expected) - len(left)
        self.done["erased"] += len(self.expected) - len(left)
        self.expected = left

    @rule(door=doors)
    def open_again(self, door: int) -> None:
        self.stores[door].close()
        self.stores[door] = FeedbackStore.open(self.folder)

    @rule(door=doors)
    def close(self, door: int) -> None:
        self.stores[door].close()  # a later call opens it again

    @rule(door=doors)
    def save(self, door: int) -> None:
        path = self.folder / "out.jsonl"
        assert save_feedback(self.stores[door].export(), path) == len(self.expected)
        saved = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert [{**line, "shown": tuple(line["shown"])} for line in saved] == [
            asdict(vote) for vote in self.expected
        ]

    @invariant()
    def every_door_shows_the_list(self) -> None:
        for store in self.stores:
            assert list(store.export()) == self.expected
        for client in CLIENTS:
            own = [vote for vote in self.expected if vote.client == client]
            assert list(self.stores[0].export(client)) == own


@pytest.mark.soak
def test_the_store_of_feedback_is_a_list(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    run_state_machine_as_test(
        functools.partial(LifeOfVotes, tmp_path, done),
        settings=settings(
            max_examples=effort(10, 1000),
            stateful_step_count=effort(12, 30),
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    print(dict(done))
    assert done["votes"] > 0
