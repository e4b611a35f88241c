"""What any released version wrote is read or migrated; what a newer one wrote is refused.

tests/formats/N.tar.xz has a workspace in the N-th released form, without models and indexes.
"""

import json
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ANSWERS, run
from feedback_writers import feedback

from dotbogi.indexes.cache import Cache, check_cache
from dotbogi.indexes.collection import open_collection
from dotbogi.indexes.errors import DamagedError, OldFormatError
from dotbogi.indexes.manifest import read_manifest
from dotbogi.indexes.settings import kept
from dotbogi.indexes.store import Workspace
from dotbogi.search.encoders import EncoderFacts
from dotbogi.search.feedback import FeedbackStore
from dotbogi.search.fitted import Fitted
from dotbogi.search.geometry import Geometry
from dotbogi.search.index import read_trained_on
from dotbogi.training.judgements.decisions import Decision, read_decisions, save_decisions
from dotbogi.training.judgements.review import last_review
from dotbogi.training.ledger import Ended, Ledger, read_events, read_record
from dotbogi.training.report import report_on
from dotbogi.training.run_files import check_files

RELEASED = sorted(Path(__file__).with_name("formats").glob("*.tar.xz"))


@pytest.fixture(params=RELEASED, ids=lambda path: path.name.split(".")[0])
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path / "w", filter="data")
    return Workspace(tmp_path / "w")


def test_there_are_both_forms() -> None:
    assert [path.name for path in RELEASED] == ["1.tar.xz", "2.tar.xz"]


def test_votes_are_read_and_get_checksums_once(released: Workspace) -> None:
    expected = [feedback(str(n), client=f"c{n % 2}", answer_id=f"a{n + 1}") for n in range(6)]
    for _ in range(2):
        with closing(FeedbackStore.open(released.folder)) as store:
            assert list(store.export()) == expected
            assert store.add(expected[0]) is False
    with closing(FeedbackStore.open(released.folder)) as store:
        assert store.add(feedback("new"))
        assert store.check() == 7
    with closing(sqlite3.connect(released.folder / "feedback.sqlite")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
        assert database.execute("SELECT count(DISTINCT checksum) FROM feedback").fetchone() == (7,)
        assert database.execute("SELECT votes FROM stored").fetchone() == (7,)


def test_decisions_are_read_and_get_a_digest_with_the_next_ones(released: Workspace) -> None:
    before = read_decisions(released.folder)
    assert [(d.question, d.right) for d in before] == [
        ("배송은 내일", False),
        ("맛있는 내일", True),
    ]
    new = Decision("왜요", ANSWERS["a2"], True, "2026")
    save_decisions(released.folder, [new])
    assert read_decisions(released.folder) == [*before, new]
    path = released.folder / "review.jsonl"
    path.write_bytes(path.read_bytes().replace(b"true", b"null"))
    with pytest.raises(DamagedError, match="differs from the digest"):
        read_decisions(released.folder)


def test_a_run_is_read_reported_and_reviewed(released: Workspace) -> None:
    folder = released.rounds_folder / "run-0001"
    events = read_events(folder)
    assert [event.name for event in (events[0], events[-1])] == ["started", "ended"]
    assert "report.html" in str(report_on(released).html)
    assert last_review(released)[0] == "run-0001"
    # Events that are added to a ledger without digests record all that is there.
    Ledger(folder).add(Ended())
    record = read_record(folder)
    assert {"config.json", "answers.parquet", "questions-1.parquet"} <= set(record.files)
    check_files(folder, record.files, models=False)


def test_a_generation_is_read(released: Workspace) -> None:
    name = released.current_name()
    assert name == "000002"
    folder = released.generations_folder / name
    assert read_manifest(folder)["counts"]["answers"] == len(ANSWERS)
    assert {a.id: a.text for a in open_collection(folder).answers} == ANSWERS
    assert Fitted.open(folder).calibration.coefficients
    assert Geometry.open(folder).query_mean.shape == (EncoderFacts.open(folder / "encoder").dim,)
    assert read_trained_on(folder) == frozenset()
    assert kept(released).question is None


def test_the_cache_is_used_and_says_its_format(released: Workspace) -> None:
    (path,) = released.cache_folder.glob("tokens-*.sqlite")
    assert check_cache(path) > 10
    fingerprint = path.stem.removeprefix("tokens-")

    def never(texts: object) -> list[list[str]]:
        raise AssertionError(f"not in the cache: {texts}")

    assert Cache(released.cache_folder).tokens(fingerprint, [ANSWERS["a1"]], never)[0]
    assert check_cache(path) > 10


def sets_json(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        first, _, rest = path.read_text(encoding="utf-8").partition("\n")
        whole = json.loads(first if name.endswith("jsonl") else first + rest)
        whole["format"] = 99
        path.write_text(json.dumps(whole) + "\n" + (rest if name.endswith("jsonl") else ""))

    return change


def sets_user_version(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "feedback.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("change", "command"),
    [
        (sets_json("generations/000002/manifest.json"), "query x"),
        (sets_json("rounds/run-0001/ledger.head"), "report"),
        (sets_json("review.jsonl"), "review"),
        (sets_user_version, "feedback list"),
    ],
)
def test_a_newer_format_is_refused_in_one_line(
    tmp_path: Path, change: Callable[[Path], None], command: str
) -> None:
    with tarfile.open(RELEASED[-1]) as archive:
        archive.extractall(tmp_path, filter="data")
    change(tmp_path)
    said = run(*command.split(), "-w", tmp_path)
    assert said.exit_code == OldFormatError.exit_code == 3, said.output
    assert re.fullmatch(
        r"Error: \S+: written in format 99; this version reads (up to )?\d\. Update dotbogi.*\n",
        said.stderr,
    ), said.stderr


def test_an_older_generation_is_to_be_indexed_again(tmp_path: Path) -> None:
    folder = tmp_path / "000001"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"format": 4, "digest": ""}')
    with pytest.raises(OldFormatError, match=r"format 4; .* Rebuild it: dotbogi index TABLE"):
        read_manifest(folder)


def test_a_newer_cache_is_made_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.tokens("f", ["글"], lambda texts: [["글"] for _ in texts])
    path = tmp_path / "tokens-f.sqlite"
    for damage in ("PRAGMA user_version = 99", "PRAGMA application_id = 7"):
        with closing(sqlite3.connect(path)) as database:
            database.execute(damage)
        with pytest.raises(DamagedError, match=r"tokens-f\.sqlite: damaged .*makes this part anew"):
            check_cache(path)
        assert cache.tokens("f", ["글"], lambda texts: [["새"] for _ in texts]) == [["새"]]


def test_the_cache_of_another_model_is_not_used_under_this_name(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.tokens("other", ["글"], lambda texts: [["남"] for _ in texts])
    shutil.copy(tmp_path / "tokens-other.sqlite", tmp_path / "tokens-f.sqlite")
    assert cache.tokens("f", ["글"], lambda texts: [["글"] for _ in texts]) == [["글"]]
