import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from conftest import ANSWERS, LetterEncoder, run
from openpyxl import load_workbook

from dotbogi.indexes.collection import Collection
from dotbogi.indexes.hits import Candidate, Ranking
from dotbogi.search.index import build_index
from dotbogi.search.known_questions import Query
from dotbogi.search.searcher import Searcher
from dotbogi.training.measure.evaluation import Evaluation, evaluate_table, evaluation_of
from dotbogi.training.measure.failures import Failure, failures_of
from dotbogi.training.report.failures import failure_lines, save_failures


def evaluation(found: Mapping[str, tuple[str, str, float]]) -> Evaluation:
    """Return an evaluation of questions: right answer, ids found in order, confidence."""
    queries = [Query(text, text, {right: 1}) for text, (right, _, _) in found.items()]
    rankings: list[Ranking] = [
        [Candidate(id_, 1 - rank / 100, f"known {id_}") for rank, id_ in enumerate(ids.split())]
        for _, ids, _ in found.values()
    ]
    confidence = [confidence for _, _, confidence in found.values()]
    return evaluation_of(queries, dict.fromkeys(("bm25", "dense", "hybrid"), rankings), confidence)


@pytest.fixture
def searcher(collection: Collection, encoder: LetterEncoder) -> Searcher:
    return Searcher(build_index(collection, encoder))


def test_failures_are_the_queries_whose_first_answer_is_wrong_worst_first(
    searcher: Searcher,
) -> None:
    measured = evaluation(
        {
            "second": ("a1", "a2 a1", 0.9),
            "right": ("a1", "a1 a2", 0.1),
            "third": ("a1", "a2 a3 a1", 0.2),
            "not found": ("a1", "a2 a3", 0.3),
            "not found, and sure": ("a4", "a5", 0.8),
            "nothing found": ("a4", "", 0.0),
        }
    )
    failures = failures_of(searcher, measured)
    assert [(f.question, f.rank) for f in failures] == [
        ("not found, and sure", None), ("not found", None), ("nothing found", None),
        ("third", 3), ("second", 2),
    ]  # fmt: skip
    assert failures_of(searcher, measured, 2) == failures[:2]
    surest, second = failures[0], failures[-1]
    assert (surest.right_id, surest.right) == ("a4", ANSWERS["a4"])
    assert (surest.first_id, surest.first) == ("a5", ANSWERS["a5"])
    assert (surest.known_question, surest.confidence) == ("known a5", 0.8)
    assert "It was close: the first answer leads by 0.010." in second.why
    nothing = failures[2]
    assert (nothing.first_id, nothing.first) == (None, None)
    assert nothing.why[0] == "It shares no word with any answer or known question."


def test_of_several_right_answers_the_one_that_ranks_highest_is_told(searcher: Searcher) -> None:
    ranked: list[Ranking] = [[Candidate(id_, 0.5) for id_ in ("a3", "a2", "a1")]]
    methods = dict.fromkeys(("bm25", "dense", "hybrid"), ranked)
    measured = evaluation_of([Query("q", "질문", {"a1": 1, "a2": 1})], methods, [0.5])
    (failure,) = failures_of(searcher, measured)
    assert (failure.right_id, failure.rank) == ("a2", 2)


def test_an_evaluation_keeps_the_known_question_that_matched_and_never_the_query(
    tmp_path: Path, pairs_csv: Path
) -> None:
    run("index", pairs_csv, "-w", tmp_path / "w")
    searcher = Searcher.open(tmp_path / "w")
    collection = searcher.index.collection
    measured, _ = evaluate_table(searcher, collection)
    failures = failures_of(searcher, measured)
    assert failures
    for failure in failures:
        known = [q.text for q in collection.questions if q.answer_id == failure.first_id]
        assert failure.known_question in [*known, None]
        assert failure.known_question != failure.question
    assert any(failure.known_question for failure in failures)


PAIRS = [
    ("택배는 며칠 걸리나요", "이틀이면 도착합니다."),
    ("환불 언제 되나요", "환불은 사흘 안에 됩니다."),
    ("배송 언제 오나요", "환불은 사흘 안에 됩니다."),  # these are filed under the wrong answer
    ("배송은 언제 와요", "환불은 사흘 안에 됩니다."),
    ("비밀번호를 잊어버렸어요", "비밀번호는 설정에서 바꿉니다."),
    ("로그인이 안 돼요", "비밀번호는 설정 화면에서 바꿉니다."),
    ("주말에도 문 열어요", "주말에는 쉽니다."),
    ("고양이가 귀여워요", "고양이는 사랑입니다."),
    ("", "영업은 아홉 시부터 합니다."),
]


def write(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    lines = [f'"{question}",{answer}' for question, answer in pairs]
    path.write_text("\n".join(["question,answer", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.starter
@pytest.mark.parametrize(
    ("question", "right", "first", "why"),
    [
        ("배송 언제 와요?", 0, 2, "is nearly the same: is one of the two filed under the wrong"),
        ("배송, 언제 오나요?", 0, 2, "The same question is known for the first answer (“배송 언제"),
        ("비밀번호 잊어버렸는데요", 5, 4, "The two answers say nearly the same: merge them"),
        ("몇 시에 문 열어요", 8, 6, "The right answer has no known question: add it as a phr"),
        ("몇 시에 문 열어요", 8, 6, "It shares “문, 열다” with the first answer, but not with"),
        ("귀여워요", 6, 7, "resembles it; the nearest is “주말에도 문 열어요”: add it"),
        ("주말에도 환불 되나요", 6, 1, "It is more like “환불 언제 되나요”, a known question"),
    ],
)  # fmt: skip
def test_the_reason_is_told_in_words(
    tmp_path: Path, question: str, right: int, first: int, why: str
) -> None:
    run("index", write(tmp_path / "index.csv", PAIRS), "-w", tmp_path / "w")
    asked = write(tmp_path / "asked.csv", [(question, PAIRS[right][1])])
    (failure,) = json.loads(run("evaluate", asked, "-w", tmp_path / "w", "--json").stdout)[
        "failures"
    ]
    assert failure["first"] == PAIRS[first][1]
    assert why in "\n".join(failure["why"])


@pytest.mark.starter
def test_a_question_of_the_collection_itself_needs_other_phrasings(
    tmp_path: Path,
) -> None:
    pairs = [*PAIRS, ("문 몇 시에 열어요", "영업은 아홉 시부터 합니다.")]
    run("index", write(tmp_path / "t.csv", pairs), "-w", tmp_path / "w")
    failures = json.loads(run("evaluate", "-w", tmp_path / "w", "--json").stdout)["failures"]
    (why,) = [f["why"] for f in failures if f["question"] == "문 몇 시에 열어요"]
    assert why[0] == "The right answer has no other known question: add more phrasings like it."


FAILURE = Failure(
    question="=\x1b[31m1+1", right_id="@a", right="밥\n드세요", rank=None, first_id="b",
    first="+82", known_question="-3도", confidence=0.845, why=["It shares “밥”.", "It was close."],
)  # fmt: skip


def test_lines_hold_no_control_characters_and_say_how_many_there_are() -> None:
    assert failure_lines([FAILURE], 3, 8) == [
        "failures: the right answer is not first for 3 of 8 questions; the worst 1:",
        "  1. =\N{REPLACEMENT CHARACTER}[31m1+1",
        "     right, not in the first 20: [@a] 밥 드세요",
        "     first, confidence 84%: [b] +82",
        "     its known question: -3도",
        "     - It shares “밥”.",
        "     - It was close.",
    ]
    assert failure_lines([], 0, 8) == ["no failures: a right answer is first for all 8 questions"]


def test_the_workbook_computes_nothing(tmp_path: Path) -> None:
    long = "가" * 40_000
    save_failures([FAILURE, Failure(**{**FAILURE.to_json(), "right": long})], tmp_path / "f.xlsx")
    rows = load_workbook(tmp_path / "f.xlsx")["dotbogi"].iter_rows(values_only=True)
    assert next(rows)[:4] == ("question", "right answer", "id", "rank")
    assert next(rows) == (
        "'=\N{REPLACEMENT CHARACTER}[31m1+1", "밥\n드세요", "'@a", "not in the first 20", "'+82",
        "b", "'-3도", 0.845, "It shares “밥”.\nIt was close.",
    )  # fmt: skip
    assert len(next(rows)[1]) == 10_000


def test_evaluate_lists_failures_in_all_three_ways(tmp_path: Path, pairs_csv: Path) -> None:
    w, book = tmp_path / "w", tmp_path / "f.xlsx"
    run("index", pairs_csv, "-w", w)
    report = json.loads(run("evaluate", "-w", w, "--json", "--failures-out", book).stdout)
    failed = report["failed"]
    assert 1 < failed == len(report["failures"])
    assert failed == 9 - round(9 * report["metrics"]["hybrid"]["recall@1"])
    assert load_workbook(book)["dotbogi"].max_row == failed + 1
    assert run("evaluate", "-w", w, "--failures-out", book).exit_code == 2
    one = run("evaluate", "-w", w, "--failures", "1").stdout
    assert f"not first for {failed} of 9 questions; the worst 1:" in one
    assert f"  1. {report['failures'][0]['question']}\n" in one
    assert "  2. " not in one
    short = json.loads(run("evaluate", "-w", w, "--json", "--failures", "1").stdout)
    assert short["failures"] == report["failures"][:1]
    none = run("evaluate", "-w", w, "--failures", "0").stdout
    assert f"not first for {failed} of 9 questions\n" in none


@pytest.mark.parametrize(
    ("name", "said"), [("f.csv", "ends in .xlsx"), ("nowhere/f.xlsx", "there is no folder")]
)
def test_a_workbook_that_cannot_be_written_is_refused_before_the_search(
    tmp_path: Path, name: str, said: str
) -> None:
    refused = run("evaluate", "-w", tmp_path / "none", "--failures-out", tmp_path / name)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert said in refused.stderr
