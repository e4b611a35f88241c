"""The XML parts of a workbook, parsed as a stream within bounds."""

import zipfile
from collections.abc import Callable, Iterator
from xml.parsers import expat

MAX_TEXT = 1 << 20  # characters of a cell; Excel allows 32,767
_MAX_PART = 1 << 30  # bytes
_BLOCK = 1 << 18
_MAX_TOKEN = 1 << 20  # bytes of a tag or a comment, which the parser holds

Attributes = dict[str, str]


class Bomb(Exception):  # noqa: N818
    """A workbook holds more than it may."""

    def __init__(self, what: str, mend: str = "") -> None:
        """Say what is too much, and what the user can do."""
        super().__init__(what)
        self.mend = (
            mend or "That is more than a workbook can hold: save it anew in Excel, or as CSV."
        )


class Part:
    """One XML file in the archive."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        """Look at what the archive says of the part."""
        self._archive = archive
        self._info = info
        self.name = info.filename
        if info.file_size > _MAX_PART:
            raise Bomb(f"{self.name} has {info.file_size >> 20:,} MiB")

    def blocks(self) -> Iterator[bytes]:
        """Yield the part's bytes in blocks."""
        with self._archive.open(self._info) as file:
            yield from iter(lambda: file.read(_BLOCK), b"")

    def parse(
        self,
        start: Callable[[str, Attributes], None],
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> Iterator[None]:
        """Call the handlers with tags' names without prefixes; yield after each block.

        Raises:
            Bomb: a tag is too long, or the part declares entities, as no workbook does.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        local = _LocalNames()

        def doctype(*_: object) -> None:
            raise Bomb(f"{self.name} declares entities")

        parser.StartDoctypeDeclHandler = doctype
        parser.StartElementHandler = lambda name, values: start(local[name], values)
        if end:
            at_end = end
            parser.EndElementHandler = lambda name: at_end(local[name])
        parser.CharacterDataHandler = text
        fed = 0
        for block in self.blocks():
            parser.Parse(block, False)
            fed += len(block)
            if fed - max(parser.CurrentByteIndex, 0) > _MAX_TOKEN:
                raise Bomb(f"{self.name} has a tag of more than 1 MiB")
            yield
        parser.Parse(b"", True)
        yield

    def tags(self, wanted: set[str]) -> Iterator[tuple[str, Attributes]]:
        """Yield the wanted tags with their attributes."""
        found: list[tuple[str, Attributes]] = []
        for _ in self.parse(
            lambda tag, values: found.append((tag, values)) if tag in wanted else None
        ):
            yield from found
            found.clear()


class _LocalNames(dict[str, str]):
    """Names of tags without their prefixes, each computed once."""

    def __missing__(self, name: str) -> str:
        local = name.rpartition(":")[2]
        if len(self) < 1000:  # a part has a few dozen
            self[name] = local
        return local
