"""Tables in any order, each the next edition of the one before: no id and no lesson is lost."""

from dataclasses import replace
from pathlib import Path

import pytest
from effort import effort
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from dotbogi.indexes.collection import Collection, KnownQuestion, build_collection, id_of
from dotbogi.indexes.tables import Reading, Row, Table
from dotbogi.indexes.update import update

IDS = ["", "", "b1", "b2"]  # "": the table states none
TEXTS = [
    "배송은 이틀이면 도착합니다",
    "배송은 사흘이면 도착합니다",  # similar
    "배송은 이틀이면  도착합니다!",  # the same, as people see it
    "환불은 카드로 해 드려요",
    "쿠폰은 한 장만 쓸 수 있어요",
]
ASKED = ["택배 언제 와요", "돈 돌려줘", "쿠폰 있나요"]

rows = st.builds(Row, st.sampled_from(["", *ASKED]), st.sampled_from(TEXTS), st.sampled_from(IDS))
tables = st.lists(rows, min_size=1, max_size=6)
# A table, and the number of the answer that users then teach a question; None: no lesson.
editions = st.tuples(tables, st.none() | st.integers(0, 5))


def read(edition: list[Row]) -> Collection:
    table = Table(path=Path("faq.csv"), rows=edition, columns=Reading())
    return build_collection(table)[0]


def all_ids(collection: Collection) -> dict[str, str]:
    """Every id that a collection knows, and the answer that it stands for, searched or removed."""
    return {**(collection.removed.ids() if collection.removed else {}), **collection.ids()}


def lessons(collection: Collection) -> dict[str, str]:
    """What users taught, and of which answer, searched or removed."""
    aside = collection.removed.questions if collection.removed else []
    known = [q for q in collection.questions if q.origin]
    assert len({q.text for q in [*known, *aside]}) == len(known) + len(aside)
    return {q.text: q.answer_id for q in [*known, *aside]}


def assert_holds_the_table(collection: Collection, table: Collection) -> None:
    assert sorted(a.text for a in collection.answers) == sorted(a.text for a in table.answers)
    texts = {answer.id: answer.text for answer in collection.answers}
    assert len(texts) == len(collection.answers), "two answers have one id"
    own = {answer.id: answer.text for answer in table.answers}
    for id_, meant in table.ids().items():
        if id_ != id_of(own[meant]):
            assert texts[collection.ids()[id_]] == own[meant], f"the table states {id_}"
    pairs = sorted((q.text, texts[q.answer_id]) for q in collection.questions if not q.origin)
    assert pairs == sorted((q.text, own[q.answer_id]) for q in table.questions)


def assert_forgets_nothing(after: Collection, before: Collection, stated: set[str]) -> None:
    """What an id stood for, it stands for, unless it is an answer's own or the table states it."""
    ids = all_ids(after)
    for id_, meant in all_ids(before).items():
        if id_ not in stated and ids.get(id_) != id_:
            assert ids.get(id_) == ids.get(meant), f"{id_} stood for {meant}"
        assert id_ in ids or id_ not in IDS, f"{id_}, once stated, is forgotten"


def assert_keeps_ids(after: Collection, before: Collection, stated: set[str]) -> None:
    """A text that was there has the id that it had, unless the table states another one."""
    had: dict[str, set[str]] = {}
    for answer in [*before.answers, *(before.removed.answers if before.removed else ())]:
        had.setdefault(answer.text, set()).add(answer.id)
    for answer in after.answers:
        free = had.get(answer.text, set()) - stated
        assert answer.id in stated or not free or answer.id in free, answer


def edition(*stated: tuple[str, str], pupil: int | None = None) -> tuple[list[Row], int | None]:
    return [Row("", text, id_) for id_, text in stated], pupil


@pytest.mark.soak
@example(  # an answer with something that users taught returns; its alias has moved on and left
    [
        edition(("", TEXTS[3]), ("b1", TEXTS[3]), pupil=0),
        edition(("", TEXTS[0]), ("b1", TEXTS[0])),
        edition(("", TEXTS[3])),
        edition(("", TEXTS[0])),
    ]
)
@settings(max_examples=effort(30, 1000))
@given(st.lists(editions, min_size=2, max_size=8))
def test_no_id_and_no_lesson_is_lost(life: list[tuple[list[Row], int | None]]) -> None:
    for edition, _ in life:
        note(f"{[(row.answer_id, row.answer, row.question) for row in edition]}")
    now = Collection([], [])
    for number, (edition, pupil) in enumerate(life):
        before, table = now, read(edition)
        now = update(table, before).collection
        assert_holds_the_table(now, table)
        stated = {a.id for a in table.answers if a.id != id_of(a.text)}
        stated |= {alias for answer in table.answers for alias in answer.aliases}
        assert_forgets_nothing(now, before, stated)
        assert_keeps_ids(now, before, stated)
        ids = all_ids(now)
        expected = {question: ids[answer_id] for question, answer_id in lessons(before).items()}
        assert lessons(now) == expected
        if pupil is not None:
            answer_id = now.answers[pupil % len(now.answers)].id
            lesson = KnownQuestion(f"배운 질문 {number}", answer_id, None, "feedback", 1)
            now = replace(now, questions=[*now.questions, lesson])
