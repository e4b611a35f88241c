"""`dotbogi check`: what it finds in a table with planted faults, and how it says so."""

import json
from pathlib import Path

import pytest
from conftest import run
from faulty_faq import clean_rows, faulty_rows
from openpyxl import load_workbook

from dotbogi.indexes import Workspace
from dotbogi.indexes.tables import Reading, Row, Skip, Table
from dotbogi.search.check import Finding, Kind, check_table, model_folder
from dotbogi.search.check.cells import is_no_answer, skipped_rows
from dotbogi.search.check.garbled import garbling
from dotbogi.search.check.private_data import masked, private_data
from dotbogi.search.check.texts import emptiness
from dotbogi.search.check.workbook import safe, save_workbook

COLUMNS = Reading(question="질문", answer="답변", answer_id="답변id")


def checked(rows: list[Row], tmp_path: Path) -> list[Finding]:
    table = Table(path=Path("faq.csv"), rows=rows, columns=COLUMNS)
    with model_folder(Workspace(tmp_path / "none"), None, table) as folder:
        return check_table(table, folder)


@pytest.mark.starter
def test_planted_faults_are_found_with_few_false_alarms(tmp_path: Path) -> None:
    rows, faults = faulty_rows()
    assert len(rows) > 200
    assert len(faults) == 40
    assert len({fault.kind for fault in faults}) == len(Kind)
    findings = checked(rows, tmp_path)
    missed = [f for f in faults if not any(f.kind == x.kind and f.row in x.rows for x in findings)]
    false = [x for x in findings if not any(f.kind == x.kind and f.row in x.rows for f in faults)]
    assert len(missed) <= 4, missed
    assert len(false) <= 10, false


@pytest.mark.starter
def test_a_sound_table_has_nearly_no_findings(tmp_path: Path) -> None:
    assert len(checked(clean_rows(), tmp_path)) <= 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("010-2345-6789로 연락 주세요", "a mobile number"),
        ("０１０ ２３４５ ６７８９", "a mobile number"),
        ("+82 10 2345 6789", "a mobile number"),
        ("메일은 minji.k@naver.com으로", "an e-mail address"),
        ("제 번호는 031-234-5678이에요", "a phone number"),
        ("주민번호 900101-1234568", "a resident number"),
        ("210305-3123456", "a resident number"),  # without a checksum, as since 2020
        ("4539148803436467", "a card number"),
        ("3782 822463 10005", "a card number"),
    ],
)
def test_private_data_is_recognised_and_masked(text: str, what: str) -> None:
    assert [match.what for match in private_data(text)] == [what]
    assert "**" in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "고객센터는 1588-1234입니다",
        "주문번호 20261129-0012345",
        "991332-1234567",  # no thirteenth month
        "송장번호 4539148803436468",  # fails Luhn's check
        "9001011234567",  # without a hyphen the checksum must hold
        "user@example.com 형식으로 적어 주세요",
        "2026-11-29부터 2026-12-31까지",
    ],
)
def test_other_numbers_are_not_private(text: str) -> None:
    assert private_data(text) == []
    assert masked(text) == text


def test_the_numbers_of_the_shop_are_not_private(tmp_path: Path) -> None:
    """In questions too; a mobile number that one answer alone has may be a customer's."""
    rows = [
        Row("010-1111-2222가 맞나요", "문자는 010-1111-2222로 주세요.", number=2),
        Row("문자 상담 되나요", "010-1111-2222로 문자를 보내 주세요.", number=3),
        Row("메일 주소요", "help@shop.kr로 보내 주세요. 02-123-4567도 됩니다.", number=4),
        Row("교환됐나요", "김 고객님(010-3333-4444) 교환해 드렸어요.", number=5),
    ]
    private = [x for x in checked(rows, tmp_path) if x.kind is Kind.PRIVATE_DATA]
    assert [x.rows for x in private] == [(5,)]
    assert "3333" not in private[0].texts[0]


@pytest.mark.parametrize(
    "text",
    [
        "배송은 언제 오나요?".encode().decode("cp949", "replace"),
        "배송은 언제 오나요?".encode().decode("latin-1"),
        "배송은 언제 오나요?".encode("cp949").decode("latin-1"),
        "배송은 언제 오나요?".encode("cp949").decode("utf-8", "replace"),
        "??? ??? ??",
        "첫 줄<br/>둘째 줄",
        "A&nbsp;B",
        "줄_x000D_\n줄",
        "안내입니다.\\n감사합니다.",
        "\\ubc30\\uc1a1",
    ],
)
def test_garbled_text_is_recognised(text: str) -> None:
    assert garbling(text)


@pytest.mark.parametrize(
    "text",
    ["ㅋㅋㅋ 아 배고파 ㅠㅠ", "정말??? 왜??", "café naïve", "3 < 5 그리고 7 > 2", "大韓民國 헌법",
     "R&D 팀", "`<br>`을 쓰세요", "☎ 전화 · 팩스 → 안내 ㉠ ①", "좋아요 👍🏽", "암호 옆 ····· 단추",
     "우릴 용서해 줘."],
)  # fmt: skip
def test_ordinary_text_is_not_garbled(text: str) -> None:
    assert not garbling(text)


@pytest.mark.parametrize(
    "text", ["", "\u00a0 ", "\u200b", "\u3164", "-", "…", "nan", "N/A", "추후 작성"]
)
def test_cells_without_an_answer(text: str) -> None:
    assert is_no_answer(text)


@pytest.mark.parametrize("text", ["네", "👍", "ㅋㅋ", "1", "없음"])
def test_short_answers_are_answers(text: str) -> None:
    assert not is_no_answer(text)


@pytest.mark.parametrize(
    "text", ["?", "...", "1", "12-3", "ㅇ", "네", "문의드립니다", "질문이요", "test"]
)
def test_questions_without_meaning(text: str) -> None:
    assert emptiness(text)


@pytest.mark.parametrize(
    "text", ["환불", "ㅋㅋ", "안녕하세요", "5G", "문의 게시판 어디", "👍", "테스트 결과는?"]
)
def test_short_questions_may_have_a_meaning(text: str) -> None:
    assert not emptiness(text)


def test_skipped_rows_are_grouped_by_reason() -> None:
    """A row that was read in spite of its skip is checked itself."""
    skips = [
        Skip(2, "노출 is not Y (--only)", wanted=True),
        Skip(3, "the answer is blank"),
        Skip(4, "more cells"),
        Skip(5, "more cells"),
        Skip(6, "x"),
    ]
    found = list(skipped_rows(skips, [Row("질문", "답", number=6)]))
    assert [(x.kind, x.rows) for x in found] == [
        (Kind.BLANK_CELL, (3,)),
        (Kind.CONTRADICTORY_ROW, (4, 5)),
    ]


def test_a_table_of_which_nothing_can_be_used_is_checked(tmp_path: Path) -> None:
    rows = [Row("배송", "#N/A", number=2), Row("환불", "", number=3)]
    assert [(x.kind, x.rows) for x in checked(rows, tmp_path)] == [
        (Kind.ERROR_CELL, (2,)),
        (Kind.BLANK_CELL, (3,)),
    ]


@pytest.fixture
def faulty_csv(tmp_path: Path) -> Path:
    path = tmp_path / "faq.csv"
    path.write_text(
        "질문,답변,분류\n환불 언제 되나요,=사흘 안에 됩니다.,환불\n"
        "환불언제되나요?,나흘 걸립니다.,환불\n"
        "비번 까먹음,#N/A,회원\n택배 언제 와요,이틀이면 도착합니다.,-배송\n",
        encoding="utf-8",
    )
    return path


def test_findings_are_printed_by_kind_with_a_summary(faulty_csv: Path, tmp_path: Path) -> None:
    done = run("check", faulty_csv, "-w", tmp_path / "none")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "error cells of a spreadsheet: 1"
    assert lines[1] == "  row 4"
    assert lines[3] == "one question with different answers: 1"
    assert lines[4].startswith("  rows 2, 3: 환불 언제 되나요 | =사흘")
    assert lines[-1] == "4 rows, 2 findings: 1 error-cell, 1 repeated-question"
    assert not (tmp_path / "none").exists()


def test_strict_and_json(faulty_csv: Path, pairs_csv: Path, tmp_path: Path) -> None:
    done = run("check", faulty_csv, "-w", tmp_path / "none", "--strict", "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert said["counts"] == {"error-cell": 1, "repeated-question": 1}
    assert said["findings"][1]["rows"] == [2, 3]
    assert run("check", pairs_csv, "-w", tmp_path / "none", "--strict").exit_code == 0


def test_the_published_model_is_used_and_nothing_is_written(
    faulty_csv: Path, pairs_csv: Path, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    assert run("index", pairs_csv, "-w", workspace).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*")}
    assert run("check", faulty_csv, "-w", workspace).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*")} == before


def test_the_workbook_has_the_rows_with_colours_and_advice(
    faulty_csv: Path, tmp_path: Path
) -> None:
    out = tmp_path / "checked.xlsx"
    assert run("check", faulty_csv, "-w", tmp_path / "none", "--out", out).exit_code == 0
    sheet = load_workbook(out).active
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows[0] == ["row", "question", "answer", "id", "분류", "findings", "advice"]
    assert rows[1][:3] == [2, "환불 언제 되나요", "'=사흘 안에 됩니다."]
    assert rows[1][5] == "one question with different answers"
    assert rows[1][6].endswith("(with row 3)")
    assert rows[3][0] == 4  # the reader has left it out
    assert "#N/A" in rows[3][6]
    assert rows[4][4:] == ["'-배송", None, None]
    colours = [sheet.cell(row, 2).fill.fgColor.rgb[2:] for row in (2, 4, 5)]
    assert colours == ["FFE5C2", "FFD1D1", "000000"]


def test_the_workbook_needs_its_ending_and_a_folder(faulty_csv: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "checked.csv", tmp_path / "none" / "checked.xlsx"):
        done = run("check", faulty_csv, "-w", tmp_path / "none", "--out", out)
        assert done.exit_code == 2
        assert "--out" in done.output


@pytest.mark.parametrize("sign", "=+-@＝＋－＠\t\r")
def test_cells_that_look_like_formulas_are_neutralised(sign: str) -> None:
    assert safe(f"{sign}1").startswith("'")
    assert safe("평범한 글 = 글") == "평범한 글 = 글"
    assert safe("\x00글") == "\ufffd글"


def test_errors_stay_text_in_the_workbook(tmp_path: Path) -> None:
    table = Table(path=tmp_path, rows=[Row("#N/A", "답", number=2)], columns=COLUMNS)
    save_workbook(table, [], tmp_path / "checked.xlsx")
    assert load_workbook(tmp_path / "checked.xlsx").active.cell(2, 2).data_type == "s"
