"""Workbooks whose XML is written by hand: faster than a library, and free to be wrong."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def write_book(
    path: Path,
    rows: Iterable[str],
    *,
    strings: Iterable[str] = (),
    styles: Iterable[str] = (),
    before: Iterable[str] = (),
    after: Iterable[str] = (),
    doctype: str = "",
) -> None:
    """Write a workbook of one sheet, named FAQ."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        book.writestr("[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types"/>')
        book.writestr("_rels/.rels", _relations(officeDocument="xl/workbook.xml"))
        book.writestr(
            "xl/workbook.xml",
            f'<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets>'
            '<sheet name="FAQ" sheetId="1" r:id="worksheet"/></sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            _relations(
                worksheet="worksheets/sheet1.xml",
                sharedStrings="sharedStrings.xml",
                styles="/xl/styles.xml",
            ),
        )
        _write(book, "xl/styles.xml", f"<styleSheet {_MAIN}>", styles, "</styleSheet>")
        _write(book, "xl/sharedStrings.xml", f"<sst {_MAIN}>", strings, "</sst>")
        start = f"{doctype}<worksheet {_MAIN}>{''.join(before)}<sheetData>"
        end = f"</sheetData>{''.join(after)}</worksheet>"
        _write(book, "xl/worksheets/sheet1.xml", start, rows, end)


def cell(text: str, place: str = "") -> str:
    where = f'r="{place}" ' if place else ""
    return f'<c {where}t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def row(*texts: str) -> str:
    return f"<row>{''.join(map(cell, texts))}</row>"


def _relations(**targets: str) -> str:
    listed = "".join(
        f'<Relationship Id="{kind}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for kind, target in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'


def _write(book: zipfile.ZipFile, name: str, start: str, pieces: Iterable[str], end: str) -> None:
    with book.open(name, "w", force_zip64=True) as part:
        part.write(start.encode())
        for piece in pieces:
            part.write(piece.encode())
        part.write(end.encode())
