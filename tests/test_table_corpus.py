"""Tables as operators really have them: each with its quirk, and what is read from it.

A table is a function that writes it into a folder. TABLES states the collection, the counts and the
facts that the notes must hold; REFUSALS the kind of error and the mend that its line must name.
"""

import codecs
import datetime
import gzip
import io
import json
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import openpyxl
import pandas as pd
import pytest
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment
from sheets import cell, row, write_book

from dotbogi.indexes.collection import build_collection
from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.export import export
from dotbogi.indexes.export.write import Format
from dotbogi.indexes.tables import Reading, read_table

FIXTURES = Path(__file__).parent / "tables"
Make = Callable[[Path], Path]
Pairs = Mapping[str, set[str]]

PLAIN = "질문,답변\n배송은 언제 와요?,이틀이면 도착합니다.\n환불 되나요?,사흘 안에 됩니다.\n"
EXPECTED: Pairs = {
    "이틀이면 도착합니다.": {"배송은 언제 와요?"},
    "사흘 안에 됩니다.": {"환불 되나요?"},
}
ROWS: list[list[Any]] = [
    ["질문", "답변"],
    ["배송은 언제 와요?", "이틀이면 도착합니다."],
    ["환불 되나요?", "사흘 안에 됩니다."],
]


def file(name: str, content: str | bytes) -> Make:
    """A file of this name."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def csv(content: str) -> Make:
    return file("faq.csv", content)


def lines(*records: Any, name: str = "faq.jsonl") -> Make:
    return file(name, "\n".join(json.dumps(record, ensure_ascii=False) for record in records))


def folder_of(**contents: str) -> Make:
    """A folder; "data__nlu_yml" stands for data/nlu.yml."""

    def make(folder: Path) -> Path:
        for name, content in contents.items():
            path = folder / "project" / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return folder / "project"

    return make


def parquet(**columns: Sequence[Any]) -> Make:
    def make(folder: Path) -> Path:
        pd.DataFrame(columns).to_parquet(folder / "faq.parquet")
        return folder / "faq.parquet"

    return make


def excel(
    *sheets: Sequence[Sequence[Any]],
    merge: Sequence[str] = (),
    hidden: Sequence[int] = (),
    then: Callable[[Any], None] | None = None,
    name: str = "faq.xlsx",
) -> Make:
    """A workbook of openpyxl; `merge` and `then` concern its last sheet."""

    def make(folder: Path) -> Path:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for number, rows in enumerate(sheets, 1):
            sheet = book.create_sheet(f"Sheet{number}")
            for cells in rows:
                sheet.append(cells)
            if number in hidden:
                sheet.sheet_state = "hidden"
        for area in merge:
            sheet.merge_cells(area)
        if then:
            then(sheet)
        book.save(folder / "faq.xlsx")
        return (folder / "faq.xlsx").rename(folder / name)

    return make


def raw(rows: str, **parts: str) -> Make:
    """A workbook whose XML is written by hand."""

    def make(folder: Path) -> Path:
        write_book(folder / "faq.xlsx", [rows], **{name: [xml] for name, xml in parts.items()})
        return folder / "faq.xlsx"

    return make


def fixture(name: str) -> Make:
    return lambda folder: FIXTURES / name


def zipped(make: Make) -> Make:
    """The same file, compressed."""

    def make_gz(folder: Path) -> Path:
        plain = make(folder)
        path = plain.with_name(f"{plain.name}.gz")
        path.write_bytes(gzip.compress(plain.read_bytes()))
        return path

    return make_gz


@dataclass(frozen=True)
class Case:
    make: Make
    pairs: Pairs = field(default_factory=lambda: EXPECTED)
    counts: tuple[int, int, int] = (2, 2, 0)  # read, kept, merged
    skipped: Mapping[str, int] = field(default_factory=dict)  # a part of each reason
    notes: tuple[str, ...] = ()  # facts; those of columns are always there
    reading: Reading = field(default_factory=Reading)
    ids: Mapping[str, str] = field(default_factory=dict)  # by answer
    aliases: Mapping[str, set[str]] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


ENCODINGS = {
    "UTF-8": Case(csv(PLAIN)),
    "UTF-8 with a byte-order mark": Case(csv("\ufeff" + PLAIN)),
    "UTF-8 with two marks": Case(csv("\ufeff\ufeff" + PLAIN)),
    "a mark and --encoding utf-8": Case(csv("\ufeff" + PLAIN), reading=Reading(encoding="utf-8")),
    "CP949": Case(file("faq.csv", PLAIN.encode("cp949")), notes=("CP949", "--encoding")),
    "UTF-16, little end first": Case(
        file("faq.csv", codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le")), notes=("UTF-16",)
    ),
    "UTF-16, big end first": Case(
        file("faq.csv", codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be")), notes=("UTF-16",)
    ),
    "UTF-16 tabs of Excel's Unicode text": Case(
        file("faq.txt", PLAIN.replace(",", "\t").encode("utf-16")), notes=("UTF-16", "tabs")
    ),
    "--encoding utf-16-le": Case(
        file("faq.csv", PLAIN.encode("utf-16-le")), reading=Reading(encoding="utf-16-le")
    ),
    "NFD of a Mac, named in NFC": Case(
        csv(unicodedata.normalize("NFD", PLAIN)), reading=Reading(answer="답변")
    ),
    "gzip of CP949": Case(zipped(file("faq.csv", PLAIN.encode("cp949"))), notes=("CP949",)),
    "gzip without .gz in its name": Case(file("faq.csv", gzip.compress(PLAIN.encode()))),
    "a name that holds .tab": Case(file("faq.table.csv", PLAIN)),
    "Mac's old line ends": Case(csv(PLAIN.replace("\n", "\r"))),
    "Google Sheets: CRLF, quoted line ends": Case(
        csv(
            '질문,답변\r\n배송은 언제 와요?,"이틀이면\r\n도착합니다."\r\n'
            '환불 되나요?,"네, ""꼭"" 됩니다."'
        ),
        {"이틀이면\n도착합니다.": {"배송은 언제 와요?"}, '네, "꼭" 됩니다.': {"환불 되나요?"}},
    ),
}
DELIMITERS = {
    "semicolons": Case(csv(PLAIN.replace(",", ";")), notes=("semicolons", "--delimiter")),
    "tabs in a .csv": Case(csv(PLAIN.replace(",", "\t")), notes=("tabs",)),
    "vertical bars": Case(csv(PLAIN.replace(",", "|")), notes=("vertical bars",)),
    "tabs in a .tsv": Case(file("faq.tsv", PLAIN.replace(",", "\t"))),
    "tabs in a .tsv.gz": Case(zipped(file("faq.tsv", PLAIN.replace(",", "\t")))),
    "sep=,": Case(csv("sep=,\r\n" + PLAIN), notes=("first line", "commas")),
    "sep=;": Case(csv("SEP=;\n" + PLAIN.replace(",", ";")), notes=("first line", "semicolons")),
    "sep=tab": Case(csv("sep=\t\n" + PLAIN.replace(",", "\t")), notes=("first line", "tabs")),
    "sep= in quotes": Case(csv('"sep=,"\n' + PLAIN), notes=("first line", "commas")),
    "sep= that lies, --delimiter": Case(csv("sep=;\n" + PLAIN), reading=Reading(delimiter=",")),
    "--delimiter ^": Case(csv(PLAIN.replace(",", "^")), reading=Reading(delimiter="^")),
    "answers full of bars and semicolons": Case(
        csv("배송은 언제 와요?,이틀 | 사흘 | 나흘 중\n환불 되나요?,네; 아니요; 글쎄요; 됩니다.\n"),
        {
            "이틀 | 사흘 | 나흘 중": {"배송은 언제 와요?"},
            "네; 아니요; 글쎄요; 됩니다.": {"환불 되나요?"},
        },
        notes=("no header", "--header"),
        reading=Reading(split="none"),
    ),
    "trailing commas on all rows": Case(csv(PLAIN.replace("\n", ",,,\n"))),
    "a filled column without a name": Case(
        csv(PLAIN.replace("\n", ",\n", 1).replace("다.\n", "다.,급함\n", 1)),
        notes=("column 3 has no name", "1 of its cells"),
    ),
    "an unquoted comma": Case(
        csv(PLAIN + "교환은?,네, 됩니다.\n"), counts=(3, 2, 0), skipped={"more cells": 1}
    ),
    "blank lines and rows of commas": Case(csv("\n\n" + PLAIN.replace("\n", "\n\n,\n"))),
    "a blank first column": Case(csv("\n".join("," + line for line in PLAIN.splitlines()))),
    "quotes inside of an answer": Case(
        csv('질문,답변\n화면 크기는?,27" 화면이고 24" 도 있어요.\n'),
        {'27" 화면이고 24" 도 있어요.': {"화면 크기는?"}},
        (1, 1, 0),
    ),
}
HEADERS = {
    "a title row": Case(csv("2026년 고객센터 FAQ,\n" + PLAIN), notes=("header found in row 2",)),
    "three title rows": Case(
        csv("FAQ 목록\n작성자,홍길동,작성일\n\n총 2건\n" + PLAIN), notes=("row 5", "--header")
    ),
    "title rows and --header": Case(csv("FAQ\n\n" + PLAIN), reading=Reading(header=3)),
    "--header far below": Case(csv("제목\n" * 30 + PLAIN), reading=Reading(header=31)),
    "two rows, blank cells below and right": Case(
        csv("번호,질문,,답변\n,대표질문,유사질문1,\n1,배송은 언제 와요?,택배 언제 와요?,이틀\n"),
        {"이틀": {"배송은 언제 와요?", "택배 언제 와요?"}},
        (1, 1, 0),
        notes=("rows 1 and 2 are the header", "유사질문1"),
        metadata={"이틀": {"번호": "1"}},
    ),
    "two rows, merged": Case(
        excel(
            [
                ["분류", "질문", None, "답변", None],
                [None, "대표질문", "유사질문1", "본문", "링크"],
                ["배송", "배송은 언제 와요?", "택배 언제 와요?", "이틀", "https://a.kr"],
            ],
            merge=["A1:A2", "B1:C1", "D1:E1"],
        ),
        {"이틀": {"배송은 언제 와요?", "택배 언제 와요?"}},
        (1, 1, 0),
        notes=("rows 1 and 2", "merged cells"),
        metadata={"이틀": {"분류": "배송", "답변 링크": "https://a.kr"}},
    ),
    "stars, (필수), line ends, no-break spaces": Case(
        csv(PLAIN.replace("질문,답변", '"*질\u00a0문\u200b\n(필수)",[필수] 답변')),
    ),
    "질문(Q), 답변(A)": Case(csv(PLAIN.replace("질문,답변", "질문(Q),답변(A)"))),
    "답변 (500자까지)": Case(csv(PLAIN.replace("질문,답변", "Question ,답변 (500자까지)"))),
    "HTML and _x000D_ in the header": Case(
        csv(PLAIN.replace("질문,답변", "<b>질문</b>,답변_x000D_"))
    ),
    "질문 twice": Case(
        csv("질문,질문,답변\n배송은 언제 와요?,택배 언제 와요?,이틀\n"),
        {"이틀": {"배송은 언제 와요?", "택배 언제 와요?"}},
        (1, 1, 0),
        notes=("질문 (2)", "--further-columns"),
    ),
    "비고 twice": Case(
        csv("질문,답변,비고,비고\n배송은 언제 와요?,이틀,가,나\n"),
        {"이틀": {"배송은 언제 와요?"}},
        (1, 1, 0),
        metadata={"이틀": {"비고": "가", "비고 (2)": "나"}},
    ),
    "Dialogflow: no header": Case(
        csv(PLAIN.partition("\n")[2]), notes=("no header", "column 1 is the question")
    ),
    "Dialogflow: one unquoted comma": Case(
        csv(PLAIN.partition("\n")[2] + "교환은?,네, 됩니다.\n"),
        counts=(3, 2, 0),
        skipped={"more cells": 1},
        notes=("no header",),
    ),
    "Dialogflow: no sentence, --header 0": Case(
        csv("환불,사흘\n교환,이틀\n"),
        {"사흘": {"환불"}, "이틀": {"교환"}},
        reading=Reading(header=0),
    ),
    "the header once more, in the middle": Case(
        csv(PLAIN + "질문,답변\n교환 되나요?,네\n"),
        {**EXPECTED, "네": {"교환 되나요?"}},
        (4, 3, 0),
        {"header once more": 1},
    ),
    "grades A and B under names of the user": Case(
        csv("궁금한 것,안내,등급\n배송은 언제 와요?,이틀,A\n환불 되나요?,사흘,B\n"),
        {"이틀": {"배송은 언제 와요?"}, "사흘": {"환불 되나요?"}},
        reading=Reading(question="궁금한 것", answer="안내"),
        metadata={"이틀": {"등급": "A"}},
    ),
    "a title above the user's names": Case(
        csv("고객센터\n궁금한 것,안내\n배송은 언제 와요?,이틀\n"),
        {"이틀": {"배송은 언제 와요?"}},
        (1, 1, 0),
        notes=("row 2",),
        reading=Reading(question="궁금한 것", answer="안내", answer_id="none"),
    ),
    "answers alone": Case(
        csv("분류,답변\n배송,이틀\n"), {"이틀": set()}, (1, 1, 0), notes=("no question column",)
    ),
    "blank questions": Case(
        csv(PLAIN + ",그 밖에는 전화 주세요.\n"),
        {**EXPECTED, "그 밖에는 전화 주세요.": set()},
        (3, 3, 0),
        notes=("1 rows have no question",),
    ),
}


def decorated(sheet: Any) -> None:
    """Comments, hyperlinks, text in several fonts."""
    sheet["A2"].comment = Comment("확인 필요", "담당자")
    sheet["B2"].hyperlink = "https://a.kr"
    sheet["A3"] = CellRichText("환불 ", TextBlock(InlineFont(b=True), "되나요?"))


def formatted(sheet: Any) -> None:
    for place, code in {
        "C2": "0.0%",
        "D2": "00000",
        "E2": 'yyyy"년" m"월" d"일"',
        "G2": "h:mm",
    }.items():
        sheet[place].number_format = code


EXCEL = {
    "plain": Case(excel(ROWS)),
    ".xlsm": Case(excel(ROWS, name="faq.xlsm")),
    "renamed .csv": Case(excel(ROWS, name="faq.csv"), notes=("Excel workbook, whatever its name",)),
    "renamed .xls": Case(excel(ROWS, name="faq.xls"), notes=("whatever its name",)),
    "blank rows and columns around the table": Case(
        excel([[], [], [None, "FAQ"], [], *([None, None, *r] for r in ROWS)]), notes=("row 5",)
    ),
    "merged categories": Case(
        excel([["분류", *ROWS[0]], ["배송", *ROWS[1]], [None, *ROWS[2]]], merge=["A2:A3"]),
        notes=("merged cells",),
        metadata={"사흘 안에 됩니다.": {"분류": "배송"}},
    ),
    "a question merged over two answers": Case(
        excel([ROWS[0], ["환불 되나요?", "네."], [None, "사흘 안에 됩니다."]], merge=["A2:A3"]),
        {"네.": {"환불 되나요?"}, "사흘 안에 됩니다.": {"환불 되나요?"}},
    ),
    "an answer merged over two questions": Case(
        excel([ROWS[0], ["환불 되나요?", "네."], ["환불돼?", None]], merge=["B2:B3"]),
        {"네.": {"환불 되나요?", "환불돼?"}},
    ),
    "merged titles between the rows": Case(
        excel(
            [
                ["번호", *ROWS[0]],
                ["1. 배송", None, None],
                [1, *ROWS[1]],
                [2, "환불", None],
                [3, *ROWS[2]],
            ],
            merge=["A2:C2", "B4:C4"],
        ),
        counts=(4, 2, 0),
        skipped={"the answer is blank": 1, "a title": 1},
    ),
    "the second sheet is the FAQ": Case(
        excel([["이 파일은"], ["FAQ입니다"]], ROWS), notes=("'Sheet2' is read",)
    ),
    "a guide that names the columns comes first": Case(
        excel([["항목", "설명"], ["질문", "고객의 말"], ["답변", "상담원의 말"]], ROWS),
        notes=("'Sheet2' is read",),
    ),
    "two sheets with answers": Case(
        excel(ROWS, [ROWS[0], ["교환?", "네"]]), notes=("'Sheet1' is read", "'Sheet2' would do too")
    ),
    "--sheet": Case(excel([ROWS[0], ["교환?", "네"]], ROWS), reading=Reading(sheet="sheet2")),
    "a hidden sheet comes first": Case(excel([ROWS[0], ["교환?", "네"]], ROWS, hidden=[1])),
    "a hidden sheet that is named": Case(
        excel(ROWS, [["표지"]], hidden=[1]), reading=Reading(sheet="Sheet1")
    ),
    "blank Sheet2 and Sheet3, no header": Case(excel(ROWS[1:], [], []), notes=("no header",)),
    "numbers, dates, booleans, percentages": Case(
        excel(
            [
                [*ROWS[0], "율", "코드", "날", "참", "시각", "수"],
                [*ROWS[1], 0.125, 42, datetime.date(2026, 1, 5), True, datetime.time(9, 30), 3.0],
            ],
            then=formatted,
        ),
        {"이틀이면 도착합니다.": {"배송은 언제 와요?"}},
        (1, 1, 0),
        metadata={
            "이틀이면 도착합니다.": {
                "율": "12.5%",
                "코드": "00042",
                "날": "2026-01-05",
                "참": "TRUE",
                "시각": "09:30:00",
                "수": "3",
            }
        },
    ),
    "comments, links, several fonts": Case(excel(ROWS, then=decorated)),
    "error cells": Case(
        excel(
            [
                ["id", *ROWS[0], "비고"],
                ["#REF!", *ROWS[1], "#N/A"],
                [2, "#NAME?", "사흘"],
                [3, "교환?", "#N/A"],
            ]
        ),
        {"이틀이면 도착합니다.": {"배송은 언제 와요?"}, "사흘": set()},
        (3, 2, 0),
        {"error of Excel, #N/A": 1},
        notes=("1 rows have no question",),
        reading=Reading(answer_id="id"),
        metadata={"이틀이면 도착합니다.": {}},
    ),
    "formulas with their values": Case(
        raw(row("질문", "답변") + f'<row>{cell("환불?")}<c t="str"><f>A1</f><v>사흘</v></c></row>'),
        {"사흘": {"환불?"}},
        (1, 1, 0),
    ),
    "formulas never calculated": Case(
        excel([*ROWS, ["교환?", "=A1&A2"]]), counts=(3, 2, 0), skipped={"the answer is blank": 1}
    ),
    "_x000D_ and how Excel escapes it": Case(
        raw(row("질문", "답변") + row("환불?", "사흘_x000D_\n안에 _x005F_x000D_ 됩니다")),
        {"사흘\n안에 _x000D_ 됩니다": {"환불?"}},
        (1, 1, 0),
    ),
    "shared strings with fonts and readings": Case(
        raw(
            '<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>'
            '<row><c t="s"><v>2</v></c><c t="s"><v>3</v></c></row>',
            strings="<si><t>질문</t></si><si><t>답변</t></si><si><r><t>환</t></r><r><t>불?</t></r></si>"
            "<si><t>東京</t><rPh sb='0' eb='2'><t>とうきょう</t></rPh></si>",
        ),
        {"東京": {"환불?"}},
        (1, 1, 0),
    ),
    "a dimension that lies": Case(
        raw(row("질문", "답변") + row("환불?", "사흘"), before='<dimension ref="A1:A1"/>'),
        {"사흘": {"환불?"}},
        (1, 1, 0),
    ),
    "prefixed tags, gaps between cells": Case(
        raw(
            '<x:row xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main" r="4">'
            '<x:c r="B4" t="inlineStr"><x:is><x:t>질문</x:t></x:is></x:c>'
            '<x:c r="E4" t="inlineStr"><x:is><x:t>답변</x:t></x:is></x:c></x:row>'
            f'<row r="9">{cell("?", "B9")}{cell("사흘", "E9")}</row>'
        ),
        {"사흘": {"?"}},
        (1, 1, 0),
    ),
    "a date that is no date": Case(
        raw(
            row("질문", "답변", "날")
            + f'<row>{cell("환불?")}{cell("사흘")}<c s="1"><v>-5</v></c></row>',
            styles='<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>',
        ),
        {"사흘": {"환불?"}},
        (1, 1, 0),
        metadata={"사흘": {"날": "-5"}},
    ),
    "20,000 formatted blank rows": Case(
        raw(
            row("질문", "답변")
            + row("환불?", "사흘")
            + '<row ht="16" customHeight="1"><c s="0"/><c s="0"/></row>' * 20_000
        ),
        {"사흘": {"환불?"}},
        (1, 1, 0),
    ),
    "LibreOffice, opened from CSV": Case(
        fixture("libreoffice_saved.xlsx"),
        {
            "이틀이면\n도착합니다.": {"배송은 언제 와요?", "택배 언제 도착해요?"},
            "3,000원입니다.": {"배송비가 얼마예요?"},
        },
        (3, 2, 0),
        {"노출여부 is not Y (--only)": 1},
        notes=("1 cell holds several phrasings", "--split 'newline'"),
        reading=Reading(only=("노출여부=Y",)),
        metadata={
            "3,000원입니다.": {
                "할인율": "13%",
                "등록일": "2026-01-06",
                "카테고리": "배송",
                "번호": "2",
                "노출여부": "Y",
            }
        },
    ),
    "LibreOffice, merged, two rows of names": Case(
        fixture("libreoffice_merged.xlsx"),
        {
            "이틀이면 도착합니다.": {"배송은 언제 와요?", "택배 언제 와요?"},
            "3,000원입니다.": {"배송비 얼마예요?"},
            "사흘 안에 됩니다.": {"환불 되나요?"},
        },
        (3, 3, 0),
        notes=("'FAQ' is read", "rows 2 and 3 are the header", "merged cells", "유사질문"),
        metadata={"3,000원입니다.": {"분류": "배송"}},
    ),
    "LibreOffice, formulas": Case(
        fixture("libreoffice_formulas.xlsx"),
        {"사흘 안에": {"환불 되나요?"}, "3000": {"배송비는?"}},
        (3, 2, 0),
        {"error of Excel, #N/A": 1},
        metadata={"사흘 안에": {"사용여부": "TRUE"}, "3000": {}},
    ),
}

PHRASINGS = {
    "question, question_2, alternate": Case(
        csv("question,question_2,alternate phrasing,answer\n환불?,환불돼?,환불 되나요?,네\n"),
        {"네": {"환불?", "환불돼?", "환불 되나요?"}},
        (1, 1, 0),
        notes=("question_2", "alternate phrasing", "--further-columns"),
    ),
    "대표질문, 유사질문1–3, some blank": Case(
        csv("대표질문,유사질문1,유사질문 2,유사질문-3(선택),답변\n환불?,환불돼?,,#N/A,네\n"),
        {"네": {"환불?", "환불돼?"}},
        (1, 1, 0),
        notes=("유사질문1", "유사질문-3"),
    ),
    "질문1, 질문2 and no 질문": Case(
        csv("질문1,질문2,답변\n환불?,환불돼?,네\n"), {"네": {"환불?", "환불돼?"}}, (1, 1, 0)
    ),
    "related questions are others": Case(
        csv("question,related questions,answer\n환불?,교환?,네\n"),
        {"네": {"환불?"}},
        (1, 1, 0),
        metadata={"네": {"related questions": "교환?"}},
    ),
    "--further-columns": Case(
        csv("질문,말1,말2,답변\n환불?,환불돼?,반품?,네\n"),
        {"네": {"환불?", "환불돼?", "반품?"}},
        (1, 1, 0),
        reading=Reading(further=("말1", "말2")),
    ),
    "--further-columns none": Case(
        csv("질문,유사질문,답변\n환불?,환불돼?,네\n"),
        {"네": {"환불?"}},
        (1, 1, 0),
        reading=Reading(further=()),
        metadata={"네": {"유사질문": "환불돼?"}},
    ),
    "lines in a cell, with marks": Case(
        csv('질문,답변\n"- 환불?\n• 환불돼?\n1. 환불 되나요?\n② 반품?",네\n'),
        {"네": {"환불?", "환불돼?", "환불 되나요?", "반품?"}},
        (1, 1, 0),
        notes=("between line breaks", "--split 'newline'"),
    ),
    "bars in a cell": Case(
        csv("질문,답변\n환불? | 환불돼?|,네\n"),
        {"네": {"환불?", "환불돼?"}},
        (1, 1, 0),
        notes=("between vertical bars", "--split '|'"),
        reading=Reading(delimiter=","),
    ),
    "a bar that is text, --split none": Case(
        csv("질문,답변\nOR(|) 연산자는?,네\n"),
        {"네": {"OR(|) 연산자는?"}},
        (1, 1, 0),
        reading=Reading(split="none"),
    ),
    "--split //": Case(
        csv("질문,답변\n환불? // 환불돼?,네\n"),
        {"네": {"환불?", "환불돼?"}},
        (1, 1, 0),
        reading=Reading(split="//"),
    ),
    "--split newline in spite of length": Case(
        csv(f'질문,답변\n"환불?\n{"아주 " * 20}긴 말",네\n'),
        {"네": {"환불?", f"{'아주 ' * 20}긴 말"}},
        (1, 1, 0),
        reading=Reading(split="newline"),
    ),
    "letters of several long lines": Case(
        csv(f'질문,답변\n"{"어제 산 옷이 아직도 오지 않았습니다. " * 3}\n언제 오나요?",내일\n'),
        {"내일": {f"{'어제 산 옷이 아직도 오지 않았습니다. ' * 3}\n언제 오나요?"}},
        (1, 1, 0),
        notes=("1 cell holds line breaks and one question each", "--split 'newline'"),
    ),
    "letters of short lines": Case(
        csv('질문,답변\n"안녕하세요.\n어제 주문했어요.\n언제 오나요?",내일\n'),
        {"내일": {"안녕하세요.\n어제 주문했어요.\n언제 오나요?"}},
        (1, 1, 0),
        notes=("one question each",),
    ),
    "greetings are phrasings": Case(
        csv('질문,답변\n"안녕하세요\n안녕하십니까\n하이",반가워요\n'),
        {"반가워요": {"안녕하세요", "안녕하십니까", "하이"}},
        (1, 1, 0),
        notes=("several phrasings",),
    ),
    "several answers of a question as rows": Case(
        csv("질문,답변\n환불?,네\n환불?,아니요\n"), {"네": {"환불?"}, "아니요": {"환불?"}}
    ),
    "several questions of an answer, one twice": Case(
        csv("질문,답변\n환불?,네\n환불돼?,네\n 환불? ,네\n"),
        {"네": {"환불?", "환불돼?"}},
        (3, 2, 1),
    ),
}
LONG = "가" * 200_000
CELLS = {
    "HTML: lists and paragraphs": Case(
        csv('질문,답변\n환불?,"<p>방법</p>\n<ul>\n  <li>앱</li>\n  <li>전화</li>\n</ul>"\n'),
        {"방법\n앱\n전화": {"환불?"}},
        (1, 1, 0),
        notes=("HTML in 1 text", "--keep-markup"),
    ),
    "HTML: a table": Case(
        csv(
            "질문,답변\n배송비?,<table><tr><th>서울</th><td>3천</td></tr><tr><td>제주</td></tr></table>\n"
        ),
        {"서울 3천\n제주": {"배송비?"}},
        (1, 1, 0),
        notes=("HTML",),
    ),
    "HTML: styles, scripts, comments, Word": Case(
        csv(
            "질문,답변\n환불?,<style>p{a:b}</style><!-- <b>숨김 --><script>1<2</script>"
            "네<o:p></o:p>\n"
        ),
        {"네": {"환불?"}},
        (1, 1, 0),
    ),
    "HTML: entities, and addresses that hold none": Case(
        csv("질문,답변\n환불?,<b>R&amp;D</b> &middot;&nbsp;a.kr/?a=1&region=2&copy=3&#54872;\n"),
        {"R&D · a.kr/?a=1&region=2&copy=3환": {"환불?"}},
        (1, 1, 0),
    ),
    "3 < 5, <이름>, a < b > c": Case(
        csv("질문,답변\n환불?,3 < 5이고 <이름>님은 a<b라면 x > y\n"),
        {"3 < 5이고 <이름>님은 a<b라면 x > y": {"환불?"}},
        (1, 1, 0),
    ),
    "--keep-markup": Case(
        csv("질문,답변\n환불?,<b>네</b>\n"),
        {"<b>네</b>": {"환불?"}},
        (1, 1, 0),
        reading=Reading(markup=True),
    ),
    "invisible letters": Case(
        csv(
            "질문,답변\n환\u200b불?\u00a0,\ufeff네\u00ad\u3000네\u202e\nㅤ\u3164,\u200b\n\u200d,\u3164\n"
        ),
        {"네 네": {"환불?"}},
        (3, 1, 0),
        {"the answer is blank": 2},
    ),
    "joined emoji stay": Case(
        csv("질문,답변\n가족?,👨‍👩‍👧 ❤️\n"), {"👨‍👩‍👧 ❤️": {"가족?"}}, (1, 1, 0)
    ),
    "NUL and ESC": Case(csv("질문,답변\n환\0불?,\x1b네\n"), {"네": {"환불?"}}, (1, 1, 0)),
    "errors of Excel, Google and LibreOffice": Case(
        csv(PLAIN + "ㄱ,#REF!\nㄴ,#ERROR!\nㄷ,Err:502\nㄹ,########\nㅁ,#NAME?\nㅂ,#태그\n"),
        {**EXPECTED, "#태그": {"ㅂ"}},
        (8, 3, 0),
        dict.fromkeys(("#REF!", "#ERROR!", "Err:502", "####", "#NAME?"), 1),
    ),
    "a very long cell": Case(csv(f"질문,답변\n환불?,{LONG}\n"), {LONG: {"환불?"}}, (1, 1, 0)),
    "100,000 comments never closed": Case(
        csv(f"질문,답변\n환불?,{'<!-- ' * 100_000}\n"),
        {("<!-- " * 100_000).strip(): {"환불?"}},
        (1, 1, 0),
    ),
}
IDS = {
    "an id a row, equal answers": Case(
        csv("답변번호,질문,답변\n1,환불?,네\n2,환불돼?,네\n3,교환?,네\n"),
        {"네": {"환불?", "환불돼?", "교환?"}},
        (3, 3, 0),
        ids={"네": "1"},
        aliases={"네": {"2", "3"}},
    ),
    "an id with two texts": Case(
        csv("answer_id,질문,답변\n1,환불?,네\n1,교환?,아니요\n"),
        {"네": {"환불?"}},
        (2, 1, 0),
        {"id belongs to another text": 1},
    ),
    "--id-column none": Case(
        csv("answer_id,질문,답변\n1,환불?,네\n1,교환?,아니요\n"),
        {"네": {"환불?"}, "아니요": {"교환?"}},
        reading=Reading(answer_id="none"),
        metadata={"네": {"answer_id": "1"}},
    ),
    "--only in another case and width": Case(
        csv("질문,답변,노출여부\n환불?,네,y\n교환?,네네,Ｙ \n반품?,아니요,N\n"),
        {"네": {"환불?"}, "네네": {"교환?"}},
        (3, 2, 0),
        {"노출여부 is not Y (--only)": 1},
        reading=Reading(only=("노출 여부=Y",)),
    ),
    "--only twice, NFD cells": Case(
        csv(
            unicodedata.normalize("NFD", "질문,답변,구분,노출\n환불?,네,배송,Y\n교환?,응,배송,N\n")
        ),
        {"네": {"환불?"}},
        (2, 1, 0),
        {"노출 is not Y": 1},
        reading=Reading(only=("구분=배송", "노출=Y")),
    ),
    "--only a blank cell": Case(
        csv("질문,답변,삭제\n환불?,네,\n교환?,응,삭제됨\n"),
        {"네": {"환불?"}},
        (2, 1, 0),
        {"삭제 is not": 1},
        reading=Reading(only=("삭제=",)),
    ),
}
AZURE = (
    "Question\tAnswer\tSource\tMetadata\tSuggestedQuestions\tIsContextOnly\tPrompts\tQnaId\n"
    '환불?\t네.\\n사흘 "안에" 됩니다.\tEditorial\t분류:환불|대상:회원\t[]\tFalse\t[]\t7\n'
    '환불돼?\t네.\\n사흘 "안에" 됩니다.\tEditorial\t분류:환불|대상:회원\t[]\tFalse\t[]\t7\n'
)
AZURE_CASE = {
    "pairs": {'네.\n사흘 "안에" 됩니다.': {"환불?", "환불돼?"}},
    "notes": ("Azure", "Metadata", "QnaId"),
    "ids": {'네.\n사흘 "안에" 됩니다.': "7"},
    "metadata": {'네.\n사흘 "안에" 됩니다.': {"분류": "환불", "대상": "회원"}},
}
NLU = """version: "3.1"
nlu:
- intent: refund
  examples: |
    - 환불 되나요?
    - [내일](date) 환불 [돼요]{"entity": "ask"}?
- intent: faq/shipping
  examples: |
    - 배송은 언제 와요?
- synonym: 환불
  examples: |
    - 반품
- intent: greet
  examples:
  - text: 안녕
"""
RESPONSES = """responses:
  utter_refund:
  - text: 사흘 안에 됩니다.
  - text: 고객센터로 문의하세요.
    channel: slack
  utter_faq/shipping:
  - text: |
      이틀이면
      도착합니다.
  utter_default:
  - text: 잘 모르겠어요.
  utter_image:
  - image: a.png
"""
RASA_PAIRS: Pairs = {
    "사흘 안에 됩니다.": {"환불 되나요?", "내일 환불 돼요?"},
    "고객센터로 문의하세요.": {"환불 되나요?", "내일 환불 돼요?"},
    "이틀이면\n도착합니다.": {"배송은 언제 와요?"},
    "잘 모르겠어요.": set(),
}
RASA = Case(
    file("nlu.yml", NLU + RESPONSES),
    RASA_PAIRS,
    (5, 4, 0),
    {"intent 'greet' has no response": 1},
    notes=("Rasa",),
    ids={"사흘 안에 됩니다.": "refund", "이틀이면\n도착합니다.": "faq/shipping"},
)
EXPORTS = {
    "Azure": Case(file("kb.tsv", AZURE), **AZURE_CASE),
    "Azure, through Excel": Case(
        excel(*[[line.split("\t") for line in AZURE.splitlines()]]), **AZURE_CASE
    ),
    "Rasa, one file": RASA,
    "Rasa, a project": Case(
        folder_of(
            data__nlu_yml=NLU,
            domain_yml="version: '3.1'\nintents: [refund]\n" + RESPONSES,
            config_yml="language: ko\npipeline: &p []\npolicies: *p\n",
            endpoints_yml="# nothing\n",
        ),
        RASA.pairs,
        RASA.counts,
        RASA.skipped,
        ("Rasa",),
    ),
    "JSON Lines, gzip, a mark, blank lines": Case(
        zipped(file("faq.jsonl", '\ufeff{"질문": "환불?", "답변": "네", "n": 1, "x": null}\n\n')),
        {"네": {"환불?"}},
        (1, 1, 0),
        metadata={"네": {"n": "1"}},
    ),
    "JSON Lines: a list of questions": Case(
        lines(
            {"questions": ["환불?", "환불돼?"], "answer": "네"}, {"questions": [], "answer": "응"}
        ),
        {"네": {"환불?", "환불돼?"}, "응": set()},
        notes=("questions (2)",),
    ),
    "NDJSON: tags, other keys a line": Case(
        lines({"q": "환불?", "a": "네", "tags": ["가", "나"]}, {"a": "응"}, name="faq.ndjson"),
        {"네": {"환불?"}, "응": set()},
        metadata={"네": {"tags": '["가", "나"]'}},
    ),
    "Parquet: missing ids, lists": Case(
        parquet(질문=[["환불?", "환불돼?"], ["교환?"]], 답변=["네", "응"], answer_id=[1, None]),
        {"네": {"환불?", "환불돼?"}, "응": {"교환?"}},
    ),
    "BEIR, two files of one judgement": Case(
        folder_of(
            corpus_jsonl='{"_id": "d1", "title": "배송", "text": "이틀", '
            '"metadata": {"분류": "가"}}\n'
            '{"_id": "d2", "text": "사흘"}\n{"_id": "d3", "text": "나흘"}',
            queries_jsonl='{"_id": "q1", "text": "언제?"}\n{"_id": "q2", "text": "왜?"}',
            qrels__dev_tsv="query-id\tcorpus-id\tscore\nq1\td1\t1\n",
            qrels__test_tsv="query-id\tcorpus-id\tscore\nq1\td2\t2\n",
        ),
        {"배송 이틀": {"언제?"}, "사흘": {"언제?"}, "나흘": set()},
        (3, 3, 0),
        notes=("1 queries have no judgement",),
        ids={"배송 이틀": "d1"},
        metadata={"배송 이틀": {"분류": "가"}},
    ),
}
TABLES = ENCODINGS | DELIMITERS | HEADERS | EXCEL | PHRASINGS | CELLS | IDS | EXPORTS


@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES)
def test_table_reads_as_an_operator_would(case: Case, tmp_path: Path) -> None:
    table = read_table(case.make(tmp_path), case.reading)
    collection, counts = build_collection(table)
    texts = {answer.id: answer.text for answer in collection.answers}
    pairs: dict[str, set[str]] = {text: set() for text in texts.values()}
    for question in collection.questions:
        pairs[texts[question.answer_id]].add(question.text)
    assert pairs == case.pairs
    skipped = counts.skipped()
    assert (counts.read, counts.kept, counts.merged) == case.counts
    assert counts.read == counts.kept + counts.merged + sum(skipped.values())
    assert sum(skipped.values()) == sum(case.skipped.values()), skipped
    for reason, count in case.skipped.items():
        assert [n for text, n in skipped.items() if reason in text] == [count], skipped
    for fact in case.notes:
        assert any(fact in note for note in table.notes), (fact, table.notes)
    assert not any("\n" in note for note in table.notes)
    answers = {answer.text: answer for answer in collection.answers}
    assert {text: answers[text].id for text in case.ids} == case.ids
    assert {text: set(answers[text].aliases) for text in case.aliases} == case.aliases
    assert {text: dict(answers[text].metadata) for text in case.metadata} == case.metadata


@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES)
def test_an_export_of_every_table_reads_back_equal(case: Case, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    table = read_table(case.make(tmp_path / "in"), case.reading)
    collection, _ = build_collection(table)
    for format_ in get_args(Format):
        out = tmp_path / ("out" if format_ == "beir" else f"out.{format_}")
        if format_ == "xlsx" and any(len(a.text) > 32_767 for a in collection.answers):
            with pytest.raises(UsageError, match=r"32,767.*\.csv"):  # Excel's own bound
                export(collection, out, format_)
            continue
        export(collection, out, format_)
        again, counts = build_collection(read_table(out))
        assert not counts.skips, format_
        if format_ == "beir":  # without further ids, as docs/tables.md says
            plain = [replace(answer, aliases=()) for answer in collection.answers]
            assert (again.answers, set(again.questions)) == (plain, set(collection.questions))
        else:
            assert again == collection, format_


def not_a_book(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "faq.xlsx", "w") as archive:
        archive.writestr("content.xml", "<office/>")
    return folder / "faq.xlsx"


def cut_off(folder: Path) -> Path:
    path = excel(ROWS)(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def wrong_bytes_within(folder: Path) -> Path:
    path = excel(ROWS)(folder)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.getinfo("xl/worksheets/sheet1.xml").header_offset
    content[start + 60 : start + 90] = b"\xff" * 30
    path.write_bytes(content)
    return path


def cut_gzip(folder: Path) -> Path:
    return file("faq.csv.gz", gzip.compress(PLAIN.encode() * 99)[:-20])(folder)


def wrong_gzip(folder: Path) -> Path:
    content = bytearray(gzip.compress(PLAIN.encode() * 99))
    content[30:40] = b"\xff" * 10
    return file("faq.csv.gz", bytes(content))(folder)


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
REFUSALS: dict[str, tuple[Make, type[DotbogiError], str, Reading]] = {
    name: (make, kind, mend, reading[0] if reading else Reading())
    for name, (make, kind, mend, *reading) in {
        "wrong bytes": (file("faq.csv", PLAIN.encode() + b"\xff"), DamagedError, "--encoding"),
        "UTF-16 cut in two": (
            file("faq.csv", PLAIN.encode("utf-16")[:-1]), DamagedError, "--encoding",
        ),
        "no such encoding": (csv(PLAIN), UsageError, "cp949", Reading(encoding="cp9494")),
        "an encoding of bytes": (csv(PLAIN), UsageError, "cp949", Reading(encoding="hex")),
        "two letters as the delimiter": (csv(PLAIN), UsageError, "tab", Reading(delimiter="||")),
        "a quote never closed": (csv(PLAIN + '"가,나\n'), DamagedError, "Close or double"),
        "a quote closed rows below": (
            csv('질문,답변\n환불?,"네\n교환?,네\n반품?,"아니요"\n'), DamagedError, "line 2",
        ),
        "header only": (csv("질문,답변\n"), DotbogiError, "one or more"),
        "nothing at all": (csv(""), DotbogiError, "header"),
        "unknown names": (csv("이름,나이,키\n가,1,2\n"), UsageError, "--answer-column"),
        "no header, no sentences": (csv("환불,사흘\n교환,이틀\n"), UsageError, "--header"),
        "two answer columns": (csv("질문,답변,답변\n가,나,다\n"), UsageError, "--answer-column"),
        "답변(국문) and 답변(영문)": (
            csv("질문,답변(국문),답변(영문)\n가,나,b\n"), UsageError, "--answer-column",
        ),
        "no such column": (csv(PLAIN), UsageError, "--question-column", Reading(question="말")),
        "no such further column": (
            csv(PLAIN), UsageError, "--further-columns", Reading(further=("말",)),
        ),
        "--only: no such column": (
            csv(PLAIN), UsageError, "COLUMN=VALUE", Reading(only=("노출=Y",)),
        ),
        "--only: no sign": (csv(PLAIN), UsageError, "COLUMN=VALUE", Reading(only=("답변",))),
        "--only: nothing is left": (csv(PLAIN), UsageError, "holds", Reading(only=("질문=Z",))),
        "--header of a blank row": (csv("\n" + PLAIN), UsageError, "--header", Reading(header=1)),
        "--split blank": (csv(PLAIN), UsageError, "newline", Reading(split=" ")),
        "all answers blank": (csv("질문,답변\n가,\n"), DotbogiError, "--answer-column"),
        "an old .xls or a password": (
            file("faq.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99), UsageError,
            "without a password",
        ),
        "HTML named .xls": (
            file("faq.xls", "\ufeff\n<HTML><table><tr><td>질문</td></tr></table>"), UsageError,
            ".xlsx",
        ),
        "text named .xls": (file("faq.xls", PLAIN), DamagedError, "rename it to .csv"),
        "a workbook cut off": (cut_off, DamagedError, "again"),
        "a workbook with wrong bytes": (wrong_bytes_within, DamagedError, "as CSV"),
        "a zip that is no workbook": (not_a_book, UsageError, "Save the table as .xlsx"),
        "not a zip": (file("faq.xlsx", "x" * 99), DamagedError, "not an Excel workbook"),
        "a workbook in gzip": (zipped(excel(ROWS)), DamagedError, "decompress"),
        "no such sheet": (excel(ROWS), UsageError, "--sheet", Reading(sheet="FAQ")),
        "all sheets blank": (excel([], []), DotbogiError, "--sheet"),
        "two sheets, unknown names": (
            excel([["가", "나", "다"]], [["라", "마", "바"]]), UsageError, "--sheet",
        ),
        "a string that is missing": (
            raw('<row><c t="s"><v>5</v></c></row>'), DamagedError, "Save it anew",
        ),
        "a row 2,000,000,000": (raw('<row r="2000000000"><c/></row>'), DamagedError, "as CSV"),
        "a column after XFD": (raw('<row><c r="ZZZ1"><v>1</v></c></row>'), DamagedError, "as CSV"),
        "entities in entities": (raw(row("질문"), doctype=LAUGHS), DamagedError, "as CSV"),
        "a gzip cut off": (cut_gzip, DamagedError, "again"),
        "a gzip with wrong bytes": (wrong_gzip, DamagedError, "again"),
        "not JSON": (file("faq.jsonl", '{"질문": '), DamagedError, "one object per line"),
        "a list in JSON Lines": (file("faq.jsonl", "[1]"), DamagedError, "one per line"),
        "JSON Lines: a list of answers": (
            lines({"question": "환불?", "answer": ["네", "응"]}), UsageError, "a row of its own",
        ),
        "Parquet: a list of answers": (
            parquet(질문=["환불?"], 답변=[["네", "응"]]), UsageError, "--answer-column",
        ),
        "an encoding that is none": (csv(PLAIN), UsageError, "cp949", Reading(encoding="a\0b")),
        "not Parquet": (file("faq.parquet", "x" * 99), DamagedError, "again"),
        "YAML that is not Rasa's": (file("a.yml", "services: {}\n"), DamagedError, "folder"),
        "YAML aliases": (
            file("a.yml", "nlu: &a [1, 1]\nresponses: [*a, *a]\n"), DamagedError, "Mend",
        ),
        "intents without responses": (file("nlu.yml", NLU), DotbogiError, "name the folder"),
        "options for Rasa": (
            file("nlu.yml", NLU), UsageError, "leave the options", Reading(header=1),
        ),
        "a folder of nothing": (lambda folder: folder, UsageError, "corpus.jsonl"),
        "another kind of file": (file("faq.hwp", "x"), UsageError, ".xlsx"),
        "no such file": (lambda folder: folder / "faq.csv", UsageError, "no such file"),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "mend", "reading"), REFUSALS.values(), ids=REFUSALS)
def test_refusal_is_one_line_with_the_mend(
    make: Make, kind: type[DotbogiError], mend: str, reading: Reading, tmp_path: Path
) -> None:
    with pytest.raises(DotbogiError) as refused:
        build_collection(read_table(make(tmp_path), reading))
    assert refused.type is kind, refused.value
    text = str(refused.value)
    assert "\n" not in text
    assert len(text) < 600
    assert mend in text


def test_the_corpus_is_large_enough() -> None:
    assert len(TABLES) >= 80
