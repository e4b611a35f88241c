import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import run
from hypothesis import example, given
from hypothesis import strategies as st
from openpyxl import load_workbook

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion, build_collection
from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.export import export, workbook
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.tables import Reading, read_table
from dotbogi.indexes.tables.layout import column_of, metadata_name
from dotbogi.indexes.tables.neutral import from_xml, neutralise, restored, to_xml
from dotbogi.indexes.text import clean

FORMATS = ["xlsx", "csv", "jsonl", "beir"]
# What spreadsheets, CSV, XML and our own marks could spoil; 각 as two letters is composed by NFC.
PIECES = [
    "배송", "언제", "각", "=", "+", "-", "@", "＝", "＋", "－", "＠", "'", '"', ",", "\t", "\n",
    ";", "\r", "\r\n", "🙂", "👩‍👩‍👧", "a", "1", " ", "\x00", "\x07", "\x1b", "\x85", "\u2028",
    "\ufffe", "_x000D_", "_x0041", "_", "#N/A", "#REF!", "TRUE", "1e5", "metadata.", "question",
    "answer", "answer_id", "question_origin", "feedback", "{", "}", "NA", "null",
]  # fmt: skip
raw = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)
texts = raw.map(clean).filter(bool)
# Metadata may have no name, a name of ours, or any other.
names = st.sampled_from(["question", "answer", "answer_id", "question_origin", "", "Q", "답변"])


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    metadata = st.dictionaries(names | raw.map(clean), texts, max_size=3)
    unique = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    ids = raw.map(str.strip).filter(bool)
    few = st.lists(ids, min_size=len(unique), max_size=len(unique) + 2, unique=True)
    own, *aliases = draw(few.map(lambda drawn: (drawn[: len(unique)], *drawn[len(unique) :])))
    answers = [
        Answer(id_, text, draw(metadata)) for id_, text in zip(sorted(own), unique, strict=True)
    ]
    answers[0] = replace(answers[0], aliases=tuple(aliases))
    pairs = st.tuples(texts, st.sampled_from([answer.id for answer in answers]))
    counts = st.integers(0, 3)
    questions = [
        KnownQuestion(
            *pair,
            None,
            draw(st.sampled_from(["feedback", "review", None])),
            draw(counts),
            draw(counts),
        )
        for pair in draw(st.lists(pairs, max_size=6, unique=True))
    ]
    return Collection(answers, questions)


def read(path: Path) -> Collection:
    """Read an export as `index` does."""
    collection, counts = build_collection(read_table(path))
    assert not counts.skips
    return collection


def same(collection: Collection, format_: str) -> Collection:
    """Return what a format can hold of a collection."""
    if format_ != "beir":
        return collection
    return replace(
        collection,
        answers=[replace(answer, aliases=()) for answer in collection.answers],
        questions=[KnownQuestion(q.text, q.answer_id) for q in collection.questions],
    )


@pytest.mark.parametrize("format_", FORMATS)
@given(collection=collections())
def test_an_export_is_read_as_the_same_collection(format_: str, collection: Collection) -> None:
    with TemporaryDirectory() as folder:
        out = Path(folder) / ("out" if format_ == "beir" else f"out.{format_}")
        export(collection, out)
        assert read(out) == same(collection, format_)


@given(text=raw)
@example("'=1")
@example("''＠1")
@example("_x0041\x07")  # the mark of the second would complete that of the first
@example("metadata.answer")
def test_marks_of_cells_and_columns_come_off_again(text: str) -> None:
    assert restored(neutralise(text)) == text
    assert neutralise(text)[:1] not in set("=+-@＝＋－＠\t\r")
    assert from_xml(to_xml(text)) == text
    assert metadata_name(column_of(text)) == text


SHOP = Collection(
    [
        Answer("a1", "이틀이면 옵니다.\n주말은 쉽니다.", {"분류": "배송", "answer": "짧게"}),
        Answer("a2", "-10% 할인입니다."),
    ],
    [
        KnownQuestion("언제 와요", "a1"),
        KnownQuestion("=언제", "a1", origin="feedback", preferred=2, opposed=1),
    ],
)


def test_a_table_has_a_row_for_each_question_and_marks_those_from_votes(tmp_path: Path) -> None:
    export(SHOP, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes().decode() == (
        "\ufeffquestion,answer,answer_id,question_origin,question_preferred,question_opposed,분류,"
        "metadata.answer\r\n"
        '언제 와요,"이틀이면 옵니다.\n주말은 쉽니다.",a1,,,,배송,짧게\r\n'
        '\'=언제,"이틀이면 옵니다.\n주말은 쉽니다.",a1,feedback,2,1,배송,짧게\r\n'
        ",'-10% 할인입니다.,a2,,,,,\r\n"
    )
    export(replace(SHOP, questions=SHOP.questions[:1]), tmp_path / "u.csv")
    assert "question_preferred" not in (tmp_path / "u.csv").read_text()


def test_no_cell_of_a_workbook_is_a_formula_or_an_error(tmp_path: Path) -> None:
    answers = [Answer("a", "=1+1"), Answer("b", "#N/A"), Answer("c", "007")]
    export(Collection(answers, []), tmp_path / "t.xlsx")
    sheet = load_workbook(tmp_path / "t.xlsx")["dotbogi"]
    assert [(cell.value, cell.data_type) for cell in sheet["B"][1:]] == [
        ("'=1+1", "s"), ("#N/A", "s"), ("007", "s"),
    ]  # fmt: skip
    assert sheet.freeze_panes == "A2"


def test_a_beir_folder_has_the_files_of_one(tmp_path: Path) -> None:
    export(SHOP, tmp_path / "beir")
    lines = (tmp_path / "beir" / "corpus.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "_id": "a1", "title": "", "text": SHOP.answers[0].text,
        "metadata": {"분류": "배송", "answer": "짧게"},
    }  # fmt: skip
    qrels = (tmp_path / "beir" / "qrels" / "test.tsv").read_text()
    assert qrels == "query-id\tcorpus-id\tscore\nq1\ta1\t1\nq2\ta1\t1\n"


def test_only_an_export_is_read_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("question,answer,question_origin,answer_id\n'=가,<b>나</b>,제주,1\n")
    collection, _ = build_collection(read_table(path))
    assert collection.answers == [Answer("1", "나", {"question_origin": "제주"})]
    assert collection.questions == [KnownQuestion("'=가", "1")]
    path.write_text("question,answer,answer_id,question_origin\n'=가,<b>나</b>,1,\n")
    collection, _ = build_collection(read_table(path))
    assert collection.answers == [Answer("1", "<b>나</b>")]
    assert collection.questions == [KnownQuestion("=가", "1")]


@pytest.mark.parametrize("settings", [Reading(question="질문"), Reading(delimiter=";", header=3)])
def test_settings_for_other_tables_do_not_apply(tmp_path: Path, settings: Reading) -> None:
    export(SHOP, tmp_path / "t.csv")
    assert build_collection(read_table(tmp_path / "t.csv", settings))[0] == SHOP


def test_what_stands_in_a_column_about_votes_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for cells, said in [
        ("나쁨,1", "question_origin is '나쁨'"),
        (",x", "question_preferred is 'x'"),
    ]:
        header = "question,answer,answer_id,question_origin,question_preferred"
        path.write_text(f"{header}\n가,나,1,{cells}\n")
        with pytest.raises(UsageError, match=rf"row 2: {said}; expected .* or nothing\."):
            read_table(path)


def too_much() -> Iterator[tuple[str, Collection, str]]:
    long, longer = "가" * 32_768, "가" * (2**20 + 1)
    yield "t.xlsx", Collection([Answer("a", long)], []), "row 2 has a text of 32,768 characters"
    # An emoji is two of Excel's characters.
    yield "t.xlsx", Collection([Answer("a", "🙂" * 16_384)], []), "a cell holds 32,767"
    yield "t.csv", Collection([Answer("a", longer)], []), "read with at most 1,048,576"
    columns = {f"m{i}": "x" for i in range(16_382)}
    yield "t.xlsx", Collection([Answer("a", "나", columns)], []), "a sheet holds 16,384"


@pytest.mark.parametrize(("name", "collection", "said"), list(too_much()), ids=range(4))
def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path, name: str, collection: Collection, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        export(collection, tmp_path / name)
    assert "Export as ." in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_the_longest_text_of_a_cell_is_still_written(tmp_path: Path) -> None:
    collection = Collection([Answer("a", "가" * 32_767)], [])
    export(collection, tmp_path / "t.xlsx")
    assert read(tmp_path / "t.xlsx") == collection


def test_more_rows_than_a_sheet_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    with pytest.raises(UsageError, match=r"3 rows below the header; a sheet holds 2\."):
        export(SHOP, tmp_path / "t.xlsx")
    monkeypatch.setattr(workbook, "MOST_ROWS", 4)
    export(SHOP, tmp_path / "t.xlsx")


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_is_overwritten_without_force(tmp_path: Path, format_: str) -> None:
    out = tmp_path / ("out" if format_ == "beir" else f"out.{format_}")
    export(SHOP, out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = Collection(SHOP.answers[:1], [])
    with pytest.raises(UsageError, match="exists already"):
        export(other, out)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    export(other, out, force=True)
    assert read(out) == other


def test_force_replaces_no_other_folder(tmp_path: Path) -> None:
    out = tmp_path / "home"
    (out / "qrels").mkdir(parents=True)
    (out / "qrels" / "diary.txt").write_text("")
    with pytest.raises(UsageError, match="holds more than a BEIR folder"):
        export(SHOP, out, force=True)
    with pytest.raises(UsageError, match="is a folder; expected the name of a file"):
        export(SHOP, out, "csv", force=True)
    assert {path.name for path in tmp_path.rglob("*")} == {"home", "qrels", "diary.txt"}


def test_a_failed_export_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.jsonl"
    export(SHOP, out)
    before = out.read_bytes()
    broken = replace(SHOP, answers=SHOP.answers[1:])  # the questions' answer is gone
    with pytest.raises(KeyError):
        export(broken, out, force=True)
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_the_command_writes_what_index_reads(tmp_path: Path, pairs_csv: Path) -> None:
    w = tmp_path / "w"
    run("index", pairs_csv, "-w", w)
    before = Workspace(w).current().manifest["counts"]
    said = run("export", tmp_path / "t.csv", "-w", w)
    assert said.stdout == (
        f"generation 000001: 8 answers, 9 known questions, in {tmp_path / 't.csv'}\n"
    )
    assert run("index", tmp_path / "t.csv", "-w", w).exit_code == 0
    assert Workspace(w).current().manifest["counts"] == before
    report = json.loads(run("export", tmp_path / "t.xlsx", "-w", w, "--json").stdout)
    assert report == {
        "out": str(tmp_path / "t.xlsx"), "format": "xlsx", "generation": "000002", "answers": 8,
        "questions": 9, "from_feedback": 0, "rows": 9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["t.docx"], "Expected .xlsx, .csv, .jsonl"),
        (["t.csv", "--format", "xlsx"], "the name says csv, --format says xlsx"),
        (["nowhere/t.csv"], "there is no folder"),
        (["nowhere/beir"], "there is no folder"),
        (["pairs.csv"], "exists already"),
        (["pairs.csv/t.csv"], "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, pairs_csv: Path, arguments: list[str], said: str
) -> None:
    w = tmp_path / "w"
    run("index", pairs_csv, "-w", w)
    refused = run("export", tmp_path / arguments[0], *arguments[1:], "-w", w)
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert said in refused.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"w", "pairs.csv"}


def test_texts_of_the_test_are_what_a_collection_holds() -> None:
    assert unicodedata.is_normalized("NFC", clean("각"))
