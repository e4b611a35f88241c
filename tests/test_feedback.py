import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from conftest import ANSWERS, QUESTIONS, run
from feedback_writers import feedback
from ledgers import cut

from dotbogi.indexes.collection import (
    Answer,
    Collection,
    KnownQuestion,
    build_collection,
    open_collection,
    save_collection,
)
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import read_table
from dotbogi.search import Searcher
from dotbogi.search.confidence import FEATURES, Calibration
from dotbogi.search.feedback import FeedbackStore
from dotbogi.search.fitted import Fitted
from dotbogi.search.index import open_index
from dotbogi.training import LoopConfig, run_loop
from dotbogi.training.judgements.decisions import Decision, apply_decisions, save_decisions
from dotbogi.training.judgements.feedback import Poll, apply_feedback, count_votes, feedback_counts
from dotbogi.training.negatives.files import open_negatives
from dotbogi.training.split import hold_out

Vote = tuple[str, str, str, str]  # client, query, answer, verdict


def table() -> Collection:
    return Collection(
        [Answer(key, text) for key, text in ANSWERS.items()],
        [KnownQuestion(text, answer_id) for text, answer_id in QUESTIONS],
    )


def votes(*cast: Vote, per_client: int = 50) -> Any:
    rows = [
        feedback(f"{number}", client=client, query=query, answer_id=answer, verdict=verdict)
        for number, (client, query, answer, verdict) in enumerate(cast)
    ]
    return count_votes(rows, ANSWERS, per_client)


def test_a_client_has_one_vote_a_pair_its_last_whatever_the_typing() -> None:
    counted = votes(
        ("c", "밥 먹고 싶어", "a1", "right"),
        ("c", "밥먹고 싶어!!", "a1", "wrong"),
        ("d", "밥 먹고싶어", "a1", "wrong"),
        ("d", "밥 먹고싶어", "a2", "right"),
    )
    assert [*counted.polls.values()] == [
        Poll("밥먹고 싶어!!", "a1", right=0, wrong=2),
        Poll("밥 먹고싶어", "a2", right=1, wrong=0),
    ]
    assert (counted.clients, counted.votes) == (2, 3)


def test_of_a_client_only_the_last_votes_count_and_the_rest_is_told() -> None:
    """Five votes of a spammer with a cap of 2: three are capped, whatever they say."""
    spam: list[Vote] = [("spam", f"질문 {number}", "a8", "right") for number in range(5)]
    counted = votes(
        *spam,
        ("c", "질문 4", "a1", "right"),
        ("c", "질문 4", "a8", "wrong"),
        ("d", "질문 4", "a8", "wrong"),
        ("d", "", "a1", "right"),
        ("d", "질문 4", "a99", "right"),
        per_client=2,
    )
    polls = {
        (poll.query, poll.answer_id): (poll.right, poll.wrong) for poll in counted.polls.values()
    }
    assert polls == {
        ("질문 3", "a8"): (1, 0),
        ("질문 4", "a8"): (1, 2),  # outvoted
        ("질문 4", "a1"): (1, 0),
    }
    assert (counted.votes, counted.capped, counted.unmatched) == (10, 3, 2)


def test_a_majority_makes_pairs_known_or_wrong_and_a_tie_is_listed_and_not_used() -> None:
    applied = apply_feedback(
        table(),
        votes(
            ("c", "배 고프다!", "a2", "right"),  # a known question, asked in another typing
            ("c", "뭐라도 먹고파 ", "a1", "right"),
            ("c", "비번 까먹음", "a8", "wrong"),
            ("c", "택배 언제 와요", "a4", "right"),
            ("d", "택배 언제 와요", "a4", "wrong"),
            ("c", "피곤해 죽겠다", "a2", "wrong"),  # in the table
            ("c", "피곤해 죽겠다", "a1", "right"),
            ("d", "피곤해 죽겠다", "a2", "right"),
            ("e", "피곤해 죽겠다", "a2", "wrong"),
        ),
    )
    assert applied.right == [("배고프다", "a2"), ("뭐라도 먹고파", "a1"), ("피곤해 죽겠다", "a1")]
    assert applied.added == 3
    assert applied.collection.questions == [
        *table().questions,
        KnownQuestion("배고프다", "a2", None, "feedback", 1),
        KnownQuestion("뭐라도 먹고파", "a1", None, "feedback", 1),
        KnownQuestion("피곤해 죽겠다", "a1", None, "feedback", 1),
    ]
    assert applied.wrong == [("비번 까먹음", "a8")]
    assert applied.conflicts == [Poll("택배 언제 와요", "a4", 1, 1)]
    assert applied.overruled == 1


def test_of_two_right_answers_a_client_prefers_the_one_it_named_last() -> None:
    applied = apply_feedback(
        table(),
        votes(
            ("c", "배고프다", "a1", "right"),
            ("c", "배고프다", "a3", "right"),
            ("d", "배고프다", "a3", "right"),
            ("e", "배고프다", "a1", "right"),
        ),
    )
    preferred = {q.answer_id: q.preferred for q in applied.collection.questions if q.preferred}
    assert preferred == {"a3": 2, "a1": 1}
    silent = apply_feedback(applied.collection, votes())
    assert silent.collection == table()  # also the preference for what the table holds is gone


def test_what_feedback_made_known_goes_when_it_is_wrong_or_erased_and_else_stays() -> None:
    first: list[Vote] = [("c", f"새 질문 {number}", "a1", "right") for number in range(3)]
    known = apply_feedback(table(), votes(*first)).collection
    again = apply_feedback(known, votes(*first))
    assert (again.collection, again.added, again.withdrawn) == (known, 0, 0)
    changed = apply_feedback(
        known,
        votes(
            first[0], ("d", "새 질문 1", "a1", "wrong"), ("e", "새 질문 1", "a1", "wrong"), first[1]
        ),
    )
    assert [q.text for q in changed.collection.questions if q.origin] == ["새 질문 0"]
    assert (changed.withdrawn, changed.wrong) == (2, [("새 질문 1", "a1")])
    tied = apply_feedback(known, votes(*first, ("d", "새 질문 0", "a1", "wrong")))
    assert tied.withdrawn == 0
    capped = apply_feedback(known, votes(*first, per_client=1))
    assert (capped.votes.capped, capped.withdrawn) == (2, 0)


def test_a_review_overrules_votes_before_and_after_they_were_used() -> None:
    said = votes(("c", "배고프다", "a2", "right"))
    rejected = [Decision("배고프다", ANSWERS["a2"], False, "2026-11-21T00:00:00+00:00")]
    before = apply_decisions(table(), rejected)
    applied = apply_feedback(before.collection, said, before.rejected)
    assert applied.collection == table()
    assert (applied.right, applied.overruled) == ([], 1)
    used = apply_feedback(table(), said).collection
    after = apply_decisions(used, rejected)
    assert (after.collection, after.withdrawn) == (table(), 1)


def test_a_query_of_feedback_goes_where_its_hash_sends_it_and_counts_add_up() -> None:
    queries = {split_of(f"질문 {n}"): f"질문 {n}" for n in range(50)}
    assert len(queries) == 2
    said: list[Vote] = [("c", query, "a1", "right") for query in queries.values()]
    said += [("c", query, "a2", "wrong") for query in queries.values()]
    said += [("d", "배고프다", "a5", "right"), ("e", "배고프다", "a5", "wrong")]
    said += [("d", "배고프다", "a77", "right")]
    applied = apply_feedback(table(), votes(*said))
    split = hold_out(applied.collection, 0.2, seed=42)
    for name, query in queries.items():
        assert KnownQuestion(query, "a1", name, "feedback", 1) in split.questions
    counts = feedback_counts(applied, split)
    assert counts == {
        "clients": 3, "votes": 7, "used": 4, "conflicting": 2, "capped": 0, "unmatched": 1,
        "right": {"train": 1, "dev": 0, "test": 1}, "added": 2, "wrong": 2, "negatives": 1,
        "conflicts": 1, "withdrawn": 0, "overruled": 0,
    }  # fmt: skip
    assert counts["votes"] == sum(
        counts[name] for name in ("used", "conflicting", "capped", "unmatched")
    )


def test_a_collection_keeps_what_came_from_feedback_and_older_ones_are_read(tmp_path: Path) -> None:
    kept = Collection(table().answers, [KnownQuestion("배고프다", "a1", "dev", "feedback", 3)])
    save_collection(kept, tmp_path)
    assert open_collection(tmp_path) == kept
    path = tmp_path / "questions.parquet"
    pq.write_table(pq.ParquetFile(path).read(["text", "answer_id", "split"]), path)
    assert open_collection(tmp_path).questions == [KnownQuestion("배고프다", "a1", "dev")]


def test_capped_votes_keep_what_they_made_known_and_wrong_ones_alone_do_not() -> None:
    known = KnownQuestion("배고프다", "a2", None, "feedback", 1)
    before = Collection(table().answers, [*table().questions, known])
    newer = [("c", f"질문 {n}", "a1", "right") for n in range(60)]
    capped = votes(("c", "배고프다", "a2", "right"), *newer)
    assert known in apply_feedback(before, capped).collection.questions
    changed = votes(
        ("c", "배고프다", "a2", "best"),
        ("c", "배고프다", "a1", "best"),
        *newer,
        ("d", "배고프다", "a1", "wrong"),
    )
    questions = apply_feedback(before, changed).collection.questions
    weights = {q.answer_id: q.preferred for q in questions if q.text == "배고프다"}
    assert weights["a2"] == 0  # a client prefers one, its last
    erased = votes(*newer)
    assert known not in apply_feedback(before, erased).collection.questions
    taken_back = votes(("d", "배고프다", "a2", "wrong"), *[("d", *each[1:]) for each in newer])
    applied = apply_feedback(before, taken_back)
    assert (known.text, known.answer_id) not in {
        (q.text, q.answer_id) for q in applied.collection.questions
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Indexed; 40 answers, each with the questions of two customers."""
    pairs = tmp_path / "pairs.csv"
    lines = [f"질문 {n} 배송 언제,답변 {n // 2} 배송" for n in range(80)]
    pairs.write_text("\n".join(["question,answer", *lines]) + "\n", encoding="utf-8")
    assert run("index", pairs, "-w", tmp_path / "w", "--model", "starter").exit_code == 0
    return tmp_path / "w"


def train(workspace: Path, *options: object) -> Result:
    result = run("train", "-w", workspace, "--rounds", 1, "--epochs", 1, *options)
    assert result.exit_code == 0, result.output
    return result


def events(workspace: Path, number: int) -> dict[str, Any]:
    lines = (workspace / f"rounds/run-{number:04}/ledger.jsonl").read_text().splitlines()
    return {event["event"]: event for event in map(json.loads, lines)}


def say(workspace: Path, *cast: Vote) -> None:
    store = FeedbackStore.open(workspace)
    before = len(list(store.export()))
    for number, (client, query, answer, verdict) in enumerate(cast, before):
        assert store.add(
            feedback(f"{number}", client=client, query=query, answer_id=answer, verdict=verdict)
        )
    store.close()


def found(workspace: Path, query: str) -> list[str]:
    return [hit.answer_id for hit in Searcher.open(workspace).search(query)]


def trained_query(start: str) -> str:
    return next(q for q in (f"{start} {n}" for n in range(100)) if split_of(q) == "train")


def split_of(query: str) -> str | None:
    """Return where a question goes if a fifth is held out."""
    one = Collection([], [KnownQuestion(query, "a")])
    return hold_out(one, 0.2, seed=42).questions[0].split


def test_what_users_say_is_trained_on_and_a_marked_answer_comes_first(workspace: Path) -> None:
    query, held_out = (
        trained_query("물건이 안 오네"),
        next(q for q in (f"왜 이리 늦죠 {n}" for n in range(100)) if split_of(q) == "test"),
    )
    marked = [found(workspace, text)[4] for text in (query, held_out)]
    questions = open_collection(Workspace(workspace).current().folder).questions
    trained = {q.answer_id for q in questions if split_of(q.text) == "train"}
    wrong = next(a for a in found(workspace, query) if a in trained and a not in marked)
    say(
        workspace,
        ("c", query, marked[0], "right"),
        ("c", query, wrong, "wrong"),
        ("d", held_out, marked[1], "right"),
        ("d", held_out, wrong, "wrong"),
        ("e", query, marked[0], "right"),
        ("e", query, marked[1], "right"),
        ("d", query, marked[1], "wrong"),
    )
    result = train(workspace, "--with-feedback", "--holdout", 0.2)
    assert "feedback: 7 votes of 3 clients: 5 used, 2 conflicting" in result.stdout
    assert (
        "2 right (1 in folds, 1 held out; 2 new), 2 wrong (1 for questions in folds)"
        in result.stdout
    )
    assert found(workspace, query)[0] == marked[0]
    assert found(workspace, f" {held_out}!")[0] == marked[1]

    ledger, folder = events(workspace, 1), workspace / "rounds" / "run-0001"
    used = ledger["started"]["feedback"]
    assert used["right"] == {"train": 1, "dev": 0, "test": 1}
    assert (used["used"], used["wrong"], used["negatives"], used["conflicts"]) == (5, 2, 1, 1)
    assert ledger["mined"]["yields"]["feedback"]["kept"] == 1
    confirmed = [
        n for n in open_negatives(folder / "negatives-1.parquet") if n.source == "feedback"
    ]
    assert [(n.question, n.positive_id, n.answer_id) for n in confirmed] == [
        (query, marked[0], wrong)
    ]
    page, short = ((folder / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert "Conflicting votes, not used: 1" in page
    for text in (page, short):
        assert re.search(r"Votes: 7, by 3 clients; used: 5; 2 ", text)
        assert re.search(r"held-out questions with answers from feedback \(1\)", text)

    assert "feedback" not in train(workspace).stdout  # used only where it is asked for
    known = {q.text for q in open_collection(Workspace(workspace).current().folder).questions}
    assert {query, held_out} <= known  # what it made known stays


def test_without_a_better_round_feedback_is_published_with_the_model_as_it_was(
    workspace: Path,
) -> None:
    train(workspace)  # fits weights and confidence
    before = Workspace(workspace).current()
    query = trained_query("물건이 안 오네")
    marked = found(workspace, query)[4]
    say(workspace, ("c", query, marked, "right"))
    result = train(workspace, "--with-feedback", "--learning-rate", 1e-9, "--model", "starter")
    assert re.search("no round was better: .*users' votes", result.stdout)
    place = Workspace(workspace)
    now = place.current()
    assert now.name > before.name
    for name in ("model", "model_fingerprint", "training"):
        assert now.manifest[name] == before.manifest[name]
    assert now.manifest["run"] == "run-0002"
    assert found(workspace, query)[0] == marked
    report = (workspace / "rounds/run-0002/report.md").read_text()
    assert re.search(f"feedback published as generation {now.name}", report)

    result = train(workspace, "--with-feedback", "--learning-rate", 1e-9, "--model", "starter")
    assert "nothing was published" in result.stdout  # nobody has said anything new
    assert run("feedback", "erase", "-w", workspace, "--client", "c").exit_code == 0
    train(workspace, "--with-feedback", "--learning-rate", 1e-9, "--model", "starter")
    questions = open_collection(place.current().folder).questions
    assert query not in {question.text for question in questions}
    assert events(workspace, 4)["started"]["feedback"]["withdrawn"] == 1


def test_a_marked_answer_comes_before_those_that_were_known_or_liked(workspace: Path) -> None:
    """A user likes the first answer, marks another as the right one, and asks again."""
    for query in ("질문 0 배송 언제", trained_query("물건이 안 오네")):
        first, *others = found(workspace, query)
        say(workspace, ("c", query, first, "right"), ("c", query, others[3], "right"))
        train(workspace, "--with-feedback", "--learning-rate", 1e-9)
        assert found(workspace, query)[:2] == [others[3], first]


def test_the_best_comes_before_what_was_called_right_later(workspace: Path) -> None:
    query = trained_query("물건이 안 오네")
    first, *others = found(workspace, query)
    say(workspace, ("c", query, others[3], "best"), ("c", query, first, "right"))
    say(workspace, ("d", query, others[1], "best"), ("d", query, others[3], "best"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)
    assert found(workspace, query)[0] == others[3]
    questions = open_collection(Workspace(workspace).current().folder).questions
    preferred = {q.answer_id: q.preferred for q in questions if q.text == query}
    assert preferred == {others[3]: 2, first: 0, others[1]: 0}


def test_what_users_prefer_is_sure_enough_to_be_answered(workspace: Path) -> None:
    query = trained_query("물건이 안 오네")
    marked = found(workspace, query)[4]
    say(workspace, ("c", query, marked, "right"), ("d", query, marked, "best"))
    say(workspace, ("e", query, marked, "wrong"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)
    index = open_index(Workspace(workspace).current())
    coefficients = dict.fromkeys(FEATURES, 0.0)
    never = Calibration(coefficients=coefficients, intercept=-9.0, threshold=0.9, source="")
    searcher = Searcher(replace(index, fitted=Fitted(calibration=never)))
    (hit,) = searcher.search(query, k=1, min_confidence=0.5)
    assert (hit.answer_id, hit.confidence) == (marked, 3 / 5)  # (2 + 1) / (2 + 1 + 2)
    assert searcher.search("다른 질문", min_confidence=0.5) == []


def test_a_run_is_its_own_also_where_older_ones_were_deleted(workspace: Path) -> None:
    query, another = trained_query("물건이 안 오네"), trained_query("왜 이리 늦죠")
    say(workspace, ("c", another, found(workspace, another)[4], "right"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)
    place = Workspace(workspace)
    before = place.current()
    assert before.manifest["run"] == "run-0001"
    shutil.rmtree(place.rounds_folder)
    marked = found(workspace, query)[4]
    say(workspace, ("c", query, marked, "right"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)  # run-0001 again
    assert (place.current_name() or "") > before.name
    assert found(workspace, query)[0] == marked


def test_a_pair_that_a_review_takes_back_holds_up_no_feedback(workspace: Path) -> None:
    known = open_collection(Workspace(workspace).current().folder)
    question, other = known.questions[0], known.answers[-1]
    accepted = Decision(question.text, other.text, True, "2026-11-20")
    save_decisions(workspace, [accepted])
    another = trained_query("왜 이리 늦죠")
    say(workspace, ("c", another, found(workspace, another)[4], "right"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)
    place = Workspace(workspace)
    pairs = {(q.text, q.answer_id) for q in open_collection(place.current().folder).questions}
    assert (question.text, other.id) in pairs
    save_decisions(workspace, [replace(accepted, right=False, time="2026-11-21")])
    query = trained_query("물건이 안 오네")
    marked = found(workspace, query)[4]
    say(workspace, ("c", query, marked, "right"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)
    pairs = {(q.text, q.answer_id) for q in open_collection(place.current().folder).questions}
    assert (question.text, other.id) not in pairs
    assert (query, marked) in pairs


def test_a_table_lacks_what_users_asked_and_keeps_it(workspace: Path) -> None:
    query = trained_query("물건이 안 오네")
    marked = found(workspace, query)[4]
    say(workspace, ("c", query, marked, "right"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)
    table = workspace.parent / "pairs.csv"
    train(workspace, table, "--epochs", 5)
    train(workspace, table, "--model", "starter", "--epochs", 5)
    questions = open_collection(Workspace(workspace).current().folder).questions
    assert [q.origin for q in questions if q.text == query] == ["feedback"]
    assert found(workspace, query)[0] == marked


def test_a_table_keeps_what_users_prefer_among_its_own_pairs(workspace: Path) -> None:
    query = "질문 0 배송 언제"
    own, other = found(workspace, query)[0], found(workspace, query)[3]
    say(workspace, *[(client, query, own, "best") for client in "cde"], ("f", query, other, "best"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9)
    assert found(workspace, query)[:2] == [own, other]
    table, place = workspace.parent / "pairs.csv", Workspace(workspace)
    before = place.current_name()
    for options in ((), ("--model", "starter")):
        train(workspace, table, "--learning-rate", 1e-9, *options)
        assert found(workspace, query)[:2] == [own, other]
    lines = table.read_text(encoding="utf-8").splitlines()
    more = workspace.parent / "more.csv"
    texts = {a.id: a.text for a in open_collection(place.current().folder).answers}
    more.write_text("\n".join([*lines, f"{query}??,{texts[other]}"]) + "\n", encoding="utf-8")
    train(workspace, more, "--epochs", 5)  # the table has taken the pair in, in other typing
    assert found(workspace, query)[:2] == [own, other]
    assert (place.current_name() or "") >= (before or "")


def test_a_table_that_lacks_pairs_is_published_by_the_command_and_not_by_the_loop(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = Workspace(workspace).current_name()
    lines = (workspace.parent / "pairs.csv").read_text(encoding="utf-8").splitlines()
    fewer = workspace.parent / "fewer.csv"
    fewer.write_text("\n".join([lines[0], *lines[2:]]) + "\n", encoding="utf-8")
    collection, _ = build_collection(read_table(fewer))
    config = LoopConfig(rounds=1, kind="adapter", fit={"epochs": 1, "learning_rate": 1e-9})
    with caplog.at_level("INFO"):
        run_loop(Workspace(workspace), collection, config)
    assert Workspace(workspace).current_name() == before
    assert re.search("nothing .* published: the table lacks pairs", caplog.text)
    train(workspace, fewer, "--learning-rate", 1e-9)  # indexes the table first
    published = open_collection(Workspace(workspace).current().folder)
    assert len(published.questions) == len(collection.questions)


def test_feedback_is_published_once_when_a_run_is_cut_off_behind_it(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dotbogi.training.rounds.clear_models", lambda folder: None)
    train(workspace)
    query = trained_query("물건이 안 오네")
    say(workspace, ("c", query, found(workspace, query)[4], "right"))
    train(workspace, "--with-feedback", "--learning-rate", 1e-9, "--model", "starter")
    place = Workspace(workspace)
    name = place.current_name()
    folder = workspace / "rounds" / "run-0002"
    lines = (folder / "ledger.jsonl").read_text().splitlines()
    assert json.loads(lines[-2])["event"] == "published"
    cut(folder, len(lines) - 2)
    resumed = run("train", "-w", workspace, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert place.current_name() == name


def test_a_run_without_any_feedback_says_so_and_goes_on(workspace: Path) -> None:
    assert re.search("feedback: no.* stored", train(workspace, "--with-feedback").stdout)
    refused = run("train", "-w", workspace, "--votes-per-client", 3)
    assert refused.exit_code == 2
    assert re.search("--votes-per-client .*--with-feedback", refused.stderr)


def test_a_review_decision_and_feedback_are_used_together(workspace: Path) -> None:
    known = open_collection(Workspace(workspace).current().folder)
    question, other = known.questions[0], known.answers[-1]
    assert question.answer_id != other.id
    save_decisions(workspace, [Decision(question.text, other.text, False, "2026-11-21")])
    say(workspace, ("c", question.text, other.id, "right"))
    result = train(workspace, "--with-feedback")
    assert "review: 0 accepted, 1 rejected" in result.stdout
    assert "1 overruled" in result.stdout
