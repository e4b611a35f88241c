"""The rows of a sheet, and the strings and formats that its cells point to."""

import functools
from collections.abc import Iterator

from dotbogi.indexes.tables.numbers import Kind, kind_of, shown
from dotbogi.indexes.tables.parts import MAX_TEXT, Attributes, Bomb, Part

MAX_ROWS = 1_048_576  # Excel's own bounds
MAX_COLUMNS = 16_384
_MAX_STRINGS = 1_048_576
_MAX_CHARACTERS = 80_000_000  # of all strings: they are held in memory
TOO_LONG = "Save the table as CSV or Parquet, or split it."
_MAX_STYLES = 100_000  # Excel allows 65,490


def strings(part: Part) -> list[str]:
    """Return the strings that cells share; without how they are pronounced.

    Raises:
        Bomb: there are more than memory has room for.
    """
    found: list[str] = []
    pieces: list[str] = []
    state = {"text": False, "spoken": False, "length": 0, "all": 0}

    def start(tag: str, _: Attributes) -> None:
        if tag == "t":
            state["text"] = not state["spoken"]
        elif tag == "rPh":
            state["spoken"] = True

    def text(piece: str) -> None:
        if state["text"]:
            state["length"] += len(piece)
            if state["length"] > MAX_TEXT:
                raise Bomb(f"a cell in {part.name} has more than 1 MiB")
            pieces.append(piece)

    def end(tag: str) -> None:
        if tag == "t":
            state["text"] = False
        elif tag == "rPh":
            state["spoken"] = False
        elif tag == "si":
            found.append("".join(pieces))
            pieces.clear()
            state["all"] += state["length"]
            state["length"] = 0
            if len(found) > _MAX_STRINGS or state["all"] > _MAX_CHARACTERS:
                raise Bomb(f"{part.name} has more than {len(found) - 1:,} strings")

    for _ in part.parse(start, end, text):
        pass
    return found


class Kinds:
    """How the numbers of each style are shown."""

    def __init__(self, part: Part | None) -> None:
        """Read the formats of a workbook's styles; None: it has none."""
        codes: dict[int, str] = {}
        self._kinds: list[Kind] = []
        inside = False

        def start(tag: str, values: Attributes) -> None:
            nonlocal inside
            if tag == "numFmt":
                codes[int(values["numFmtId"])] = values.get("formatCode", "")
            elif tag == "cellXfs":
                inside = True
            elif tag == "xf" and inside:
                number = int(values.get("numFmtId", 0))
                self._kinds.append(kind_of(number, codes.get(number)))
            if max(len(self._kinds), len(codes)) > _MAX_STYLES:
                raise Bomb(f"{part.name if part else ''} has more than {_MAX_STYLES:,} styles")

        def end(tag: str) -> None:
            nonlocal inside
            inside = inside and tag != "cellXfs"

        for _ in part.parse(start, end) if part else ():
            pass

    def __getitem__(self, style: str) -> Kind:
        """Return how numbers of a style are shown."""
        number = int(style)
        return self._kinds[number] if number < len(self._kinds) else Kind()


class Sheet:
    """A sheet whose filled rows are read one after the other."""

    def __init__(
        self, part: Part, shared: list[str], kinds: Kinds, *, since_1904: bool = False
    ) -> None:
        """Point to the sheet and to what its cells point to."""
        self._part = part
        self._shared = shared
        self._kinds = kinds
        self._since_1904 = since_1904
        self._done: list[tuple[int, list[str]]] = []
        self._row = 0
        self._cells: list[str] | None = None  # None: between rows
        self._column = self._count = self._length = 0
        self._type = self._style = ""
        self._pieces: list[str] = []
        self._characters = 0  # of strings that cells do not share
        self._reads = self._spoken = False

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the cells of each row that holds something.

        Raises:
            Bomb: a row or a cell holds more than a sheet can.
        """
        for _ in self._part.parse(self._start, self._end, self._text):
            yield from self._done
            self._done.clear()

    def _start(self, tag: str, values: Attributes) -> None:
        if tag == "c" and self._cells is not None:
            self._count += 1
            place = values.get("r")
            self._column = column_of(place.rstrip("0123456789")) if place else self._column + 1
            if max(self._column, self._count) > MAX_COLUMNS:
                raise Bomb(f"row {self._row} of {self._part.name} has more than 16,384 cells")
            self._type, self._style = values.get("t", "n"), values.get("s", "0")
        elif tag == "row":
            # A number that was there before is a slip of the program that wrote the sheet.
            self._row = max(int(float(values.get("r", 0))), self._row + 1)
            if self._row > MAX_ROWS:
                raise Bomb(f"{self._part.name} has a row {self._row:,}")
            self._cells = []
            self._column = self._count = 0
        elif tag == "rPh":
            self._spoken = True
        elif tag in ("v", "t"):
            self._reads = self._cells is not None and not self._spoken

    def _text(self, piece: str) -> None:
        if self._reads:
            self._length += len(piece)
            if self._length > MAX_TEXT:
                raise Bomb(f"a cell in row {self._row} of {self._part.name} has more than 1 MiB")
            self._pieces.append(piece)

    def _end(self, tag: str) -> None:
        if tag in ("v", "t"):
            self._reads = False
        elif tag == "rPh":
            self._spoken = False
        elif tag == "c" and self._pieces and self._cells is not None:
            text = self._shown("".join(self._pieces))
            self._pieces.clear()
            self._characters += 0 if self._type == "s" else self._length
            if self._characters > _MAX_CHARACTERS:
                raise Bomb(f"{self._part.name} has more than {_MAX_CHARACTERS:,} letters", TOO_LONG)
            self._length = 0
            self._cells += [""] * (self._column - len(self._cells))
            self._cells[self._column - 1] = text
        elif tag == "row" and self._cells is not None:
            if self._cells:
                self._done.append((self._row, self._cells))
            self._cells = None

    def _shown(self, text: str) -> str:
        if self._type == "s":
            return self._shared[int(text)]
        if self._type == "b":
            return "TRUE" if text.strip() in ("1", "true") else "FALSE"
        if self._type == "d":
            return text.replace("T00:00:00", "").replace("T", " ").removesuffix("Z")
        if self._type == "n":
            return shown(text, self._kinds[self._style], since_1904=self._since_1904)
        return text


@functools.cache
def column_of(letters: str) -> int:
    """Return the number of a column, from 1.

    >>> column_of("AB")
    28
    """
    column = 0
    for letter in letters[:4].upper():
        column = 26 * column + ord(letter) - 64
    return column
