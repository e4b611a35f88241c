import codecs
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotbogi.indexes.collection import build_collection, open_collection, save_collection
from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.tables import SAMPLE_FOLDER, SAMPLE_PATH, Reading, Row, Table, read_table

CSV = "질문,답변\n배고프다,밥 드세요\n졸려,주무세요\n"


@pytest.mark.parametrize(
    "encoded",
    [
        CSV.encode(),
        codecs.BOM_UTF8 + CSV.encode(),
        CSV.encode("cp949"),
        CSV.encode("utf-16"),
        CSV.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8", "utf-8 with BOM", "cp949", "utf-16", "crlf"],
)
def test_every_encoding_of_a_korean_spreadsheet_reads_the_same(
    tmp_path: Path, encoded: bytes
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(encoded)
    rows = read_table(path).rows
    assert [(r.question, r.answer) for r in rows] == [
        ("배고프다", "밥 드세요"),
        ("졸려", "주무세요"),
    ]


def test_undecodable_bytes_name_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV.encode() + b"\xff\xff,x\n")
    with pytest.raises(DamagedError, match=r"t\.csv, line 4: byte 0xff"):
        read_table(path)


@pytest.mark.parametrize(
    "header", ["Q,A", "question,answer", "질문,답변", "Question , Answer", "문의내용,답변내용"]
)
def test_usual_column_names_are_found(tmp_path: Path, header: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n배고프다,밥 드세요\n")
    assert read_table(path).rows == [Row("배고프다", "밥 드세요")]


def test_named_columns_win_over_usual_ones(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("question,answer,말,id\nq,a,배고프다,7\n")
    row = read_table(path, Reading(question="말", answer_id="id")).rows[0]
    assert (row.question, row.answer_id) == ("배고프다", "7")
    assert row.metadata == {"question": "q"}


def test_unknown_header_names_the_columns_and_the_option(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("이름,나이\n가,1\n")
    with pytest.raises(UsageError, match=r"'이름', '나이'.*--answer-column"):
        read_table(path)
    with pytest.raises(UsageError, match=r"no column 'x'.*--answer-column"):
        read_table(path, Reading(answer="x"))


def test_row_numbers_that_pandas_writes_are_no_ids(tmp_path: Path) -> None:
    frame = pd.DataFrame({"question": ["배고프다", "배고파"], "answer": ["밥 드세요"] * 2})
    frame.to_csv(tmp_path / "t.csv")
    collection, _ = build_collection(read_table(tmp_path / "t.csv"))
    assert len(collection.answers) == 1
    assert collection.answers[0].metadata == {}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_that_of_the_header(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"Q{delimiter}A\n배고프다{delimiter}밥 드세요\n")
    assert read_table(path).rows == [Row("배고프다", "밥 드세요")]


def test_quoted_cells_keep_commas_line_breaks_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('Q,A\n"배,고프다","밥\n""꼭"" 드세요\u2028네"\n')
    assert read_table(path).rows == [Row("배,고프다", '밥\n"꼭" 드세요\u2028네')]


def test_a_quote_that_never_closes_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('Q,A\n가,나\n"다,라\n마,바\n')
    with pytest.raises(DamagedError, match=r"line 3: a quote is opened"):
        read_table(path)


def test_quotes_in_an_even_tab_separated_table_are_text(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('Q\tA\n"가" 나\t"다\n라\t마"\n"바 ""사"""\t아""자\n')
    assert read_table(path).rows == [
        Row('"가" 나', '"다'),  # the csv module would read on to the quote of the next row
        Row("라", '마"'),
        Row('바 "사"', '아""자'),
    ]
    path.write_text('Q\tA\r\n가\t"나\r\n다"\r\n')  # a cell of two lines: quoted as CSV is
    assert read_table(path).rows == [Row("가", "나\n다")]


def test_a_row_with_too_many_cells_is_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Q,A\n가,나\n다,라,마\n")
    collection, counts = build_collection(read_table(path))
    assert len(collection.questions) == 1
    assert (counts.read, counts.kept, len(counts.skips)) == (2, 1, 1)


def test_json_lines_and_parquet_read_like_csv(tmp_path: Path) -> None:
    records = [{"question": "배고프다", "answer": "밥 드세요", "n": 1}]
    lines, parquet = tmp_path / "t.jsonl", tmp_path / "t.parquet"
    lines.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in records))
    pd.DataFrame(records).to_parquet(parquet)
    expected = [Row("배고프다", "밥 드세요", "", {"n": "1"})]
    assert read_table(lines).rows == expected
    assert read_table(parquet).rows == expected


def test_missing_parquet_values_are_blank(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"Q": ["가", None], "A": [None, "나"]}).to_parquet(path)
    assert read_table(path).rows == [Row("가", ""), Row("", "나")]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("t.jsonl", '{"Q": 1}\n{"Q"', "line 2: not JSON"),
        ("t.jsonl", "[1]", "line 1: not a JSON object"),
        ("t.parquet", "not parquet", "not a readable Parquet file"),
    ],
)
def test_damaged_tables_say_where(tmp_path: Path, name: str, content: str, what: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DamagedError, match=what):
        read_table(tmp_path / name)


@pytest.mark.parametrize("content", ["", "\n\n", "Q,A\n", "\ufeff"])
def test_a_table_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DotbogiError, match=r"empty|no rows"):
        read_table(tmp_path / "t.csv")


def test_blank_answers_are_refused_with_the_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Q,A\n가,\n나, \n")
    with pytest.raises(DotbogiError, match=r"none of the 2 rows.*blank.*'A'"):
        build_collection(read_table(tmp_path / "t.csv"))


def test_beir_folder_gives_pairs_and_unpaired_answers(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    corpus = [{"_id": "d1", "title": "배송", "text": "이틀"}, {"_id": "d2", "text": "환불"}]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "언제 와"}))
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq9\td1\t1\n"
    )
    table = read_table(tmp_path)
    assert table.rows == [Row("언제 와", "배송 이틀", "d1"), Row("", "환불", "d2")]
    assert len(table.skips) == 1


def _collected(rows: list[Row]):  # type: ignore[no-untyped-def]
    return build_collection(Table(path=Path("t.csv"), rows=rows, columns=Reading(answer="A")))


def test_duplicates_are_merged_after_nfc_and_trimming() -> None:
    rows = [Row("배고프다", "밥"), Row(" 배고프다 ", "밥\n"), Row("", "밥"), Row("", "국")]
    collection, counts = _collected(rows)
    assert [a.text for a in collection.answers] == sorted(["밥", "국"], key=lambda t: _id(t))
    assert (counts.read, counts.kept, counts.merged) == (4, 2, 2)


def _id(text: str) -> str:
    return _collected([Row("", text)])[0].answers[0].id


def test_an_answer_keeps_its_id_in_a_later_table() -> None:
    later = _collected([Row("다른 질문", "다른 답"), Row("배고프다", "밥")])[0]
    assert _id("밥") in {answer.id for answer in later.answers}


def test_an_id_with_two_texts_is_skipped_not_overwritten() -> None:
    collection, counts = _collected([Row("가", "밥", "7"), Row("나", "국", "7")])
    assert [a.text for a in collection.answers] == ["밥"]
    assert counts.skipped() == {"its answer id belongs to another text": 1}


def test_lone_surrogates_are_skipped() -> None:
    collection, counts = _collected([Row("가", "밥"), Row("\ud800", "밥")])
    assert len(collection.questions) == 1
    assert counts.skipped() == {"not valid Unicode": 1}


cells = st.text(st.sampled_from("가나 \n"), max_size=3)


@given(st.lists(st.builds(Row, cells, cells, st.sampled_from(["", "1", "2"])), min_size=1))
def test_counts_add_up_whatever_the_rows(rows: list[Row]) -> None:
    try:
        collection, counts = _collected(rows)
    except DotbogiError:
        assert not any(row.answer.strip() for row in rows)
        return
    assert counts.read == len(rows) == counts.kept + counts.merged + len(counts.skips)
    assert counts.kept >= max(len(collection.answers), len(collection.questions))


def test_saved_collection_opens_equal(tmp_path: Path) -> None:
    collection, _ = _collected([Row("가", "밥", "", {"분류": "음식"}), Row("", "국")])
    save_collection(collection, tmp_path)
    assert open_collection(tmp_path) == collection


def test_the_bundled_sample_is_what_the_readme_says() -> None:
    collection, counts = build_collection(read_table(SAMPLE_PATH))
    assert (len(collection.answers), len(collection.questions)) == (534, 2428)
    assert (counts.merged, counts.skipped()) == (0, {})
    no_answer = (SAMPLE_FOLDER / "no_answer.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(set(no_answer)) == 221
    assert not {question.text for question in collection.questions} & set(no_answer)
