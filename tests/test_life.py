"""The life of a table: indexed, voted on, edited, cut, restored, trained on."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import run
from service_process import serving
from shop import ANSWERS, Shop

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, id_of, open_collection
from dotbogi.indexes.identity import keep_ids
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.update import update
from dotbogi.search import Searcher

TAUGHT = "물건 받으려면 며칠 기다려야 하나요"  # users say: D1, whose price is edited later
GONE = "보낸 거 되돌리면 택배 값은요"  # users say: R3, which is removed later


def index(workspace: Path, table: Path, *options: object) -> dict[str, Any]:
    result = run("index", table, "-w", workspace, "--json", *options)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def published(workspace: Path) -> Collection:
    return open_collection(Workspace(workspace).current().folder)


def first(workspace: Path, query: str) -> str:
    return Searcher.open(workspace).search(query)[0].text


def train(workspace: Path, *arguments: object) -> str:
    result = run("train", *arguments, "-w", workspace, "--rounds", 1, "--epochs", 1)
    assert result.exit_code == 0, result.output
    return result.output


def vote(workspace: Path, query: str, text: str) -> None:
    """Let three users call an answer the best, through the service."""
    ids = {answer.text: answer.id for answer in published(workspace).answers}
    with serving(workspace) as service:
        for user in range(3):
            body = {
                "id": f"{ids[text]}-{user}", "client": f"user-{user}", "query": query,
                "shown": [ids[text]], "answer_id": ids[text], "verdict": "best",
                "generation": Workspace(workspace).current_name(),
            }  # fmt: skip
            assert service.call("POST", "/v1/feedback", body).status == 201


def counts(changes: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in changes["answers"].items() if count}


@pytest.mark.parametrize("ids", [True, False], ids=["with an id column", "without ids"])
def test_what_users_taught_outlives_every_edit_of_the_table(tmp_path: Path, ids: bool) -> None:
    workspace, table, shop = tmp_path / "w", tmp_path / "faq.xlsx", Shop()
    options = ("--id-column", "내부키") if ids else ()
    assert index(workspace, shop.save(table, ids=ids), *options)["changes"] is None
    vote(workspace, TAUGHT, ANSWERS["D1"])
    vote(workspace, GONE, ANSWERS["R3"])
    train(workspace, "--with-feedback")
    before = {answer.text: answer.id for answer in published(workspace).answers}
    assert first(workspace, TAUGHT) == ANSWERS["D1"]
    assert first(workspace, GONE) == ANSWERS["R3"]

    # A price is edited, an answer removed, one added, a phrasing added.
    price = "배송비는 3,500원이고 7만 원 이상이면 무료예요."
    shop.answers["D1"] = price
    removed = shop.answers.pop("R3"), shop.questions["R3"]
    shop.answers["G1"], shop.questions["G1"] = "선물 포장은 무료로 해 드려요.", ["선물 포장 되나요"]
    shop.questions["P2"].append("세금계산서 되나요")
    planned = index(workspace, shop.save(table, ids=ids), "--dry-run")["changes"]
    assert first(workspace, TAUGHT) == ANSWERS["D1"]  # nothing was published
    changes = index(workspace, table)["changes"]  # --id-column is remembered
    assert changes == planned
    assert counts(changes) == {"added": 1, "edited": 1, "removed": 1, "unchanged": 8}
    assert changes["questions"] == {"added": 2, "removed": 2, "unchanged": 21}
    assert changes["taught"] == {"kept": 1, "set_aside": 1, "returned": 0}
    assert changes["votes"] == {"edited": 3, "removed": 3, "returned": 0}
    (edited,) = changes["edited"]
    assert (edited["id"], edited["before"], edited["after"]) == (
        before[ANSWERS["D1"]], ANSWERS["D1"], price,
    )  # fmt: skip
    assert first(workspace, TAUGHT) == price
    assert removed[0] not in {answer.text for answer in published(workspace).answers}

    # The answer returns, with what users taught of it; votes count again.
    shop.answers["R3"], shop.questions["R3"] = removed
    changes = index(workspace, shop.save(table, ids=ids))["changes"]
    assert counts(changes) == {"returned": 1, "unchanged": 10}
    assert changes["taught"] == {"kept": 1, "set_aside": 0, "returned": 1}
    assert changes["votes"] == {"edited": 0, "removed": 0, "returned": 3}
    assert {a.text: a.id for a in published(workspace).answers}[removed[0]] == before[removed[0]]
    assert first(workspace, GONE) == removed[0]
    assert first(workspace, TAUGHT) == price

    # `train` takes an edited table: it indexes first.
    shop.answers["D2"] = "주문하신 날부터 3~4일이면 받아 보실 수 있어요."
    output = train(workspace, shop.save(table, ids=ids), "--with-feedback")
    assert "6 votes of 3 clients: 6 used" in output.replace("from", "of")
    assert shop.answers["D2"] in {answer.text for answer in published(workspace).answers}
    assert first(workspace, TAUGHT) == price
    assert first(workspace, GONE) == removed[0]


def test_an_id_column_that_is_named_later_keeps_votes_and_taught_questions(tmp_path: Path) -> None:
    workspace, table, shop = tmp_path / "w", tmp_path / "faq.xlsx", Shop()
    index(workspace, shop.save(table, ids=False))
    vote(workspace, TAUGHT, ANSWERS["D1"])
    train(workspace, "--with-feedback")
    changes = index(workspace, shop.save(table, ids=True), "--id-column", "내부키")["changes"]
    assert counts(changes) == {"unchanged": 10}
    assert first(workspace, TAUGHT) == ANSWERS["D1"]
    assert {answer.id for answer in published(workspace).answers} == set(ANSWERS)
    assert "3 votes" in train(workspace, "--with-feedback")
    assert first(workspace, TAUGHT) == ANSWERS["D1"]


def test_settings_are_kept_printed_and_changed_in_words(tmp_path: Path) -> None:
    workspace, table = tmp_path / "w", Shop().save(tmp_path / "faq.xlsx", ids=True)
    index(workspace, table, "--id-column", "내부키", "--split", "|")
    kept = run("index", table, "-w", workspace).output
    assert "--id-column 내부키, as before" in kept
    assert "--split |, as before" in kept
    changed = run("index", table, "-w", workspace, "--id-column", "none").output
    assert "--id-column is now none (before: 내부키)" in changed
    assert {answer.id for answer in published(workspace).answers} == set(ANSWERS)  # by their texts
    found = run("index", table, "-w", workspace, "--split", "auto", "--id-column", "auto").output
    assert "as before" not in found


def test_a_kept_id_column_that_a_table_lacks_is_refused_in_one_line(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    index(workspace, Shop().save(tmp_path / "a.xlsx", ids=True), "--id-column", "내부키")
    refused = run("index", Shop().save(tmp_path / "b.xlsx", ids=False), "-w", workspace)
    assert refused.exit_code == 2
    assert "'내부키'" in refused.stderr.splitlines()[-1]
    assert "--id-column" in refused.stderr.splitlines()[-1]


def test_strict_refuses_a_table_with_rows_that_cannot_be_used(tmp_path: Path) -> None:
    table = tmp_path / "faq.csv"
    table.write_text("질문,답변\n배고프다,밥 드세요\n졸려요,#N/A\n", encoding="utf-8")
    assert run("index", table, "-w", tmp_path / "w").exit_code == 0
    refused = run("index", table, "-w", tmp_path / "strict", "--strict")
    assert refused.exit_code == 1
    assert "row 3" in refused.stderr
    assert not (tmp_path / "strict").exists()


def test_a_test_table_may_name_answers_by_id(tmp_path: Path) -> None:
    workspace, test = tmp_path / "w", tmp_path / "test.csv"
    index(workspace, Shop().save(tmp_path / "faq.xlsx", ids=True), "--id-column", "내부키")
    test.write_text("질문,내부키\n택배비 얼마,D1\n환불은 언제,R1\n포장,G9\n", encoding="utf-8")
    result = run("evaluate", test, "-w", workspace, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["queries"] == 2
    assert found["rows"]["skipped"] == {"no answer has the id in 내부키": 1}
    by_text = tmp_path / "text.csv"
    lines = [f'택배비 얼마,"{ANSWERS["D1"]}"', f'환불은 언제,"{ANSWERS["R1"]}"']
    by_text.write_text("\n".join(["질문,답변", *lines]) + "\n", encoding="utf-8")
    same = json.loads(run("evaluate", by_text, "-w", workspace, "--json").stdout)
    assert same["metrics"] == found["metrics"]


def collection(answers: dict[str, str], questions: dict[str, str]) -> Collection:
    return Collection(
        sorted((Answer(key, text) for key, text in answers.items()), key=lambda a: a.id),
        [KnownQuestion(question, key) for question, key in questions.items()],
    )


def unnamed(*texts: str, **questions: str) -> Collection:
    """Return a collection without ids of its own; questions by text of the answer."""
    return collection(
        {id_of(text): text for text in texts}, {q: id_of(text) for q, text in questions.items()}
    )


def test_answers_are_recognised_by_text_then_questions_then_similar_text() -> None:
    old = unnamed(
        "가격은 천 원입니다.", "문은 아홉 시에 엽니다.", "주차는 두 시간까지 무료예요.",
        얼마예요="가격은 천 원입니다.",
    )  # fmt: skip
    new = unnamed(
        "값이 올라 이천오백 원이에요.", "문은 아홉 시에 엽니다!", "주차는 세 시간까지 무료예요.",
        얼마예요="값이 올라 이천오백 원이에요.",
    )  # fmt: skip
    kept, matches = keep_ids(new, old)
    assert {a.id for a in kept.answers} == {a.id for a in old.answers}
    assert sorted(m.how for m in matches.values()) == [
        "same questions", "same text", "similar text",
    ]  # fmt: skip
    assert {q.answer_id for q in kept.questions} == {id_of("가격은 천 원입니다.")}


def test_an_id_is_given_once_even_if_an_old_text_returns_beside_its_edit() -> None:
    first_state = unnamed("배송은 이틀 걸립니다.")
    second = update(unnamed("배송은 사흘 걸립니다."), first_state).collection
    third = update(unnamed("배송은 사흘 걸립니다.", "배송은 이틀 걸립니다."), second).collection
    ids = {answer.text: answer.id for answer in third.answers}
    assert ids["배송은 사흘 걸립니다."] == id_of("배송은 이틀 걸립니다.")
    assert len(set(ids.values())) == 2


def test_a_collection_that_continues_itself_does_not_change() -> None:
    old = update(
        unnamed("하나입니다.", "둘입니다.", 하나="하나입니다."), Collection([], [])
    ).collection
    again = update(old, old)
    assert again.collection == old
    assert not again.changes


def test_indexing_again_without_a_table_forgets_no_removed_answer() -> None:
    first_state = unnamed("배송은 이틀 걸립니다.", "환불은 사흘 걸려요.")
    edited = update(unnamed("배송은 사흘 걸립니다.", "환불은 사흘 걸려요."), first_state).collection
    cut = update(unnamed("환불은 사흘 걸려요."), edited).collection
    again = update(cut, cut).collection  # what `index` without a table and `train` do
    back = update(unnamed("배송은 사흘 걸립니다.", "환불은 사흘 걸려요."), again)
    ids = {answer.text: answer.id for answer in back.collection.answers}
    assert ids["배송은 사흘 걸립니다."] == id_of("배송은 이틀 걸립니다.")
    assert [text for _, text in back.changes.returned] == ["배송은 사흘 걸립니다."]


def test_an_alias_that_becomes_an_answer_of_its_own_is_no_alias() -> None:
    old = Collection([Answer("A", "같은 답입니다.", aliases=("B",))], [])
    kept, _ = keep_ids(
        Collection([Answer("A", "같은 답입니다."), Answer("B", "새 답입니다.")], []), old
    )
    assert {answer.id: answer.aliases for answer in kept.answers} == {"A": (), "B": ()}


def test_former_ids_still_work_for_votes_and_answers(tmp_path: Path) -> None:
    workspace, table = tmp_path / "w", tmp_path / "faq.xlsx"
    index(workspace, Shop().save(table, ids=False))
    old = {answer.text: answer.id for answer in published(workspace).answers}[ANSWERS["D1"]]
    index(workspace, Shop().save(table, ids=True), "--id-column", "내부키")
    with serving(workspace) as service:
        assert service.call("GET", f"/v1/answers/{old}").json["id"] == "D1"
        body = {
            "id": "v1", "client": "c", "query": TAUGHT, "shown": [old], "answer_id": old,
            "verdict": "best", "generation": "000001",
        }  # fmt: skip
        assert service.call("POST", "/v1/feedback", body).status == 201
    assert "1 votes" in train(workspace, "--with-feedback")


def test_a_damaged_model_loses_neither_settings_nor_ids(tmp_path: Path) -> None:
    workspace, table, shop = tmp_path / "w", tmp_path / "faq.xlsx", Shop()
    index(workspace, shop.save(table, ids=True), "--id-column", "내부키")
    model = Workspace(workspace).current().folder / "model" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    shop.answers["D1"] = "배송비는 없어졌어요."
    changes = index(workspace, shop.save(table, ids=True), "--model", "starter")["changes"]
    assert counts(changes) == {"edited": 1, "unchanged": 9}
    assert {answer.id for answer in published(workspace).answers} == set(ANSWERS)


def test_kept_settings_that_do_not_fit_an_export_give_way(tmp_path: Path) -> None:
    workspace, table = tmp_path / "w", tmp_path / "faq.xlsx"
    index(workspace, Shop().save(table, ids=True), "--id-column", "내부키", "--sheet", "Sheet")
    before = published(workspace)
    for name in ("out.xlsx", "out.csv", "out.jsonl", "beir"):
        assert run("export", tmp_path / name, "-w", workspace).exit_code == 0
        index(workspace, tmp_path / name)
        assert published(workspace).answers == before.answers, name


def test_train_indexes_a_table_in_which_metadata_alone_has_changed(tmp_path: Path) -> None:
    workspace, table = tmp_path / "w", tmp_path / "faq.csv"
    pairs = [(f"질문 {n} 있어요", f"답 {n // 2} 드려요") for n in range(24)]

    def save(category: str) -> Path:
        lines = [f"{question},{answer},{category}" for question, answer in pairs]
        table.write_text("\n".join(["질문,답변,분류", *lines]) + "\n", encoding="utf-8")
        return table

    index(workspace, save("배송"))
    train(workspace, save("환불"))
    assert {answer.metadata["분류"] for answer in published(workspace).answers} == {"환불"}
