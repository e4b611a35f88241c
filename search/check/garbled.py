"""Text that was damaged on its way into a table."""

import re
from collections.abc import Iterator

from dotbogi.indexes.text import is_valid_unicode

_TAG = re.compile(
    r"</?(?:a|b|br|center|div|em|font|h[1-6]|hr|i|img|input|li|ol|p|script|span|strong|style"
    r"|table|tbody|td|th|tr|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_ENTITY = re.compile(
    r"&(?:amp|apos|copy|gt|hellip|lt|middot|nbsp|quot|[lr][sd]quo|#\d+|#x[0-9a-f]+);", re.I
)
_ESCAPE = re.compile(r"_x[0-9A-Fa-f]{4}_|(?:\\u[0-9a-fA-F]{4}){2,}|\\r\\n|(?<=[가-힣.!?\s])\\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CODE = re.compile(r"`[^`]*`")  # a tag that is quoted as code is meant
_QUESTION_MARKS = re.compile(r"[?\s.,!]*\?{2,}[?\s.,!]*\s[?\s.,!]*\?[?\s.,!]*")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+(?:[ ?][^\x00-\x7f]+)*")
_BYTES = re.compile(
    r"[\x80-\xff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    r"\u2013-\u203a\u20ac\u2122]{3,}"
)
_HANGUL = re.compile(r"[가-힣]")
_CHINESE = re.compile(r"[\u4e00-\u9fff\uf900-\ufaff]")


def is_unreadable(text: str) -> bool:
    """Return whether letters are lost or stand for others."""
    lost = "\ufffd" in text or not is_valid_unicode(text) or bool(_QUESTION_MARKS.fullmatch(text))
    return lost or next(_mojibake(text), None) is not None


def garbling(text: str) -> str:
    r"""Return what is wrong with a text, and what to do, or "".

    Single jamo (ㅋㅋ, ㅠㅠ) are ordinary Korean.

    >>> garbling("배송은&nbsp;이틀 걸립니다")
    'left from HTML: &nbsp;. Remove it.'
    >>> garbling("ㅋㅋㅋ 배고파 ㅠㅠ")
    ''
    """
    return next(_problems(text), "")


def _problems(text: str) -> Iterator[str]:
    if "\ufffd" in text or not is_valid_unicode(text):
        yield "letters are lost (\ufffd). Write them again, or export the table as UTF-8."
    for right, encoding in _mojibake(text):
        yield f"{encoding}, perhaps for “{right[:20]}”. Export the table again as UTF-8."
    if _QUESTION_MARKS.fullmatch(text):
        yield "letters were replaced by question marks. Export the table again as UTF-8."
    plain = _CODE.sub("", text)
    if match := _TAG.search(plain) or _ENTITY.search(plain):
        yield f"left from HTML: {match[0][:30]}. Remove it."
    if match := _ESCAPE.search(plain):
        yield f"left from an export: {match[0][:30]}. Replace it by what it stands for."
    if _CONTROL.search(text):
        yield "a control character. Delete it."
    if any("\ue000" <= letter <= "\uf8ff" for letter in text):
        yield "a sign that only its own font can show. Replace it, for example by -."


def _mojibake(text: str) -> Iterator[tuple[str, str]]:
    """Yield Korean that appears when a text is encoded as it was wrongly decoded."""
    for match in _BYTES.finditer(text):  # no letters of Korean are among these
        raw = b"".join(_as_byte(letter) for letter in match[0])
        for encoding, name in (("utf-8", "UTF-8"), ("cp949", "CP949")):
            right = raw.decode(encoding, "ignore")
            hangul = len(_HANGUL.findall(right))
            # A row of dots is also two bytes of CP949 again and again.
            if (
                len(set(match[0])) > 2
                and hangul >= 2
                and hangul * (3 if encoding == "utf-8" else 2) > len(raw) * 0.6
            ):
                yield right, f"{name} read as Latin-1"
                break
    for match in _NOT_ASCII.finditer(text):
        # The first byte of UTF-8's Hangul begins a Chinese character in CP949, or nothing.
        if not _CHINESE.search(match[0]):
            continue
        raw = match[0].encode("cp949", "ignore")
        right = raw.decode("utf-8", "ignore")
        hangul = len(_HANGUL.findall(right))
        if hangul >= 2 and hangul * 3 > len(raw) * 0.4:
            yield right, "UTF-8 read as CP949"


def _as_byte(letter: str) -> bytes:
    try:
        return letter.encode("cp1252")
    except UnicodeEncodeError:
        return letter.encode("latin-1", "ignore")  # five bytes that cp1252 does not define
