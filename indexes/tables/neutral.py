"""Texts as cells of a spreadsheet: safe to open there, and the same texts when read again."""

import re

# A spreadsheet takes a cell that begins like this for a formula; a cell that begins with an
# apostrophe before it is marked too, so that every text can be restored.
_FORMULA = re.compile(r"'*[=+\-@＝＋－＠\t\r]")
_NEUTRALISED = re.compile(r"'+[=+\-@＝＋－＠\t\r]")

# XML cannot hold these, and turns a carriage return into a line feed. Excel writes the code
# instead, as _x000D_, and reads it as the character; so a text that looks like a code needs one.
_CODED = "\x00-\x08\x0b-\x1f\ufffe\uffff"
_NOT_IN_XML = re.compile(f"[{_CODED}]|_(?=x[0-9A-Fa-f]{{4}}[_{_CODED}])")
_CODE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def neutralise(text: str) -> str:
    """Return the text with an apostrophe before it if a spreadsheet would compute it.

    >>> [neutralise(text) for text in ("=1+1", "'=1+1", "＝1", "1=1", "'배송'")]
    ["'=1+1", "''=1+1", "'＝1", '1=1', "'배송'"]
    """
    return f"'{text}" if _FORMULA.match(text) else text


def restored(text: str) -> str:
    """Return the text that `neutralise` was given.

    >>> [restored(text) for text in ("'=1+1", "''=1+1", "1=1", "'배송'")]
    ['=1+1', "'=1+1", '1=1', "'배송'"]
    """
    return text[1:] if _NEUTRALISED.match(text) else text


def to_xml(text: str) -> str:
    r"""Return the text for a workbook's XML, with codes for what XML cannot hold.

    >>> to_xml("a\rb"), to_xml("_x000D_")
    ('a_x000D_b', '_x005F_x000D_')
    """
    return _NOT_IN_XML.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


def from_xml(text: str) -> str:
    r"""Return the text that `to_xml` was given; a workbook saved by Excel has the same codes.

    >>> from_xml("_x005F_x000D_")
    '_x000D_'
    """
    return _CODE.sub(lambda match: chr(int(match[1], 16)), text)
