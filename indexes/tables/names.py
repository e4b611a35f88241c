"""What people call the columns of a table of questions and answers."""

import functools
import re
import unicodedata

QUESTION = (
    "question", "q", "query", "questions", "utterance", "질문", "문의", "질문내용", "문의내용",
    "발화", "대표질문", "표준질문", "대표발화", "질의", "고객질문", "고객문의", "예상질문",
    "질문제목", "질문사항", "문의사항", "자주묻는질문", "faq질문", "사용자질문", "사용자발화",
    "고객발화",
)  # fmt: skip
ANSWER = (
    "answer", "a", "response", "reply", "answers", "답변", "답", "응답", "답변내용", "대답",
    "표준답변", "대표답변", "답변본문", "답변문구", "응답문구", "답변사항", "상세답변", "faq답변",
    "챗봇답변", "챗봇응답",
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
    r"|(?:질문|발화|질의|questions?|query|queries|utterances?|q)\d+"
    r"|(?:alt|alternat(?:e|ive)|similar|variant|paraphrase)s?"
    r"(?:question|querie|query|phrase|phrasing|utterance)?s?\d*"
    r"|paraphrases?\d*|variants?\d*"
)


def key(name: str) -> str:
    """Return a name without what differs between spellings: case, spaces, marks, width."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_\-.·:*※★●■()\[\]]+", "", folded)


# What forms add to a name: 질문(필수), [선택] 링크, 답변 (500자까지).
_BRACKETS = re.compile(r"\s*[(\[（【<][^()\[\]（）【】<>]*[)\]）】>]\s*")
_BRACKETED = 100  # ranks below any name without brackets


def is_further(name: str) -> bool:
    """Return whether a column of this name holds further phrasings of the question."""
    return any(_FURTHER.fullmatch(folded) for folded in _keys(name))


def _keys(name: str) -> list[str]:
    """Return the key of a name, and that of what is left without brackets."""
    bare = _BRACKETS.sub("", name)
    return [key(name), key(bare)] if bare != name else [key(name)]


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
    for more, folded in enumerate(_keys(name)):
        if folded in _KEYS[role]:
            return _KEYS[role][folded] + more * _BRACKETED
    return None


@functools.lru_cache(4096)  # the first rows are looked at again and again
def role(name: str) -> str:
    """Return "question", "answer" or "answer_id" if a name is usual for one, else ""."""
    found = next((r for r in _KEYS if rank(name, r) is not None), "")
    return found or ("question" if is_further(name) else "")


def is_known(name: str) -> bool:
    """Return whether a name is one that headers of such tables hold."""
    return bool(role(name)) or any(folded in _OTHER_KEYS for folded in _keys(name))
