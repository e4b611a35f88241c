"""Write a generation into a folder of request bodies for an engine, all or nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from dotbogi.indexes.errors import UsageError
from dotbogi.indexes.export import check_free, whole
from dotbogi.indexes.files import write_file, write_json
from dotbogi.search.engines import opensearch, qdrant
from dotbogi.search.engines.contents import check_exportable
from dotbogi.search.index import SearchIndex

EngineName = Literal["qdrant", "opensearch"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

_MOST_BYTES = 8 << 20  # of a request: both engines accept this by default


class _Engine(Protocol):
    """What the module of an engine has."""

    FOLDER: str
    SUFFIX: str

    def bodies(self, index: SearchIndex) -> Mapping[str, Any]: ...
    def records(self, index: SearchIndex) -> Iterator[str]: ...
    def batch(self, records: Sequence[str]) -> str: ...


_ENGINES: Mapping[EngineName, _Engine] = {"qdrant": qdrant, "opensearch": opensearch}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineExport:
    """What was written. Saved as export.json."""

    engine: EngineName
    generation: str
    vectors_fingerprint: str
    analyzer_fingerprint: str
    answers: int
    questions: int
    requests: int


def export_to(
    engine: EngineName, index: SearchIndex, generation: str, out: Path, *, force: bool = False
) -> EngineExport:
    """Write the settings, the documents and the templates of a query.

    Args:
        engine: where the documents go.
        index: of the generation.
        generation: its name.
        out: the folder to write.
        force: replace `out` if it is such an export.

    Raises:
        UsageError: `out` cannot be used, or the generation cannot be exported.
    """
    check_exportable(index)
    _check(out, force)
    with whole(out) as temporary:
        written = _write(engine, index, generation, temporary)
        _check(out, force)  # it may have come into being meanwhile
    return written


def _write(engine: EngineName, index: SearchIndex, generation: str, folder: Path) -> EngineExport:
    made = _ENGINES[engine]
    (folder / made.FOLDER).mkdir(parents=True)
    for name, body in made.bodies(index).items():
        write_json(folder / f"{name}.json", body)
    requests = 0
    for requests, records in enumerate(_batches(made.records(index)), 1):
        path = folder / made.FOLDER / f"{requests:06}{made.SUFFIX}"
        write_file(path, made.batch(records).encode())
    written = EngineExport(
        engine=engine,
        generation=generation,
        vectors_fingerprint=index.vectors.fingerprint,
        analyzer_fingerprint=index.analyzer.fingerprint,
        answers=len(index.collection.answers),
        questions=len(index.collection.questions),
        requests=requests,
    )
    write_json(folder / "export.json", asdict(written))
    return written


def _batches(records: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for record in records:
        length = len(record.encode())
        if batch and size + length > _MOST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch


def _check(out: Path, force: bool) -> None:
    check_free(out, is_folder=True, force=force)
    if out.is_dir() and not (out / "export.json").is_file():
        raise UsageError(f"{out}: is no export for an engine, and is not replaced. Name another.")
