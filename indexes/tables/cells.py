"""Cells as people see them: without markup, escapes and characters that do not show."""

import html
import re

# Elements that editors put into FAQ tables. "3 < 5" and "<이름>" are text.
_TAGS = (
    "a|b|big|blockquote|body|br|caption|center|code|col|colgroup|dd|del|div|dl|dt|em|figcaption|"
    "figure|font|h[1-6]|head|hr|html|i|iframe|img|ins|li|mark|o:p|ol|p|pre|s|section|small|span|"
    "strike|strong|sub|sup|table|tbody|td|tfoot|th|thead|tr|u|ul"
)
_MARKUP = re.compile(rf"<(/?)({_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
# What browsers do not show: comments, styles and scripts.
_UNSEEN = {"<!--": "-->", "<style": "</style>", "<script": "</script>"}
# With its semicolon: "?a=1&region=kr" holds none.
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#\d{2,7}|#[xX][0-9a-fA-F]{2,6});")
_BLOCKS = frozenset(  # begin a new line
    ("blockquote", "caption", "dd", "div", "dl", "dt", "figcaption", "h1", "h2", "h3", "h4", "h5",
     "h6", "hr", "li", "ol", "p", "pre", "section", "table", "tr", "ul")
)  # fmt: skip
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000\u3164]")  # the last is Hangul's own
# Without U+200D, which joins emoji.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060"
    "\u2066-\u2069\ufeff]"
)
_EXCEL_ERROR = re.compile(
    r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|BUSY!|"
    r"UNKNOWN!|GETTING_DATA|ERROR!)"  # the last is Google's
    r"|Err:\d{3}"  # LibreOffice's
    r"|#{3,}"  # the column was too narrow for its number
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
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text)).strip()
    return text if text.strip("\u200c\u200d\ufe0f") else ""


def is_error(text: str) -> bool:
    """Return whether a cell shows an error of Excel, such as #N/A."""
    return _EXCEL_ERROR.fullmatch(text.strip()) is not None


def _escaped(match: re.Match[str]) -> str:
    """Return the character of an escape; an escaped underscore keeps "_x0041_" from being one."""
    code = int(match[1], 16)
    return chr(code) if code < 0x20 or code == 0x5F else match[0]


def _without_markup(text: str) -> str:
    for opening, closing in _UNSEEN.items():
        text = _without(text, opening, closing)
    shown: list[str] = []
    last = end = 0
    for tag in _MARKUP.finditer(text):
        piece = text[end : tag.start()]
        if piece.strip() or (piece and "\n" not in piece):  # else it is the layout of the HTML
            shown.append(piece)
        name = tag[2].lower()
        at_start = not shown or shown[-1].rstrip(" \t").endswith("\n")
        if name == "br" or (name in _BLOCKS and not at_start):
            shown.append("\n")
        elif name in ("td", "th") and tag[1]:
            shown.append(" ")
        end = last = tag.end()
    shown.append(text[end:])
    plain = "".join(shown)
    if last:  # indentation in HTML is not shown
        plain = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]*\n[ \t]*", "\n", plain))
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), plain)


def _without(text: str, opening: str, closing: str) -> str:
    """Return a text without what stands from an opening to its closing."""
    lowered = text.lower()
    if opening not in lowered or len(lowered) != len(text):
        return text
    kept: list[str] = []
    end = 0
    while (start := lowered.find(opening, end)) >= 0:
        stop = lowered.find(closing, start)
        if stop < 0:
            break
        kept.append(text[end:start])
        end = stop + len(closing)
    return "".join([*kept, text[end:]])
