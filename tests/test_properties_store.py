"""A workspace against a dictionary: whatever is done to it, what is open is what should be."""

import functools
import shutil
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from effort import effort
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dotbogi.indexes.collection import (
    Collection,
    KnownQuestion,
    build_collection,
    open_collection,
)
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import Reading, Row, Table
from dotbogi.search import Searcher, index_collection

IDS = ["b1", "b2", "b3", "b4", "b5"]
WORDS = ["배송은 이틀", "환불은 사흘", "쿠폰은 한 장", "Wi-Fi 설정", "배송은  이틀!"]
ASKED = ["택배 언제 와요", "돈 돌려줘", "쿠폰 있나요", "인터넷 안 돼요"]
TOPICS = ["배송", "환불"]


def as_typed(texts: list[str]) -> st.SearchStrategy[str]:
    """Texts as tables have them: composed or decomposed, with white space around them."""
    return st.builds(
        lambda text, form, frame: frame.format(unicodedata.normalize(form, text)),
        st.sampled_from(texts),
        st.sampled_from(["NFC", "NFD"]),
        st.sampled_from(["{}", " {}", "{}\n"]),
    )


def cleaned(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


@dataclass(frozen=True)
class Entry:
    """An answer in the editor's table."""

    text: str
    topic: str
    questions: list[str]


Entries = dict[str, Entry]


@dataclass(frozen=True)
class Expected:
    """What a generation should hold."""

    answers: Mapping[str, tuple[str, str]]  # id → text and topic
    pairs: frozenset[tuple[str, str]]  # the table's questions with the ids of their answers
    taught: Mapping[str, str]  # users' questions → ids of their answers, also of removed ones
    parent: str | None = None  # what was published before


def said_by(table: Entries) -> Expected:
    """What a table says: of several ids with one text, the first counts."""
    owners: dict[str, str] = {}
    answers: dict[str, tuple[str, str]] = {}
    pairs = set()
    for id_, entry in table.items():
        owner = owners.setdefault(cleaned(entry.text), id_)
        if owner == id_:
            answers[id_] = cleaned(entry.text), entry.topic
        pairs |= {(cleaned(question), owner) for question in entry.questions}
    return Expected(answers, frozenset(pairs), {})


def collection_of(table: Entries) -> Collection:
    rows = [
        Row(question, entry.text, id_, {"분류": entry.topic})
        for id_, entry in table.items()
        for question in entry.questions or [""]
    ]
    return build_collection(Table(path=Path("faq.csv"), rows=rows, columns=Reading()))[0]


def all_ids(collection: Collection) -> dict[str, str]:
    """Every id that a collection knows, and the answer that it stands for, searched or removed."""
    return {**(collection.removed.ids() if collection.removed else {}), **collection.ids()}


class LifeOfAWorkspace(RuleBasedStateMachine):
    """Edits, publications, rollbacks and prunes in any order."""

    def __init__(self, template: Path, folder: Path, done: Counter[str]) -> None:
        super().__init__()
        done["lives"] += 1
        self.done = done
        self.workspace = Workspace(folder / str(done["lives"]))
        shutil.copytree(template, self.workspace.folder)
        self.table: Entries = {"b1": Entry(WORDS[0], "", [])}
        self.expected = {"000001": said_by(self.table)}  # by generation
        self.current = "000001"
        self.opened = ""
        self.lessons = 0
        self.reader = Searcher.open(self.workspace.folder)

    def teardown(self) -> None:
        shutil.rmtree(self.workspace.folder)

    # What the editor does to the table; nothing is published.

    @rule(
        id_=st.sampled_from(IDS),
        text=as_typed(WORDS),
        topic=st.sampled_from(["", *TOPICS]),
        questions=st.lists(as_typed(ASKED), max_size=2),
    )
    def put(self, id_: str, text: str, topic: str, questions: list[str]) -> None:
        self.table[id_] = Entry(text, topic, questions)

    @precondition(lambda self: len(self.table) > 1)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        del self.table[data.draw(st.sampled_from(sorted(self.table)))]

    # What changes the workspace.

    @rule()
    def publish(self) -> None:
        self._index(collection_of(self.table), said_by(self.table))

    @rule(data=st.data())
    def teach(self, data: st.DataObject) -> None:
        """Index what is published, with one more question that users have taught."""
        here = self.expected[self.current]
        answer_id = data.draw(st.sampled_from(sorted(here.answers)))
        self.lessons += 1
        lesson = KnownQuestion(f"배운 질문 {self.lessons}", answer_id, None, "feedback", 1)
        before = open_collection(self.workspace.current().folder)
        taught = replace(before, questions=[*before.questions, lesson])
        self._index(taught, replace(here, taught={lesson.text: answer_id}))

    def _index(self, collection: Collection, said: Expected) -> None:
        before = open_collection(self.workspace.current().folder)
        generation = index_collection(self.workspace, collection, {})
        after = all_ids(open_collection(generation.folder))
        for id_, meant in all_ids(before).items():
            assert id_ in after, f"the id {id_} is forgotten"
            stated = id_ in collection.ids()
            assert stated or after[id_] == after[meant], f"{id_} stood for {meant}"
        taught = {**self.expected[self.current].taught, **said.taught}
        homes = {question: after[id_] for question, id_ in taught.items()}
        name = f"{max(map(int, self.expected)) + 1:06}"
        assert generation.name == name
        self.expected[name] = replace(said, taught=homes, parent=self.current)
        self.current = name
        self.done["publications"] += 1

    @rule()
    def roll_back(self) -> None:
        older = [name for name in self.expected if name < self.current]
        parent = self.expected[self.current].parent
        with self.workspace.writing():
            if not older:
                with pytest.raises(UsageError, match="no intact generation before"):
                    self.workspace.roll_back()
                return
            self.current = parent if parent in older else max(older)
            assert self.workspace.roll_back().name == self.current
        self.done["rollbacks"] += 1

    @rule(data=st.data())
    def roll_back_to(self, data: st.DataObject) -> None:
        self.current = data.draw(st.sampled_from(sorted(self.expected)))
        with self.workspace.writing():
            self.workspace.roll_back(self.current)
        self.done["rollbacks"] += 1

    @rule(keep=st.integers(1, 3))
    def prune(self, keep: int) -> None:
        old = [name for name in sorted(self.expected)[:-keep] if name != self.current]
        held = [name for name in old if name == self.reader.generation]
        gone = [name for name in old if name not in held]
        with self.workspace.writing():
            assert self.workspace.prune(keep) == (gone, held)
        for name in gone:
            del self.expected[name]
        self.done["prunes"] += 1

    @rule()
    def reload(self) -> None:
        """A service moves to what is published; until then, it keeps what it has open."""
        is_other = self.reader.generation != self.current
        assert self.reader.reload() == is_other
        self._check(self.reader)

    @invariant()
    def what_is_published_is_what_should_be(self) -> None:
        assert self.workspace.current_name() == self.current
        assert self.workspace.names() == sorted(self.expected)
        if self.opened != self.current:
            self._check(Searcher.open(self.workspace.folder))
            self.opened = self.current

    def _check(self, searcher: Searcher) -> None:
        assert searcher.generation == self.current
        collection, expected = searcher.index.collection, self.expected[self.current]
        found = {a.id: (a.text, a.metadata.get("분류", "")) for a in collection.answers}
        assert found == expected.answers
        pairs = [(q.text, q.answer_id) for q in collection.questions if not q.origin]
        assert sorted(pairs) == sorted(expected.pairs)
        known = {q.text: q.answer_id for q in collection.questions if q.origin}
        removed = collection.removed.questions if collection.removed else []
        aside = {q.text: q.answer_id for q in removed}
        assert {**known, **aside} == expected.taught
        assert not set(aside.values()) & expected.answers.keys()
        assert len(known) + len(aside) == len(expected.taught)
        asked = {*expected.pairs, *known.items()}
        questions = sorted({question for question, _ in asked})
        for question, hits in zip(questions, searcher.search_many(questions), strict=True):
            assert (question, hits[0].answer_id) in asked
            assert hits[0].text == expected.answers[hits[0].answer_id][0]
        self.done["openings"] += 1


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A workspace with one answer, to be copied: its model is converted once."""
    table = {"b1": Entry(WORDS[0], "", [])}
    folder = tmp_path / "template"
    index_collection(Workspace(folder), collection_of(table), {}, changes={"analyzer": "bigram"})
    return folder


@pytest.mark.soak
def test_a_workspace_is_a_dictionary(template: Path, tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    run_state_machine_as_test(
        functools.partial(LifeOfAWorkspace, template, tmp_path, done),
        settings=settings(
            max_examples=effort(3, 1000),
            stateful_step_count=effort(8, 20),
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    print(dict(done))
    assert done["openings"] >= done["lives"]
