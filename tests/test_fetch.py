import functools
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from conftest import ANSWERS, QUESTIONS, run
from huggingface_hub.hf_api import DatasetInfo
from lying_server import (
    Answer,
    LyingServer,
    chunked,
    endless,
    good,
    hangs,
    hangs_up,
    lying_server,
    redirects,
    says,
    status,
    trickles,
)  # fmt: skip

from dotbogi.indexes import fetch as fetching
from dotbogi.indexes import public_sets
from dotbogi.indexes.download import Patience
from dotbogi.indexes.errors import DamagedError, DotbogiError, UsageError
from dotbogi.indexes.fetch import fetch
from dotbogi.indexes.hub import HubName, HubSet, parse_hub_name, write_table
from dotbogi.indexes.public_sets import CATALOGUE, PublicSet, SetFile, find_set
from dotbogi.indexes.tables import read_table
from dotbogi.indexes.web import check_address
from dotbogi.training.scored.pairs import ScoredColumns
from dotbogi.training.scored.source import ScoredSource, read_scored_source

ROOT = Path(__file__).parent.parent
TABLE = "".join(
    ["Q,A\n", *(f"{question},{ANSWERS[answer_id]}\n" for question, answer_id in QUESTIONS)]
).encode()
OTHER = TABLE.replace("배".encode(), "벼".encode())  # as long, and not the same
SHA256 = hashlib.sha256(TABLE).hexdigest()
HALF = len(TABLE) // 2
QUICK = Patience(timeout=0.2, attempts=3, pause=0.001, max_bytes=20_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with lying_server() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("DOTBOGI_CACHE", str(folder))
    monkeypatch.delenv("DOTBOGI_MIRROR", raising=False)
    return folder


@pytest.fixture
def sets(server: LyingServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, PublicSet]:
    """A catalogue of the lying server: one set that is pinned and one that is not."""
    url = f"{server.address}/table.csv"
    pinned = SetFile(part="pairs", url=url, sha256=SHA256, size=len(TABLE))
    known = {
        name: PublicSet(
            name=name, title="Nine questions", licence="CC0", source="the test", rows=9,
            files=(file,),
        )
        for name, file in {"pinned": pinned, "unpinned": SetFile(part="pairs", url=url)}.items()
    }  # fmt: skip
    monkeypatch.setattr(public_sets, "CATALOGUE", known)
    monkeypatch.setattr(fetching, "CATALOGUE", known)
    monkeypatch.setattr(fetching, "fetch", functools.partial(fetch, patience=QUICK))  # for cli
    return known


def ranges(server: LyingServer) -> list[str | None]:
    return [headers.get("Range") for _, headers in server.asked]


def published(cache: Path) -> list[str]:
    """Every file in the cache but locks and parts."""
    paths = (path for path in cache.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(path.name for path in paths if ".part" not in path.name)


CUT = says(len(TABLE), TABLE[:HALF], ETag='"1"')
FAULTS: dict[str, tuple[str, list[Answer], int, str]] = {
    # name: the set, what the server does, the exit code, what the line says
    "cut, every time": ("pinned", [says(len(TABLE), TABLE[:HALF])], 1, "cut off after"),
    "a length too long": ("unpinned", [says(9999, TABLE)], 1, f"after {len(TABLE)} of 9999 bytes"),
    "a length too short": ("unpinned", [says(None, TABLE)], 1, "state the file's length"),
    "a pinned length too long": ("pinned", [says(9999, TABLE)], 3, f"expected {len(TABLE)}"),
    "a pinned length too short": ("pinned", [says(50, TABLE)], 3, "offers 50 bytes"),
    "a wrong digest": ("pinned", [good(OTHER)], 3, f"expected {SHA256} (pinned in dotbogi)"),
    "a wrong digest in chunks": ("pinned", [chunked(OTHER)], 3, f"expected {SHA256}"),
    "chunks without an end": ("unpinned", [chunked(TABLE, whole=False)], 1, "cut off"),
    "nothing": ("unpinned", [good(b"")], 1, "an empty file"),
    "404": ("pinned", [status(404)], 1, "answers 404 Not Found"),
    "500, every time": ("pinned", [status(500)], 1, "500 Internal Server Error, after 3 attempts"),
    "a login page": ("unpinned", [says(4, b"<ht>", Content_Type="text/html")], 1, "a web page"),
    "compressed": ("pinned", [says(None, b"x", Content_Encoding="gzip")], 1, "compressed"),
    "redirects in a circle": ("pinned", [redirects("/table.csv")], 1, "in a loop"),
    "a redirect to the disk": ("pinned", [redirects("file:///etc/passwd")], 1, "away from HTTPS"),
    "a redirect to plain HTTP": ("pinned", [redirects("http://example.org/")], 1, "not HTTPS"),
    "a stream without end": ("unpinned", [endless], 1, "more than 20000 bytes"),
    "a pinned stream without end": ("pinned", [endless], 1, f"more than {len(TABLE)} bytes"),
    "an offer too large": ("unpinned", [says(10**12, b"x")], 1, "offers 1000000000000 bytes"),
    "a server that hangs": ("pinned", [hangs(TABLE)], 1, "for 0.2 seconds"),
    "a server that trickles": ("unpinned", [trickles], 1, "than 100 bytes per second"),
    "a server that hangs up": ("pinned", [hangs_up], 1, "no answer"),
    "half a file, then less": ("pinned", [CUT, status(416)], 1, "3 attempts"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_no_file_and_the_next_call_mends_it(
    sets: dict[str, PublicSet], server: LyingServer, cache: Path, fault: str
) -> None:
    name, server.answers, exit_code, message = FAULTS[fault]
    result = run("fetch", name)
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert published(cache) == []
    if exit_code == 3:
        assert not list(cache.rglob("*.part*"))  # bytes known to be wrong are not gone on with
    server.answers = [good(TABLE, '"2"')]
    assert fetch(name, patience=QUICK)[0].path.read_bytes() == TABLE
    assert published(cache) == ["set.json", "table.csv"]
    assert not list(cache.rglob("*.part*"))


def test_a_good_file_is_fetched_once_and_shown_with_its_licence(
    sets: dict[str, PublicSet], server: LyingServer, cache: Path
) -> None:
    server.answers = [good(TABLE)]
    shown = run("fetch", "Pinned")  # case does not matter
    assert (shown.exit_code, shown.stderr) == (0, "")
    for expected in ("licence: CC0", "source: the test", SHA256, "use it: dotbogi index pinned"):
        assert expected in shown.stdout
    again = json.loads(run("fetch", "pinned", "--json").stdout)["tables"]
    assert [(t["name"], t["sha256"], t["pinned"], t["new"]) for t in again] == [
        ("pinned", SHA256, True, False)
    ]
    assert len(server.asked) == 1
    assert "pinned" in run("fetch").stdout
    listed = json.loads(run("fetch", "--json").stdout)
    assert [(s["name"], s["cached"]) for s in listed["sets"]] == [
        ("pinned", True), ("unpinned", False)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["pinned", "unpinned"])
def test_a_cut_is_gone_on_with_in_the_same_call(
    sets: dict[str, PublicSet], server: LyingServer, name: str
) -> None:
    server.answers = [CUT, good(TABLE)]
    seen: list[tuple[str, int, int | None]] = []
    (table,) = fetch(name, patience=QUICK, progress=lambda *step: seen.append(step))
    assert table.path.read_bytes() == TABLE
    assert ranges(server) == [None, f"bytes={HALF}-"]
    assert server.asked[1][1]["If-Range"] == '"1"'
    assert seen[0] == ("table.csv", HALF, len(TABLE))
    assert seen[-1] == ("table.csv", len(TABLE), len(TABLE))


def test_a_cut_is_gone_on_with_in_a_later_call(
    sets: dict[str, PublicSet], server: LyingServer, cache: Path
) -> None:
    server.answers = [CUT, status(503)]
    with pytest.raises(DotbogiError, match=rf"{HALF} bytes .*again"):
        fetch("unpinned", patience=QUICK)
    server.answers = [good(TABLE)]
    assert fetch("unpinned", patience=QUICK)[0].sha256 == SHA256
    assert ranges(server)[-1] == f"bytes={HALF}-"


def test_a_server_that_fails_and_recovers_is_asked_again(
    sets: dict[str, PublicSet], server: LyingServer
) -> None:
    server.answers = [status(500), hangs_up, good(TABLE)]
    assert fetch("unpinned", patience=QUICK)[0].path.read_bytes() == TABLE


def test_a_server_without_ranges_starts_over(
    sets: dict[str, PublicSet], server: LyingServer
) -> None:
    server.answers = [CUT, says(len(TABLE), TABLE)]
    assert fetch("unpinned", patience=QUICK)[0].path.read_bytes() == TABLE
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_chunks_and_redirects_are_followed_to_the_file(
    sets: dict[str, PublicSet], server: LyingServer
) -> None:
    server.answers = [redirects("/elsewhere.csv"), chunked(TABLE[:HALF], TABLE[HALF:])]
    assert fetch("unpinned", patience=QUICK)[0].path.read_bytes() == TABLE
    assert [path for path, _ in server.asked] == ["/table.csv", "/elsewhere.csv"]


def partial(start: int, etag: str, body: bytes = OTHER) -> Answer:
    """Ignores If-Range: a range of whatever is there now."""
    span = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return says(len(body) - start, body[start:], 206, Content_Range=span, ETag=etag)


@pytest.mark.parametrize(
    "changed",
    [
        good(OTHER, '"2"'),
        partial(HALF, '"2"'),
        partial(HALF - 9, '"1"'),
        partial(HALF, '"1"', OTHER + b"x"),
    ],
    ids=["If-Range kept", "If-Range ignored", "another range", "another length"],
)
def test_a_file_that_changed_after_a_cut_is_not_spliced(
    sets: dict[str, PublicSet], server: LyingServer, changed: Answer
) -> None:
    server.answers = [CUT, changed, good(OTHER, '"2"')]
    assert fetch("unpinned", patience=QUICK)[0].path.read_bytes() == OTHER


@pytest.mark.parametrize("etag", [None, 'W/"1"'], ids=["no ETag", "a weak ETag"])
def test_without_a_validator_only_a_pinned_file_is_gone_on_with(
    sets: dict[str, PublicSet], server: LyingServer, etag: str | None
) -> None:
    cut = says(len(TABLE), TABLE[:HALF], **({"ETag": etag} if etag else {}))
    server.answers = [cut, good(TABLE, etag)]
    assert fetch("unpinned", patience=QUICK)[0].path.read_bytes() == TABLE
    assert ranges(server) == [None, None]
    server.answers = [cut, good(TABLE, etag)]
    assert fetch("pinned", patience=QUICK)[0].path.read_bytes() == TABLE
    assert ranges(server)[2:] == [None, f"bytes={HALF}-"]


def test_an_unknown_digest_is_that_of_the_first_fetch_ever_after(
    sets: dict[str, PublicSet], server: LyingServer, cache: Path
) -> None:
    server.answers = [good(TABLE)]
    shown = run("fetch", "unpinned")
    assert f"sha256 {SHA256}, recorded at the first fetch" in shown.stdout
    (cache / "unpinned" / "table.csv").unlink()
    server.answers = [good(OTHER)]
    with pytest.raises(DamagedError, match=rf"expected {SHA256} .*first fetch"):
        fetch("unpinned", patience=QUICK)
    assert published(cache) == ["set.json"]


def test_bytes_that_changed_in_the_cache_are_fetched_again(
    sets: dict[str, PublicSet], server: LyingServer, cache: Path
) -> None:
    server.answers = [good(TABLE)]
    for name in sets:
        path = fetch(name, patience=QUICK)[0].path
        path.write_bytes(OTHER)
        again = fetch(name, patience=QUICK)[0]
        assert again.new
        assert path.read_bytes() == TABLE


def test_fetches_of_one_set_at_a_time_share_one_download(
    sets: dict[str, PublicSet], server: LyingServer
) -> None:
    server.answers = [hangs(TABLE, seconds=0.1), good(TABLE)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch("pinned", patience=QUICK)[0].sha256))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SHA256] * 4
    assert len(server.asked) == 2  # the cut one and its rest


@pytest.mark.parametrize(
    ("url", "referrer"),
    [
        ("http://example.org/t.csv", None),
        ("ftp://example.org/t.csv", None),
        ("file:///etc/passwd", None),
        ("http://example.org/t.csv", "https://example.org/t.csv"),
        ("http://localhost/t.csv", "https://example.org/t.csv"),
    ],
)
def test_only_https_is_asked_for_and_redirected_to(url: str, referrer: str | None) -> None:
    with pytest.raises(DotbogiError, match="not HTTPS"):
        check_address(url, referrer)


@pytest.mark.parametrize("url", ["https://example.org/", "http://localhost:80/", "http://[::1]/"])
def test_https_and_this_machine_are_asked(url: str) -> None:
    check_address(url)


def test_a_host_that_is_not_there_is_one_quick_line(
    sets: dict[str, PublicSet], monkeypatch: pytest.MonkeyPatch, server: LyingServer
) -> None:
    server.server_close()
    result = run("fetch", "pinned")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "cannot be reached" in result.stderr


def test_a_cache_that_cannot_be_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DOTBOGI_CACHE", str(tmp_path / "file"))
    result = run("fetch", "korsts")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "as a cache" in result.stderr


def test_names_are_found_as_people_write_them() -> None:
    assert find_set("ChatbotData") == find_set("chatbot-data")
    assert find_set("Welfare-QA") is not None
    found = find_set("KorSTS/test")
    assert found is not None
    assert [file.file_name for file in found[1]] == ["sts-test.tsv"]
    assert find_set("korsts/nothing") is None
    with pytest.raises(UsageError, match=r"korsts.*hf:OWNER/NAME"):
        fetch("no-such-set")


def test_the_catalogue_is_of_fixed_commits_over_https_with_licences() -> None:
    for known in CATALOGUE.values():
        assert known.licence in {"MIT", "CC BY-SA 4.0"}
        for file in known.files:
            check_address(file.url)
            assert any(len(piece) == 40 for piece in file.url.split("/"))
            assert (file.sha256 is None) == (file.size is None)
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32


def test_index_and_train_take_a_set_by_name_from_a_mirror(
    server: LyingServer, cache: Path, tmp_path: Path
) -> None:
    # Real processes and the real catalogue: what a company with a mirror runs.
    server.answers = [good(TABLE)]
    environment = {**os.environ, "DOTBOGI_MIRROR": server.address, "DOTBOGI_CACHE": str(cache)}

    def dotbogi(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "cli.py", *map(str, arguments), "-w", str(tmp_path / "w")]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    indexed = dotbogi("index", "welfare-qa", "--json")
    assert indexed.returncode == 0, indexed.stderr
    assert "note: fetched welfare-qa (MIT; https://huggingface.co" in indexed.stderr
    assert [path for path, _ in server.asked] == ["/welfare-qa/QA_total.csv"]
    manifest = json.loads(indexed.stdout)
    assert manifest["counts"] == {"answers": 8, "questions": 9}
    source = manifest["source"]
    assert (source["table"], source["licence"]) == ("welfare-qa", "MIT")
    assert source["sha256"] == SHA256
    refused = dotbogi("index", "chatbot-data")  # pinned: a mirror cannot lie
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "expected 889842 (pinned in dotbogi)" in refused.stderr
    assert published(cache) == ["QA_total.csv", "set.json"]


def test_train_and_evaluate_use_a_fetched_set_by_name(
    sets: dict[str, PublicSet], server: LyingServer, tmp_path: Path
) -> None:
    sample = (ROOT / "indexes" / "sample" / "pairs.csv").read_bytes().splitlines()[:121]
    server.answers = [good(b"\n".join(sample) + b"\n")]
    w = tmp_path / "w"
    trained = run("train", "unpinned", "-w", w, "--rounds", "1", "--epochs", "1", "--json")
    assert trained.exit_code == 0, trained.output
    assert "note: fetched unpinned (CC0; the test)" in trained.stderr
    ledger = next((w / "rounds").rglob("ledger.jsonl")).read_text(encoding="utf-8")
    assert '"table": "unpinned"' in ledger
    assert '"licence": "CC0"' in ledger
    assert len(server.asked) == 1
    measured = run("evaluate", "unpinned", "-w", w, "--json")
    assert json.loads(measured.stdout)["queries"] == 120
    assert "fetched" not in measured.stderr


def test_a_file_wins_over_a_set_of_its_name(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "korsts"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d", "text": "밥 드세요"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "배고파"}\n')
    result = run("index", "korsts", "-w", "w", "--json")
    assert json.loads(result.stdout)["source"]["table"] == str(folder)
    assert not cache.exists()


def test_scored_pairs_are_not_indexed_by_mistake(
    server: LyingServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = b"score\tsentence1\tsentence2\n5.000\ta b\ta c\n"
    file = SetFile(part="train", url=f"{server.address}/sts-train.tsv")
    known = PublicSet(
        name="korsts", title="t", licence="l", source="s", rows=1, files=(file,), scored=True
    )
    monkeypatch.setattr(public_sets, "CATALOGUE", {"korsts": known})
    server.answers = [good(pairs)]
    result = run("index", "korsts", "-w", tmp_path / "w")
    assert result.exit_code == 2
    assert "korsts: sentence pairs with a score, not questions with answers" in result.stderr
    assert not (tmp_path / "w").exists()
    columns = ("--question-column", "sentence1", "--answer-column", "sentence2")
    assert run("index", "korsts", *columns, "-w", tmp_path / "w").exit_code == 0


def test_scored_sets_are_remembered_by_their_names_and_told_when_fetched(
    server: LyingServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by where the cache has them, which is a path of one machine."""
    parts = {}
    for part, start in (("train", 0), ("test", 1000)):
        rows = [f"{n % 5}\tfirst {start + n}\tsecond {start + n}" for n in range(300)]
        parts[part] = "\n".join(["score\tsentence1\tsentence2", *rows, ""]).encode()
    files = tuple(SetFile(part=part, url=f"{server.address}/{part}.tsv") for part in parts)
    known = PublicSet(
        name="korsts", title="t", licence="l", source="s", rows=300, files=files, scored=True
    )
    monkeypatch.setattr(public_sets, "CATALOGUE", {"korsts": known})

    def read() -> ScoredSource:
        server.answers = [good(content) for content in parts.values()]
        names = Path("korsts/train"), Path("korsts/test")
        return read_scored_source(names[0], ScoredColumns(), test_table=names[1], seed=42)

    first = read()
    assert (first.origin["table"], first.origin["test_table"]) == ("korsts/train", "korsts/test")
    assert len(first.split.only("test")) == 300
    assert len(first.notes) == 2
    assert "fetched korsts/train" in first.notes[0]
    assert read().notes == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:owner/name", HubName(repo="owner/name")),
        ("hf:owner/name:ko-KR", HubName(repo="owner/name", config="ko-KR")),
        ("hf:o.w/n-m:c/test", HubName(repo="o.w/n-m", config="c", split="test")),
    ],
)
def test_hub_names_are_read(text: str, expected: HubName) -> None:
    assert parse_hub_name(text) == expected


@pytest.mark.parametrize("text", ["hf:", "hf:name", "hf:a/b/c/d", "hf:/etc/passwd", "hf:a b/c"])
def test_other_hub_names_are_refused(text: str, cache: Path) -> None:
    result = run("fetch", text)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "Expected hf:OWNER/NAME" in result.stderr


def hub_set() -> HubSet:
    features = datasets.Features(
        {
            "질문": datasets.Value("string"),
            "답변": datasets.Value("string"),
            "kind": datasets.ClassLabel(names=["day", "night"]),
            "year": datasets.Value("int32"),
            "tags": datasets.List(datasets.Value("string")),
            "raw": datasets.Value("binary"),
        }
    )
    columns = {
        "질문": ["배고프다", None], "답변": ["밥 드세요", "주무세요"], "kind": [1, -1],
        "year": [2026, None], "tags": [["밥"], []], "raw": [b"x", b"y"],
    }  # fmt: skip
    train = datasets.Dataset.from_dict(columns, features=features)
    return HubSet(
        splits=datasets.DatasetDict({"test": train.select([0]), "train": train}),
        revision="r1",
        licence="cc0-1.0",
    )


def test_a_hub_set_becomes_a_table_with_its_columns_as_text(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(hub_set().splits["train"], path)
    first, second = read_table(path).rows
    assert (first.question, first.answer) == ("배고프다", "밥 드세요")
    assert first.metadata == {"kind": "night", "year": "2026", "tags": '["밥"]'}
    assert (second.question, second.metadata) == ("", {"tags": "[]"})


def test_index_takes_a_hub_set_and_notes_its_revision_and_licence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[HubName] = []

    def load(name: HubName, *, progress: bool) -> HubSet:  # the network, and nothing else
        asked.append(name)
        return hub_set()

    monkeypatch.setattr(fetching, "load_from_hub", load)
    result = run("index", "hf:owner/name", "-w", tmp_path / "w", "--json")
    assert result.exit_code == 0, result.output
    source = json.loads(result.stdout)["source"]
    assert source["table"] == "hf:owner/name/train"
    assert (source["revision"], source["licence"]) == ("r1", "cc0-1.0")
    assert "note: fetched hf:owner/name/train (cc0-1.0; https://huggingface.co" in result.stderr
    shown = run("fetch", "hf:owner/name/test")
    assert "revision: r1" in shown.stdout
    assert asked == [HubName(repo="owner/name")]
    assert published(cache) == ["set.json", "test.parquet", "train.parquet"]
    with pytest.raises(UsageError, match="no split 'dev'; there are: test, train"):
        fetch("hf:owner/name/dev")
    (cache / "hf--owner--name" / "train.parquet").write_bytes(b"damaged")
    assert fetch("hf:owner/name")[0].new


def test_the_hub_is_asked_for_licence_revision_and_all_splits(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published_set = tmp_path / "set"
    published_set.mkdir()
    (published_set / "train.csv").write_bytes(TABLE)
    (published_set / "test.csv").write_bytes(TABLE[: TABLE.index(b"\n", 8) + 1])
    load = datasets.load_dataset

    def from_disk(repo: str, config: str | None, *, revision: str) -> object:
        assert (repo, config, revision) == ("owner/name", "c", "r9")
        return load(str(published_set), cache_dir=str(tmp_path / "arrow"))

    info = DatasetInfo(id="owner/name", sha="r9", cardData={"license": ["mit", "cc0-1.0"]})
    monkeypatch.setattr(datasets, "load_dataset", from_disk)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: info)
    tables = fetch("hf:owner/name:c")
    assert [table.name for table in tables] == ["hf:owner/name:c/train", "hf:owner/name:c/test"]
    assert (tables[0].licence, tables[0].revision) == ("mit, cc0-1.0", "r9")
    assert [len(read_table(table.path).rows) for table in tables] == [9, 1]


def test_a_hub_that_is_out_of_reach_is_one_line_and_no_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = run("fetch", "hf:owner/name")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "hf:owner/name: " in result.stderr
    assert "from the hub" in result.stderr
    assert published(cache) == []
