"""Generations that mean harm: their digests fit, and what is in their files does not."""

import hashlib
import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import hostile_models
import numpy as np
import onnx
import onnx.numpy_helper
import pyarrow as pa
import pyarrow.parquet as pq
from conftest import ANSWERS, QUESTIONS
from hostile import Canary, edit
from safetensors.numpy import load_file, save_file
from tiny_model import DIM

Shape = Callable[[Path], object]  # changes a generation's folder

NO_NUMBER = float("nan")


def seal(folder: Path, **entries: Any) -> None:
    """Write the manifest that fits what is in a generation's folder now."""
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), **entries}
    manifest.pop("digest")
    for gone in [name for name, value in manifest.items() if value is ...]:
        del manifest[gone]
    if "files" not in entries:
        manifest["files"] = {
            file.relative_to(folder).as_posix(): {
                "size": file.lstat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file != path
        }
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps({**manifest, "digest": digest}))


# JSON: every file, in every way.

JSON_FILES = (
    "bm25.joined/params.index.json", "bm25.joined/vocab.index.json", "calibration.json",
    "fusion.json", "trained.json", "encoder/encoder.json",
)  # fmt: skip
JSON_SHAPES: dict[str, Shape] = {
    "empty": lambda path: path.write_bytes(b""),
    "null": lambda path: path.write_text("null"),
    "a number": lambda path: path.write_text("7"),
    "a list of lists": lambda path: path.write_text("[[], [[]]]"),
    "not UTF-8": lambda path: path.write_bytes(b'{"\xff": 1}'),
    "100,000 levels": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "4,000,000 lists": lambda path: path.write_text("[" + "[]," * 4_000_000 + "[]]"),
    "no number": lambda path: path.write_text('{"k1": NaN, "intercept": NaN, "bm25_best": NaN}'),
    "another entry": lambda path: path.write_text('{"__class__": "os.system"}'),
    "half of a character": lambda path: path.write_text('{"\\ud800": 1, "source": "\\ud800"}'),
    "a number of 5,000 digits": lambda path: path.write_text('{"num_docs": ' + "9" * 5000 + "}"),
}


def in_file(name: str, shape: Shape) -> Shape:
    return lambda folder: shape(folder / name)


def entry(file: str, **values: Any) -> Shape:
    """Change entries of a JSON file."""
    return lambda folder: edit(folder / file, lambda stored: {**stored, **values})


ENTRIES: dict[str, Shape] = {
    "params: 10^12 texts": entry("bm25.joined/params.index.json", num_docs=10**12),
    "params: minus one text": entry("bm25.joined/params.index.json", num_docs=-1),
    "params: another method": entry("bm25.joined/params.index.json", method="bm25+"),
    "vocabulary: a number below 0": entry("bm25.joined/vocab.index.json", 배송=-5),
    "vocabulary: a number too high": entry("bm25.joined/vocab.index.json", 배송=10**9),
    "vocabulary: a fraction": entry("bm25.joined/vocab.index.json", 배송=0.5),
    "fusion: endless": entry("fusion.json", bm25_best=1e999),
    "fusion: nothing counts": lambda folder: edit(
        folder / "fusion.json",
        lambda stored: {name: 0.0 if name != "source" else "x" for name in stored},
    ),
    "fusion: below 0": entry("fusion.json", dense_best=-100.0),
    "fusion: a text": entry("fusion.json", dense_best="1"),
    "calibration: endless": entry("calibration.json", intercept=1e999),
    "calibration: other features": entry("calibration.json", coefficients={"score": 1.0}),
    "calibration: a list": entry("calibration.json", coefficients=[1.0]),
    "encoder: a prompt of 50 MB": entry(
        "encoder/encoder.json", query_prompt="배고프다 " * 4_000_000
    ),
    "encoder: a prompt of 3,000 characters": entry(
        "encoder/encoder.json", query_prompt="배" * 3000
    ),
    "encoder: other dimensions": entry("encoder/encoder.json", dim=10**9),
    "encoder: 33 dimensions": entry("encoder/encoder.json", dim=DIM + 1),
    "encoder: no tokens": entry("encoder/encoder.json", max_tokens=0),
    "encoder: minus one token": entry("encoder/encoder.json", max_tokens=-1),
    "encoder: 10^30 tokens": entry("encoder/encoder.json", max_tokens=10**30),
    "encoder: more tokens than positions": entry("encoder/encoder.json", max_tokens=10**6),
    "encoder: another fingerprint": entry("encoder/encoder.json", fingerprint=7),
    "encoder: another name": entry("encoder/encoder.json", fingerprint="0" * 16),
    "encoder: another precision": entry("encoder/encoder.json", precision="pickle"),
}  # fmt: skip


# The manifest.


def manifest(**entries: Any) -> Shape:
    return lambda folder: seal(folder, **entries)


def index_of(**entries: Any) -> Shape:
    def shape(folder: Path) -> None:
        stored = json.loads((folder / "manifest.json").read_text())["index"]
        seal(folder, index={**stored, **entries})

    return shape


def deep(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": ' + "[" * 100_000 + "]" * 100_000 + "}")


def wide(folder: Path) -> None:
    (folder / "manifest.json").write_text("[" + "[]," * 5_000_000 + "[]]")


MANIFESTS: dict[str, Shape] = {
    "manifest: 100,000 levels": deep,
    "manifest: 5,000,000 lists": wide,
    **{f"manifest: no {name}": manifest(**{name: ...}) for name in (
        "index", "counts", "model_fingerprint", "analyzer_fingerprint",
    )},
    "manifest: counts of texts": manifest(counts={"answers": "8", "questions": "9"}),
    "manifest: other counts": manifest(counts={"answers": 10**9, "questions": 9}),
    "manifest: half of the counts": manifest(counts={"answers": 8}),
    "manifest: index is a list": manifest(index=[]),
    "manifest: an analyzer of its own": index_of(analyzer="os.system"),
    "manifest: an engine of its own": index_of(bm25="pickle"),
    "manifest: another kind of vectors": index_of(dense="hnsw"),
    "manifest: another engine": index_of(bm25="rank-bm25", analyzer="bigram"),
    "manifest: a step of its own": index_of(tolerance="exec"),
    "manifest: another setting": index_of(trust_remote_code=True),
    "manifest: words that are numbers": index_of(words=[1, 2]),
    "manifest: words without a tag": index_of(words=["가나다"]),
    "manifest: a word with an odd tag": index_of(words=["가나다/__import__"]),
    "manifest: an endless word": index_of(words=["가" * 3_000_000 + "/NNP"]),
    "manifest: 2,000,000 words": index_of(words=["가/NNP"] * 2_000_000),
    "manifest: synonyms that are numbers": index_of(synonyms=[[1, 2]]),
    "manifest: a size that is a text": manifest(
        files={"answers.parquet": {"size": "1", "sha256": "x"}}
    ),
    "manifest: a digest that is a number": manifest(
        files={"answers.parquet": {"size": 1, "sha256": 5}}
    ),
}  # fmt: skip


# Parquet.

ROWS = {"answers.parquet": len(ANSWERS), "questions.parquet": len(QUESTIONS)}


def table(file: str, change: Callable[[dict[str, list[Any]]], Any], **options: Any) -> Shape:
    """Write a table anew with other columns."""

    def shape(folder: Path) -> None:
        columns = pq.ParquetFile(folder / file).read().to_pydict()
        changed = change(columns)
        made = changed if isinstance(changed, pa.Table) else pa.table(changed or columns)
        pq.write_table(made, folder / file, **{"compression": "zstd", **options})

    return shape


def many_rows(columns: dict[str, list[Any]]) -> pa.Table:
    return pa.table({name: pa.nulls(20_000_000, pa.string()) for name in columns})


def long_text(columns: dict[str, list[Any]]) -> None:
    columns["text"][0] = "가" * 100_000_000


def long_text_often(columns: dict[str, list[Any]]) -> pa.Table:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["가" * 1_000_000])
    ids = [f"a{number}" for number in range(20_000)]
    empty = pa.array(["{}"] * 20_000)
    return pa.table({"id": ids, "text": text, "metadata": empty, "aliases": empty})


def column(name: str, value: Any, row: int = 0) -> Callable[[dict[str, list[Any]]], None]:
    def change(columns: dict[str, list[Any]]) -> None:
        columns[name][row] = value

    return change


def without(name: str) -> Callable[[dict[str, list[Any]]], None]:
    return lambda columns: columns.pop(name) and None


def cast(name: str, kind: Any) -> Callable[[dict[str, list[Any]]], pa.Table]:
    def change(columns: dict[str, list[Any]]) -> pa.Table:
        return pa.table({**columns, name: pa.array([None] * len(columns[name]), kind)})

    return change


def footer(file: str, change: Callable[[bytearray], object]) -> Shape:
    def shape(folder: Path) -> None:
        data = bytearray((folder / file).read_bytes())
        change(data)
        (folder / file).write_bytes(data)

    return shape


def zigzag(number: int) -> bytes:
    number, out = number << 1, b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def lying_pages(folder: Path) -> None:
    """A text of 600 MB, of which the footer says that it has as many bytes as are in the file."""
    path = folder / "answers.parquet"
    table("answers.parquet", lambda columns: column("text", "x" * 600_000_000)(columns))(folder)
    data = path.read_bytes()
    group = pq.ParquetFile(path).metadata.row_group(0)
    for number in (group.column(1).total_uncompressed_size, group.total_byte_size):
        short = zigzag(number)
        less = zigzag(1 << (7 * len(short) - 8))
        assert len(less) == len(short)
        at = data.rindex(short)
        data = data[:at] + less + data[at + len(short) :]
    path.write_bytes(data)


def set_length(data: bytearray) -> None:
    data[-8:-4] = struct.pack("<I", 1 << 31)


def lying_rows(data: bytearray) -> None:
    at = data.rindex(zigzag(len(ANSWERS)))
    data[at : at + 1] = zigzag(60)


BOMB = '{"a": ' + "[" * 500 + "]" * 500 + "}"
TABLES: dict[str, Shape] = {
    "answers: 20,000,000 rows": table("answers.parquet", many_rows),
    "questions: 20,000,000 rows": table("questions.parquet", many_rows),
    "answers: a text of 300 MB": table("answers.parquet", long_text),
    "answers: a text of 3 MB in 20,000 rows": table("answers.parquet", long_text_often),
    "answers: a footer that states less": lying_pages,
    "answers: texts that share a beginning": table(
        "answers.parquet",
        lambda columns: {
            name: ["x" * 200_000 + str(row) for row in range(1000)] for name in columns
        },
        use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY",
    ),
    "answers: a footer of 2 GB": footer("answers.parquet", set_length),
    "answers: a footer of more rows": footer("answers.parquet", lying_rows),
    "answers: 20,000 columns": table(
        "answers.parquet", lambda columns: {f"c{i}": ["x"] for i in range(20_000)}
    ),
    "answers: no texts": table("answers.parquet", without("text")),
    "answers: no columns": table("answers.parquet", lambda columns: pa.table({})),
    "answers: another column": table("answers.parquet", lambda c: {**c, "code": c["text"]}),
    "answers: lists in place of texts": table("answers.parquet", cast("text", pa.list_(pa.int8()))),
    "answers: numbers in place of texts": table("answers.parquet", cast("text", pa.int64())),
    "answers: bytes in place of texts": table("answers.parquet", cast("text", pa.binary())),
    "answers: structures in place of texts": table(
        "answers.parquet", cast("text", pa.struct([("a", pa.string())]))
    ),
    "answers: an id that is null": table("answers.parquet", column("id", None)),
    "answers: a text that is null": table("answers.parquet", column("text", None)),
    "answers: no metadata": table("answers.parquet", column("metadata", None)),
    "answers: one id twice": table(
        "answers.parquet", lambda c: column("id", c["id"][1])(c)
    ),
    "answers: metadata of 500 levels": table("answers.parquet", column("metadata", BOMB)),
    "answers: metadata of 2,000,000 lists": table(
        "answers.parquet", column("metadata", '{"a": [' + "[]," * 2_000_000 + "[]]}")
    ),
    "answers: metadata that is a list": table("answers.parquet", column("metadata", "[]")),
    "answers: metadata of numbers": table("answers.parquet", column("metadata", '{"a": 1}')),
    "answers: metadata of half a character": table(
        "answers.parquet", column("metadata", '{"a": "\\ud800"}')
    ),
    "answers: aliases that are an object": table("answers.parquet", column("aliases", "{}")),
    "answers: aliases of numbers": table("answers.parquet", column("aliases", "[1]")),
    "answers: text that is not UTF-8": table(
        "answers.parquet",
        lambda c: pa.table({
            **c, "text": pa.array([b"\xff\xfe"] * len(c["id"]), pa.binary()).view(pa.string())
        }),
    ),
    "answers: no Parquet": lambda folder: (folder / "answers.parquet").write_bytes(b"PAR1" * 9),
    "answers: a pickle": lambda folder: (folder / "answers.parquet").write_bytes(
        pickle.dumps(Canary())
    ),
    "questions: of no answer": table("questions.parquet", column("answer_id", "nobody")),
    "questions: a text that is null": table("questions.parquet", column("text", None)),
    "questions: of another split": table("questions.parquet", column("split", "exec")),
    "questions: from elsewhere": table("questions.parquet", column("origin", "exec")),
    "questions: minus five users": table("questions.parquet", column("preferred", -5)),
    "questions: users that are null": table("questions.parquet", column("preferred", None)),
    "questions: users that are texts": table("questions.parquet", cast("preferred", pa.string())),
}  # fmt: skip


# NumPy.


def array(name: str, value: Any, *, part: str = "bm25.joined") -> Shape:
    def shape(folder: Path) -> None:
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=True)
        (folder / part / f"{name}.csc.index.npy").write_bytes(buffer.getvalue())

    return shape


def changed(name: str, change: Callable[[Any], Any]) -> Shape:
    def shape(folder: Path) -> None:
        path = folder / "bm25.joined" / f"{name}.csc.index.npy"
        np.save(path, change(np.load(path)), allow_pickle=False)

    return shape


def npy_header(header: str, version: int = 1) -> Shape:
    def shape(folder: Path) -> None:
        data = header.encode().ljust(118) + b"\n"
        length = struct.pack("<H" if version == 1 else "<I", len(data))
        path = folder / "bm25.joined" / "data.csc.index.npy"
        path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + data)

    return shape


HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': %s}"
ARRAYS: dict[str, Shape] = {
    "npy: a pickle": array("data", np.array([Canary()], object)),
    "npy: 3 GiB stated": npy_header(HEADER % ("<f4", "(805306368,)")),
    "npy: 10^30 numbers stated": npy_header(HEADER % ("<f4", "(10**30,)")),
    "npy: minus one number": npy_header(HEADER % ("<f4", "(-1,)")),
    "npy: a deep header": npy_header("(" * 9000 + ")" * 9000),
    "npy: a header of 1 GB stated": lambda folder: (
        folder / "bm25.joined" / "data.csc.index.npy"
    ).write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30)),
    "npy: version 9": npy_header(HEADER % ("<f4", "(0,)"), version=9),
    "npy: records": array("data", np.zeros(3, [("a", "f4"), ("b", "O")])),
    "npy: texts": array("data", np.array(["a" * 100])),
    "npy: two dimensions": changed("data", lambda stored: stored.reshape(1, -1)),
    "npy: a single number": array("indptr", np.int32(3)),
    "npy: nothing": array("indptr", np.zeros(0, np.int32)),
    "npy: scores that are none": changed("data", lambda stored: stored * NO_NUMBER),
    "npy: endless scores": changed("data", lambda stored: stored + np.float32("inf")),
    "npy: a row below 0": changed("indices", lambda stored: stored - 1000),
    "npy: a row too high": changed("indices", lambda stored: stored + 1000),
    "npy: rows that are fractions": changed("indices", lambda stored: stored.astype(np.float32)),
    "npy: one score less": changed("data", lambda stored: stored[:-1]),
    "npy: starts that fall": changed("indptr", lambda stored: stored[::-1].copy()),
    "npy: starts below 0": changed("indptr", lambda stored: stored - 5),
    "npy: starts beyond the end": changed("indptr", lambda stored: stored * 1000),
    "npy: starts that overflow": changed("indptr", lambda stored: stored + np.int64(1 << 62)),
}  # fmt: skip


# FAISS.


def vectors(rows: int = len(ANSWERS), dim: int = DIM) -> Any:
    return np.random.default_rng(0).standard_normal((rows, dim)).astype(np.float32)


def index(make: Callable[[], Any]) -> Shape:
    def shape(folder: Path) -> None:
        made = make()
        if not made.is_trained:
            made.train(vectors(500))
        made.add(vectors())
        (folder / "dense.answer.faiss").write_bytes(faiss.serialize_index(made).tobytes())

    return shape


def patched(at: int, form: str, value: Any) -> Shape:
    def shape(folder: Path) -> None:
        data = bytearray((folder / "dense.answer.faiss").read_bytes())
        struct.pack_into(form, data, at, value)
        (folder / "dense.answer.faiss").write_bytes(data)

    return shape


def graph(change: Callable[[Any], Any]) -> Shape:
    """Change the graph of an HNSW index."""

    def shape(folder: Path) -> None:
        path = folder / "dense.answer.faiss"
        made = faiss.read_index(str(path))
        change(made)
        path.write_bytes(faiss.serialize_index(made).tobytes())

    return shape


def set_vector(name: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    def apply(made: Any) -> None:
        vector = getattr(made.hnsw, name)
        values = faiss.vector_to_array(vector)
        faiss.copy_array_to_vector(np.ascontiguousarray(change(values), values.dtype), vector)

    return apply


def of_graph(values: Any, value: int) -> Any:
    values = values.copy()
    values[values >= 0] = value
    return values


VECTORS: dict[str, Shape] = {
    "faiss: 3 GiB stated": patched(37, "<Q", 3 << 28),
    "faiss: 10^18 vectors": patched(8, "<q", 10**18),
    "faiss: minus one vector": patched(8, "<q", -1),
    "faiss: no dimensions": patched(4, "<i", 0),
    "faiss: 10^9 dimensions": patched(4, "<i", 10**9),
    "faiss: another metric": patched(33, "<i", 1),
    "faiss: a vector that is none": patched(45, "<f", NO_NUMBER),
    "faiss: an endless vector": patched(45, "<f", float("inf")),
    "faiss: Euclidean": index(lambda: faiss.IndexFlatL2(DIM)),
    "faiss: inverted lists": index(
        lambda: faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, 4, faiss.METRIC_INNER_PRODUCT)
    ),
    "faiss: behind a transformation": index(
        lambda: faiss.IndexPreTransform(
            faiss.RandomRotationMatrix(DIM, DIM), faiss.IndexFlatIP(DIM)
        )
    ),
    "faiss: quantised": index(
        lambda: faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_8bit)
    ),
    "faiss: other dimensions": lambda folder: (folder / "dense.answer.faiss").write_bytes(
        faiss.serialize_index(faiss.IndexFlatIP(DIM * 2)).tobytes()
    ),
    "faiss: bytes behind the end": lambda folder: (folder / "dense.answer.faiss").write_bytes(
        (folder / "dense.answer.faiss").read_bytes() + b"more"
    ),
    "faiss: nothing": lambda folder: (folder / "dense.answer.faiss").write_bytes(b""),
    "faiss: two bytes": lambda folder: (folder / "dense.answer.faiss").write_bytes(b"Ix"),
}  # fmt: skip
GRAPHS: dict[str, Shape] = {
    "hnsw: neighbours that do not exist": graph(
        set_vector("neighbors", lambda values: of_graph(values, 10**9))
    ),
    "hnsw: neighbours below -1": graph(set_vector("neighbors", lambda values: values * 0 - 7)),
    "hnsw: an entry that does not exist": graph(
        lambda made: setattr(made.hnsw, "entry_point", 10**6)
    ),
    "hnsw: an entry below 0": graph(lambda made: setattr(made.hnsw, "entry_point", -9)),
    "hnsw: levels that do not exist": graph(lambda made: setattr(made.hnsw, "max_level", 10**6)),
    "hnsw: rows on 10^6 levels": graph(set_vector("levels", lambda values: values + 10**6)),
    "hnsw: rows on no level": graph(set_vector("levels", lambda values: values * 0)),
    "hnsw: starts beyond the end": graph(set_vector("offsets", lambda values: values * 1000)),
    "hnsw: widths of 10^8": graph(
        set_vector("cum_nneighbor_per_level", lambda values: values + 10**8)
    ),
    "hnsw: exact vectors alone": index(lambda: faiss.IndexFlatIP(DIM)),
    "hnsw: with quantised vectors": index(
        lambda: faiss.IndexHNSWSQ(DIM, faiss.ScalarQuantizer.QT_8bit, 32)
    ),
    "tokens: 5,000,000 of them": lambda folder: pq.write_table(
        pa.table({"tokens": [["가/N"] * 700_000] * 8}), folder / "bm25.joined/tokens.parquet"
    ),
    "tokens: null": lambda folder: pq.write_table(
        pa.table({"tokens": pa.array([[None]] * 8, pa.list_(pa.string()))}),
        folder / "bm25.joined/tokens.parquet",
    ),
    "tokens: no list": lambda folder: pq.write_table(
        pa.table({"tokens": ["가"] * 8}), folder / "bm25.joined/tokens.parquet"
    ),
    "tokens: lists of lists": lambda folder: pq.write_table(
        pa.table({"tokens": [[["가"]]] * 8}), folder / "bm25.joined/tokens.parquet"
    ),
    "tokens: of more rows": lambda folder: pq.write_table(
        pa.table({"tokens": [["가"]] * 9}), folder / "bm25.joined/tokens.parquet"
    ),
}  # fmt: skip


# safetensors.


def tensors(change: Callable[[dict[str, Any]], Any]) -> Shape:
    def shape(folder: Path) -> None:
        arrays = load_file(folder / "geometry.safetensors")
        save_file(change(arrays) or arrays, folder / "geometry.safetensors")

    return shape


def header(change: Callable[[dict[str, Any]], Any], behind: bytes | None = None) -> Shape:
    def shape(folder: Path) -> None:
        path = folder / "geometry.safetensors"
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        stored = json.loads(data[8 : 8 + length])
        new = json.dumps(change(stored) or stored).encode()
        rest = data[8 + length :] if behind is None else behind
        path.write_bytes(len(new).to_bytes(8, "little") + new + rest)

    return shape


def tensor(**values: Any) -> Shape:
    return header(lambda stored: {**stored, "query_mean": {**stored["query_mean"], **values}})


GEOMETRY: dict[str, Shape] = {
    "tensors: a header of 2^60 bytes": lambda folder: (folder / "geometry.safetensors").write_bytes(
        (1 << 60).to_bytes(8, "little") + b"{}"
    ),
    "tensors: 12 GB stated": tensor(shape=[3_000_000_000]),
    "tensors: an endless end": tensor(data_offsets=[0, 1 << 62]),
    "tensors: a start below 0": tensor(data_offsets=[-128, 0]),
    "tensors: one on the other": header(
        lambda stored: {name: stored["query_mean"] for name in stored}
    ),
    "tensors: an unknown type": tensor(dtype="PICKLE"),
    "tensors: of eight bytes": tensors(
        lambda arrays: {name: value.astype(np.float64) for name, value in arrays.items()}
    ),
    "tensors: no numbers": tensors(
        lambda arrays: {name: value * np.float32("nan") for name, value in arrays.items()}
    ),
    "tensors: other dimensions": tensors(
        lambda arrays: {name: value[:-1].copy() for name, value in arrays.items()}
    ),
    "tensors: one mean": tensors(lambda arrays: {"query_mean": arrays["query_mean"]}),
    "tensors: a map of another size": tensors(
        lambda arrays: {**arrays, "query": vectors(4, 4), "answer": vectors(4, 4)}
    ),
    "tensors: half an adapter": tensors(lambda a: {**a, "query": vectors(DIM)}),
    "tensors: a shape of texts": tensor(shape=["32"]),
    "tensors: bytes behind the end": header(lambda stored: None, behind=bytes(1000)),
    "tensors: 100,000 levels": lambda folder: (folder / "geometry.safetensors").write_bytes(
        (200_000).to_bytes(8, "little") + b"[" * 100_000 + b"]" * 100_000
    ),
}  # fmt: skip


# The encoder: a graph of ONNX, a tokenizer, or a model for torch.


def onnx_graph(change: Callable[[Any], Any]) -> Shape:
    def shape(folder: Path) -> None:
        path = folder / "encoder" / "model.onnx"
        model = onnx.load(path)
        change(model)
        path.write_bytes(model.SerializeToString())

    return shape


def constant(name: str, change: Callable[[Any], Any]) -> Shape:
    def shape(model: Any) -> None:
        stored = next(c for c in model.graph.initializer if c.name == name)
        new = onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(stored)), name)
        stored.CopyFrom(new)

    return onnx_graph(shape)


def external(location: str) -> Shape:
    """Let the graph read its word vectors from another file."""

    def shape(model: Any) -> None:
        stored = next(c for c in model.graph.initializer if c.name == "words")
        stored.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"),
                           ("length", str(len(stored.raw_data)))):  # fmt: skip
            stored.external_data.add(key=key, value=value)
        stored.ClearField("raw_data")

    return onnx_graph(shape)


def further(kind: str, *inputs: str, domain: str = "", **attributes: Any) -> Shape:
    """Put one more node at the beginning of the graph."""

    def shape(model: Any) -> None:
        node = onnx.helper.make_node(kind, list(inputs), ["more"], domain=domain, **attributes)
        model.graph.node.insert(0, node)

    return onnx_graph(shape)


def doubled(model: Any) -> None:
    """Double a tensor forty times."""
    last = "positions"
    for number in range(40):
        name = f"double {number}"
        model.graph.node.insert(number, onnx.helper.make_node("Concat", [last] * 2, [name], axis=0))
        last = name


def endless_loop(model: Any) -> None:
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["going"], ["still going"])], "body",
        [onnx.helper.make_tensor_value_info("i", 7, []),
         onnx.helper.make_tensor_value_info("going", 9, [])],
        [onnx.helper.make_tensor_value_info("still going", 9, [])],
    )  # fmt: skip
    for name, value, kind in (("times", (1 << 62), np.int64), ("yes", True, bool)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, kind), name))
    model.graph.node.insert(0, onnx.helper.make_node("Loop", ["times", "yes"], [], body=body))


def with_function(model: Any) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    opset = onnx.helper.make_opsetid("", 20)
    model.functions.append(onnx.helper.make_function("own", "f", ["x"], ["y"], [node], [opset]))


GRAPH_FILES: dict[str, Shape] = {
    "onnx: constants in the canary": external("../../../../canary"),
    "onnx: constants in /etc/passwd": external("/etc/passwd"),
    "onnx: constants in the manifest": external("../manifest.json"),
    "onnx: constants that are missing": external("model.onnx.data"),
    "onnx: an operator of its own": further("Run", "input_ids", domain="evil"),
    "onnx: an operator of onnxruntime": further("Gelu", "words", domain="com.microsoft"),
    "onnx: 64 GB of zeros": further(
        "ConstantOfShape", "attention_mask", value=onnx.numpy_helper.from_array(np.zeros(1, "f4"))
    ),
    "onnx: doubled forty times": onnx_graph(doubled),
    "onnx: an endless loop": onnx_graph(endless_loop),
    "onnx: a function": onnx_graph(with_function),
    "onnx: another order": onnx_graph(lambda model: model.graph.node.reverse()),
    "onnx: one node less": onnx_graph(lambda model: model.graph.node.pop()),
    "onnx: another attribute": onnx_graph(
        lambda model: setattr(model.graph.node[-1].attribute[1], "i", 1)
    ),
    "onnx: another output": onnx_graph(lambda model: setattr(model.graph.output[0], "name", "x")),
    "onnx: one more input": onnx_graph(
        lambda model: model.graph.input.append(model.graph.input[0])
    ),
    "onnx: another opset": onnx_graph(lambda model: setattr(model.opset_import[0], "version", 7)),
    "onnx: another constant": onnx_graph(
        lambda model: model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.zeros(3, "f4"), "more")
        )
    ),
    "onnx: one constant twice": onnx_graph(
        lambda model: model.graph.initializer.append(model.graph.initializer[0])
    ),
    "onnx: word vectors without end": constant("words scale", lambda v: v * np.float32("inf")),
    "onnx: no numbers": constant("positions", lambda values: values * NO_NUMBER),
    "onnx: more dimensions": constant("positions", lambda values: np.tile(values, (1, 2))),
    "onnx: fewer positions": constant("positions", lambda values: values[:5].copy()),
    "onnx: a reshape of its own": constant("ints (-1, 32)", lambda v: v * 0 + 1),
    "onnx: fractions": constant("positions", lambda values: values.astype(np.float64)),
    "onnx: 12 GB stated": onnx_graph(
        lambda model: model.graph.initializer[0].dims.extend([1 << 30])
    ),
    "onnx: sides below 0": onnx_graph(
        lambda model: model.graph.initializer[0].dims.extend([-1, -1])
    ),
    "onnx: an empty file": lambda folder: (folder / "encoder/model.onnx").write_bytes(b""),
    "onnx: a field of 2^60 bytes": lambda folder: (folder / "encoder/model.onnx").write_bytes(
        b"\x3a" + b"\xff" * 8 + b"\x0f"
    ),
    "onnx: onnxruntime's own format": lambda folder: (folder / "encoder/model.onnx").write_bytes(
        b"\x18\x00\x00\x00ORTM" + bytes(500)
    ),
}  # fmt: skip


TOKENIZERS: dict[str, Shape] = {
    name: in_file("encoder", change) for name, change in hostile_models.TOKENIZERS.items()
}


def by_torch(change: Shape) -> Shape:
    """Let torch run the generation's model, after a change to its folder."""

    def shape(folder: Path) -> None:
        change(folder / "model")
        edit(folder / "encoder/encoder.json", lambda facts: {**facts, "precision": "torch"})

    return shape


TORCH: dict[str, Shape] = {
    f"torch: {name}": by_torch(change) for name, change in hostile_models.CODE.items()
}


def of_json() -> dict[str, Shape]:
    return {
        f"{name.rpartition('/')[2]}: {kind}": in_file(name, shape)
        for name in JSON_FILES
        for kind, shape in JSON_SHAPES.items()
    }


BY_TORCH = {"torch: a pickle", "torch: code of its own"}
ANOTHER_MODEL = ("manifest: another engine", "encoder: another name")
GENERATIONS: dict[str, tuple[str, Shape]] = {
    name: (kind, shape)
    for kind, shapes in (
        ("exact", of_json()), ("exact", ENTRIES), ("exact", MANIFESTS), ("exact", TABLES),
        ("exact", ARRAYS), ("exact", VECTORS), ("hnsw", GRAPHS), ("exact", GEOMETRY),
        ("exact", GRAPH_FILES), ("exact", TOKENIZERS), ("exact", TORCH),
    )
    for name, shape in shapes.items()
}  # fmt: skip
