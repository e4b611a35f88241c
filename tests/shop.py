"""The table of a small shop, as its operator keeps it in Excel and changes it."""

from dataclasses import dataclass, field
from pathlib import Path

import openpyxl

ANSWERS = {
    "D1": "배송비는 3,000원이고 5만 원 이상이면 무료예요.",
    "D2": "주문하신 날부터 2~3일이면 받아 보실 수 있어요.",
    "D3": "주소는 발송 전까지 마이페이지에서 바꾸실 수 있어요.",
    "R1": "환불은 상품이 돌아온 뒤 사흘 안에 됩니다.",
    "R2": "교환은 받은 날부터 일주일 안에 신청해 주세요.",
    "R3": "반품 택배비는 고객님이 부담하십니다.",
    "P1": "카드, 계좌이체, 간편결제를 쓰실 수 있어요.",
    "P2": "영수증은 주문 내역에서 내려받으세요.",
    "M1": "비밀번호는 로그인 화면에서 다시 정하실 수 있어요.",
    "M2": "탈퇴는 설정의 맨 아래에 있습니다.",
}
QUESTIONS = {
    "D1": ["배송비 얼마예요", "무료 배송은 얼마부터예요", "택배비 있나요"],
    "D2": ["언제 도착해요", "배송 며칠 걸려요", "빨리 받고 싶어요"],
    "D3": ["배송지 바꾸고 싶어요", "주소 잘못 썼어요"],
    "R1": ["환불 언제 돼요", "돈 언제 돌려줘요", "환불이 안 들어왔어요"],
    "R2": ["교환하고 싶어요", "사이즈 바꿔 주세요"],
    "R3": ["반품 택배비 누가 내요", "반품비 얼마예요"],
    "P1": ["어떤 카드 되나요", "계좌이체 되나요"],
    "P2": ["영수증 주세요", "현금영수증 어디서 봐요"],
    "M1": ["비밀번호 까먹었어요", "로그인이 안 돼요"],
    "M2": ["탈퇴할래요", "회원 탈퇴 어떻게 해요"],
}


@dataclass
class Shop:
    """The table, row by row: an inner key, a question, an answer."""

    answers: dict[str, str] = field(default_factory=lambda: dict(ANSWERS))
    questions: dict[str, list[str]] = field(
        default_factory=lambda: {key: list(texts) for key, texts in QUESTIONS.items()}
    )

    def save(self, path: Path, *, ids: bool) -> Path:
        """Write the table as a workbook with a title; with ids, one of each answer."""
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.append(["우리 가게 자주 묻는 질문"])
        sheet.append([])
        sheet.append(["내부키", "질문", "답변"] if ids else ["질문", "답변"])
        for key, answer in self.answers.items():
            for question in self.questions[key]:
                sheet.append([key, question, answer] if ids else [question, answer])
        book.save(path)
        return path
