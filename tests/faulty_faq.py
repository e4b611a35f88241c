"""A Korean FAQ of a kitchenware shop without faults, and forty faults to plant in it.

Each line of faq.txt is a category, an answer, and the questions that lead to it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from dotbogi.indexes.tables import Row

FAQ = Path(__file__).parent / "faq.txt"


@dataclass(frozen=True)
class Fault:
    """A fault that was planted: its kind, and the row where it is."""

    kind: str
    row: int


def clean_rows() -> list[Row]:
    """Return the FAQ, one row per question, as a spreadsheet has it: the header is row 1."""
    rows: list[Row] = []
    for place, line in enumerate(FAQ.read_text(encoding="utf-8").splitlines()):
        category, answer, *questions = (part.strip() for part in line.split(" | "))
        for question in questions:
            answer_id = f"F{place + 1:03}"
            rows.append(Row(question, answer, answer_id, {"분류": category}, len(rows) + 2))
    return rows


class _Planter:
    def __init__(self) -> None:
        self.rows = clean_rows()
        self.faults: list[Fault] = []

    def change(self, kind: str, spoilt: str, **changes: str) -> None:
        """Spoil the row of this question."""
        place = next(i for i, row in enumerate(self.rows) if row.question == spoilt)
        self.rows[place] = replace(self.rows[place], **changes)
        self.faults.append(Fault(kind, self.rows[place].number))

    def add(self, kind: str, question: str, answer: str, answer_id: str = "") -> None:
        """Add a row at the end, where people add rows."""
        number = len(self.rows) + 2
        answer_id = answer_id or f"N{number}"
        self.rows.append(Row(question, answer, answer_id, {"분류": "기타"}, number))
        self.faults.append(Fault(kind, number))

    def answer_of(self, question: str) -> tuple[str, str]:
        row = next(row for row in clean_rows() if row.question == question)
        return row.answer, row.answer_id


def faulty_rows() -> tuple[list[Row], list[Fault]]:
    """Return the FAQ with forty faults of ten kinds, and where they are."""
    table = _Planter()
    _repeat_and_double(table)
    _misplace(table)
    _blank_and_lengthen(table)
    _leak_and_garble(table)
    _contradict(table)
    return table.rows, table.faults


def _repeat_and_double(table: _Planter) -> None:
    kind = "repeated-question"
    table.add(kind, "배송비 얼마예요", "배송비는 3,000원입니다. 5만 원을 넘기면 받지 않아요.")
    table.add(kind, "주차 돼요?", "근처 공영 주차장을 이용해 주세요. 매장에는 자리가 없습니다.")
    table.add(kind, "포인트 유효 기간이 있나요?", "포인트는 2년 동안 쓰실 수 있습니다.")
    table.add(kind, "보증기간이 얼마나 돼요?", "모든 제품의 보증은 1년이며 영수증이 있어야 합니다.")
    kind = "near-duplicate-answers"
    table.add(
        kind,
        "산간 지역은 며칠이나 걸려요?",
        "주문하신 상품은 보통 2일 후에 도착합니다. 산간 지역은 하루 정도 더 걸려요.",
    )
    table.add(
        kind,
        "강아지랑 매장 구경해도 괜찮을까요?",
        "강아지는 안거나 가방에 넣어서 들어오시면 됩니다. 유리 진열대 앞에서는 주의해 주세요.",
    )
    table.add(
        kind,
        "비밀번호 메일이 왔는데 만료됐대요",
        "로그인 화면에서 '비밀번호 찾기'를 누르시면 비밀번호를 새로 정할 수 있는 링크를 "
        "메일로 보내 드립니다.",
    )
    table.add(
        kind, "나무 도마에 물때가 껴요",
        "원목 도마를 식기세척기에 넣으면 갈라질 수 있습니다. 손으로 씻은 뒤 그늘에 세워서 "
        "말려 주세요.",
    )  # fmt: skip


def _misplace(table: _Planter) -> None:
    kind = "misplaced-question"
    for question, other in (
        ("카드 승인이 안 난대요", "커피머신에서 물이 새요"),
        ("탈퇴하고 싶어요", "접시 깨져서 오지 않을까요?"),
        ("쿠킹 클래스 얼마예요?", "미국으로도 보내주나요"),
        ("무쇠팬 어떻게 씻어요?", "생일 쿠폰은 언제 줘요"),
    ):
        answer, answer_id = table.answer_of(other)
        table.change(kind, question, answer=answer, answer_id=answer_id)
    kind = "answer-without-question"
    table.add(kind, "", "명절 전 일주일은 주문이 몰려 하루 이틀 늦어질 수 있습니다.")
    table.add(
        kind, "", "매장에서 쓰는 종이 봉투는 한 장에 100원이에요. 장바구니를 가져오시면 좋습니다."
    )
    table.add(kind, "", "리뷰에 사진을 올리시면 다음 날 300점을 드립니다.")
    table.add(kind, "", "채용 소식은 누리집 맨 아래 '함께 일해요'에 올라옵니다.")


def _blank_and_lengthen(table: _Planter) -> None:
    kind = "blank-cell"
    table.add(kind, "중고 냄비도 매입하시나요?", "")
    table.add(kind, "도자기 수업도 있나요", "\u00a0 ")
    table.add(kind, "냄비 세트는 낱개로 안 파나요?", "-")
    table.add(kind, "  ", *table.answer_of("보자기로 싸주세요"))
    kind = "long-answer"
    answers = list(dict.fromkeys(row.answer for row in clean_rows()))
    # Whole pages of terms, pasted into one cell.
    table.add(kind, "배송 정책 전체를 보고 싶어요", "\n".join(answers[:22]))
    table.add(kind, "제품 관리 설명서 있나요", "\n".join(answers[36:60]))
    table.add(kind, "회원 약관 보여주세요", " ".join(answers[22:36]))
    table.add(kind, "수업이랑 선물 안내문 좀요", " ".join(answers[55:68]))


def _leak_and_garble(table: _Planter) -> None:
    kind = "error-cell"
    table.add(kind, "구리 냄비는 어떻게 닦나요", "#N/A")
    table.add(kind, "#REF!", "장바구니에 담은 물건은 30일 동안 남아 있어요.")
    table.add(kind, "도매 가격표 받을 수 있을까요", "#VALUE!")
    table.add(kind, "얼음틀은 몇 칸짜리예요?", "#NAME?")
    kind = "private-data"
    table.add(
        kind,
        "어제 주문한 박서연인데요 010-8472-1936으로 전화 좀 주세요",
        "담당자가 주문 번호를 확인하고 채팅으로 답을 드려요. 채팅은 오른쪽 아래에 있습니다.",
    )
    table.add(
        kind,
        "답변은 seoyeon.park84@naver.com 으로 보내주세요",
        "긴 답은 내 문의에서 다시 보실 수 있고 알림도 함께 갑니다.",
    )
    table.add(
        kind,
        "현금영수증 번호를 잘못 넣었어요",
        "확인했습니다. 840215-2093418 번호로 등록된 영수증은 취소하고 새로 끊어 드렸어요.",
    )
    table.add(
        kind, "카드번호 4539 1488 0343 6467 로 결제했는데 취소 언제 돼요",
        "어느 카드인지는 끝의 네 자리만 알려 주셔도 찾을 수 있어요.",
    )  # fmt: skip
    kind = "garbled-text"
    table.change(
        kind,
        "마음이 바뀌었는데 돌려보내도 되나요",
        question="마음이 바뀌었는데 돌려보내도 되나요".encode().decode("cp949", "replace"),
    )
    table.add(
        kind,
        "얼룩진 행주는 어떻게 빨아요?",
        "행주는 과탄산소다를 푼 물에 담갔다가<br>햇볕에 말려&nbsp;주세요.",
    )
    table.add(
        kind,
        "저금통 모양 컵 아직 팔아요?",
        "지난봄에 나온 한정판이라 더는 만들지 않아요._x000D_\n비슷한 모양은 곧 나옵니다.",
    )
    table.add(
        kind, "물병 입구가 좁아서 안 씻겨요",
        "긴 솔을 함께 팔아요. 굵은 소금과 물을 넣고 흔들어도 됩니다.".encode().decode("latin-1"),
    )  # fmt: skip


def _contradict(table: _Planter) -> None:
    kind = "contradictory-row"
    table.add(kind, "리뷰 쓰면 뭐 줘요?", "사진을 올린 리뷰에는 500점을 드려요.", "F024")
    table.add(
        kind,
        "소스 병 뚜껑이 안 열려요",
        "고무장갑을 끼고 돌려 보세요. 뜨거운 물에 잠깐 담가도 열립니다.",
        "F046",
    )
    kind = "meaningless-question"
    table.add(kind, "???", *table.answer_of("매장 몇 시까지 해요?"))
    table.add(kind, "문의드려요", *table.answer_of("수리 맡기고 싶어요"))
