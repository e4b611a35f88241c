"""What people call the columns of a table of questions and answers."""

import re
import unicodedata

QUESTION = (
    "question", "q", "query", "questions", "utterance", "질문", "문의", "질문내용", "문의내용",
    "발화", "대표질문", "표준질문", "대표발화", "질의", "고객질문", "고객문의", "예상질문",
    "질문제목",
)  # fmt: skip
ANSWER = (
    "answer", "a", "response", "reply", "answers", "답변", "답", "응답", "답변내용", "대답",
    "표준답변", "대표답변", "답변본문", "답변문구", "응답문구",
)  # fmt: skip
ANSWER_ID = ("answer_id", "answerid", "답변id", "답변번호")
# Other words that stand in headers: they tell a header's second row from the first row of data.
OTHER = (
    "id", "no", "번호", "순번", "연번", "구분", "분류", "대분류", "중분류", "소분류", "카테고리",
    "category", "제목", "내용", "본문", "링크", "url", "비고", "키워드", "태그", "tag", "tags",
    "노출여부", "사용여부", "상태", "등록일", "수정일", "작성자", "담당자", "부서", "출처",
    "source", "언어", "lang", "label",
)  # fmt: skip
_FURTHER = re.compile(
    r"(?:유사|확장|추가|동의|변형|다른|예시|파생|학습)(?:질문|질의|발화|표현|문장|문구)\d*"
    r"|(?:질문|발화|질의|question|query|utterance|q)\d+"
    r"|(?:alternat(?:e|ive)|similar|related|variant|paraphrase)s?"
    r"(?:question|querie|query|phrase|phrasing|utterance)?s?\d*"
    r"|paraphrases?\d*|variants?\d*"
)


def key(name: str) -> str:
    """Return a name without what differs between spellings: case, spaces, marks, width."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name)).casefold()
    return re.sub(r"[\s_\-.·:*※()\[\]]+", "", folded)


def is_further(name: str) -> bool:
    """Return whether a column of this name holds further phrasings of the question."""
    return _FURTHER.fullmatch(key(name)) is not None


_KEYS = {
    role: {key(name): rank for rank, name in reversed(list(enumerate(names)))}
    for role, names in {"question": QUESTION, "answer": ANSWER, "answer_id": ANSWER_ID}.items()
}
_OTHER_KEYS = frozenset(map(key, OTHER))


def rank(name: str, role: str) -> int | None:
    """Return how usual a name is for a column of this role, 0 the most; None: it is not.

    Args:
        name: of the column.
        role: "question", "answer" or "answer_id".
    """
    return _KEYS[role].get(key(name))


def is_known(name: str) -> bool:
    """Return whether a name is one that headers of such tables hold."""
    folded = key(name)
    return folded in _OTHER_KEYS or is_further(name) or any(folded in k for k in _KEYS.values())
