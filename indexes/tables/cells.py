"""Cells as people see them: without markup, escapes and characters that do not show."""

import html
import re

# Elements that editors put into FAQ tables. "3 < 5" and "<이름>" are text.
_TAGS = (
    "a|b|big|blockquote|br|center|code|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|s|small|span|"
    "strike|strong|sub|sup|table|tbody|td|tfoot|th|thead|tr|u|ul"
)
_MARKUP = re.compile(rf"<(?:/?({_TAGS})(?:\s[^<>]*)?/?|!--.*?--)>", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"&(?:nbsp|lt|gt|amp|quot|apos|#\d{2,7}|#x[0-9a-fA-F]{2,6});")
_BLOCKS = frozenset(  # begin a new line
    ("blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "pre", "table",
     "tr", "ul", "ol")
)  # fmt: skip
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
# Without U+200D, which joins emoji.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u2060\ufeff]"
)
_EXCEL_ERROR = re.compile(
    r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|GETTING_DATA|ERROR!)"
)
_EXCEL_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how a workbook writes control characters


def clean_cell(text: str, *, markup: bool = False) -> str:
    r"""Return what a person reads in a cell.

    HTML becomes text, escapes of Excel and characters that do not show are left out, all kinds of
    spaces and line ends are one.

    Args:
        text: the cell.
        markup: keep HTML as it is.

    >>> clean_cell("<p>2~3일&nbsp;걸려요.<br>주말은 쉽니다.</p>")
    '2~3일 걸려요.\n주말은 쉽니다.'
    >>> clean_cell("3 < 5 _x000D_")
    '3 < 5'
    """
    if "_x" in text:
        text = _EXCEL_ESCAPE.sub(_escaped, text)
    if not markup and ("<" in text or "&" in text):
        text = _without_markup(text)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", "\n")
    return _INVISIBLE.sub("", _SPACES.sub(" ", text)).strip()


def is_error(text: str) -> bool:
    """Return whether a cell shows an error of Excel, such as #N/A."""
    return _EXCEL_ERROR.fullmatch(text.strip()) is not None


def _escaped(match: re.Match[str]) -> str:
    """Return the character of an escape; an escaped underscore keeps "_x0041_" from being one."""
    code = int(match[1], 16)
    return chr(code) if code < 0x20 or code == 0x5F else match[0]


def _without_markup(text: str) -> str:
    shown = ""
    end = 0
    for tag in _MARKUP.finditer(text):
        shown += text[end : tag.start()]
        name = tag[1].lower() if tag[1] else ""
        if name == "br" or (name in _BLOCKS and shown and not shown.endswith("\n")):
            shown += "\n"
        end = tag.end()
    shown += text[end:]
    return html.unescape(shown) if end or _ENTITY.search(shown) else shown
