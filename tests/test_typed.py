"""Queries as people type them, against a small collection and against the bundled sample."""

import csv
import json
import random
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import ANSWERS, QUESTIONS, LetterEncoder, run
from effort import SOAK, effort
from service_process import serving

from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.store import Workspace
from dotbogi.search import Searcher
from dotbogi.search.dictionary import first_answers, foretell
from dotbogi.search.encoded import IndexConfig
from dotbogi.search.index import SearchIndex, build_index
from dotbogi.search.ranking import find
from dotbogi.search.typed import NONE

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def index() -> SearchIndex:
    collection = Collection(
        [Answer(key, text) for key, text in ANSWERS.items()],
        [KnownQuestion(text, answer_id) for text, answer_id in QUESTIONS],
    )
    return build_index(collection, LetterEncoder())


def corrections(index: SearchIndex, query: str) -> list[str]:
    assert index.corrector
    return index.corrector.corrections(query)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ghksqnf djswp", "환불 언제"),
        ("ㅎㅂ 언제", "환불 언제"),
        ("ㅌㅂ", "택배"),
        ("피곤해애애ㅠㅠ", "피곤해"),
        ("환불해주새요", "환불해주세요"),
        ("쟈랴 고장", "wifi 고장"),
        ("refund 언제", "환불 언제"),
        ("모ㅓㅏㄴㅇ 쟈랴", "ahjksd wifi"),
        ("택베 언제 와여", "택배 언제 와여"),
        ("ㄱㅅㄱㅅ", "감사합니다"),
    ],
)
def test_a_query_is_corrected_to_what_the_collection_has(
    index: SearchIndex, typed: str, meant: str
) -> None:
    assert meant in corrections(index, typed)


@pytest.mark.parametrize(
    "typed", ["배고프다", " 배고프다!!", "wifi 안 터져요", "python", "ㅋㅋㅋㅋ", "", "한국어 good"]
)
def test_what_is_right_or_unknown_is_left_alone(index: SearchIndex, typed: str) -> None:
    assert not corrections(index, typed)


def test_the_surer_result_wins_and_says_what_was_searched_for(index: SearchIndex) -> None:
    searcher = Searcher(index)
    hits = searcher.search("ghksqnf djswp ehlskdy", k=2)
    assert [hit.corrected for hit in hits] == ["환불 언제 되나요"] * 2
    assert hits[0].answer_id == "a4"
    assert searcher.search("환불 언제 되나요", k=1)[0].corrected is None


def test_tolerance_can_be_switched_off_and_named_steps_alone_count(index: SearchIndex) -> None:
    for tolerance in (NONE, "repeats"):
        config = replace(index.config, tolerance=tolerance)
        other = build_index(index.collection, index.encoder, config)
        assert find(other, ["ghksqnf djswp"])[0].text == "ghksqnf djswp"
    refused = run("index", "--tolerance", "magic", "-w", "unused")
    assert refused.exit_code == 2
    assert "magic" in refused.stderr
    assert "keyboard" in refused.stderr


def generated(count: int) -> Iterator[str]:
    rng = random.Random(0)
    alphabets = [
        "가나다라마바사아자차카타파하",
        "ㄱㄴㄷㅋㅎㅏㅠㅡ",
        "abcdefgQWERT",
        " .,!?~^0123",
        "😀é\u200b\t",
    ]
    words = [word for question, _ in QUESTIONS for word in question.split()]
    for _ in range(count):
        parts = [
            rng.choice(words) if rng.random() < 0.3 else rng.choice(rng.choice(alphabets))
            for _ in range(rng.randint(1, 12))
        ]
        yield "".join(parts)


@pytest.mark.soak
def test_no_query_of_10000_raises_or_is_emptied_and_nfd_is_nfc(index: SearchIndex) -> None:
    queries = list(generated(effort(1000, 10_000)))
    for query in queries:
        for text in corrections(index, unicodedata.normalize("NFC", query.strip())):
            assert text.strip()
    some = queries[:100]
    plain = find(index, some)
    decomposed = find(index, [unicodedata.normalize("NFD", query) for query in some])
    assert [found.text for found in plain] == [found.text for found in decomposed]
    assert [found.ranked for found in plain] == [found.ranked for found in decomposed]


@pytest.mark.skipif(not SOAK, reason="the figures are benchmarks/typed.py's: in make soak")
@pytest.mark.soak
@pytest.mark.starter
def test_the_sample_is_found_as_people_type(tmp_path: Path) -> None:
    """Development queries alone; benchmarks/typed.py has the figures."""
    assert run("index", "-w", tmp_path).exit_code == 0
    with (ROOT / "benchmarks" / "typed.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "dev"]
    index = Searcher.open(tmp_path).index

    def right(of: SearchIndex) -> float:
        found = find(of, [row["query"] for row in rows])
        firsts = [f.ranked[0].answer_id if f.ranked else "" for f in found]
        return sum(first == row["answer_id"] for first, row in zip(firsts, rows, strict=True))

    assert right(index) - right(replace(index, corrector=None)) >= 0.15 * len(rows)


def test_dictionary_check_foretells_what_the_next_index_changes(
    tmp_path: Path, pairs_csv: Path
) -> None:
    workspace = tmp_path / "w"
    assert run("index", pairs_csv, "-w", workspace).exit_code == 0
    store = Workspace(workspace)
    (workspace / "synonyms.csv").write_text("환불,비번\n", encoding="utf-8")  # wrong on purpose
    (workspace / "dictionary.csv").write_text("까먹음\n", encoding="utf-8")
    told = foretell(store)
    before = store.current()
    assert foretell(store) == told  # nothing was published
    assert run("index", "-w", workspace).exit_code == 0
    after = store.current()
    config = IndexConfig(**after.manifest["index"])
    assert config.synonyms == (("환불", "비번"),)
    assert config.words == ("까먹음/NNP",)
    old = first_answers(store, before, IndexConfig(**before.manifest["index"]))
    new = first_answers(store, after, config)
    changed = {query for query in old if old[query][0] != new[query][0]}
    assert {change.question for change in told.changes} == changed
    assert run("dictionary", "check", "-w", workspace).exit_code == 0
    assert run("dictionary", "suggest", "-w", workspace).exit_code == 0
    assert run("history", "rollback", "-w", workspace).exit_code == 0
    assert IndexConfig(**store.current().manifest["index"]).synonyms == ()


def test_a_new_dictionary_under_eight_clients_mixes_nothing(
    tmp_path: Path, pairs_csv: Path
) -> None:
    workspace = tmp_path / "w"
    assert run("index", pairs_csv, "-w", workspace).exit_code == 0
    query, stop = "돈돌리기 언제 되나요", threading.Event()
    searcher = Searcher.open(workspace)
    oracle = {searcher.generation: searcher.search(query)}
    assert oracle["000001"][0].corrected is None
    seen: list[tuple[str | None, object]] = []
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            while not stop.is_set():
                reply = searcher.reply([query])
                seen.append((reply.generation, reply.results[0]))
        except BaseException as error:
            failed.append(error)

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    (workspace / "synonyms.csv").write_text("환불,돈돌리기\n", encoding="utf-8")
    assert run("index", "-w", workspace).exit_code == 0
    searcher.reload()
    oracle["000002"] = Searcher.open(workspace).search(query)
    while not any(generation == "000002" for generation, _ in seen[-8:]):
        assert not failed
    assert run("history", "rollback", "-w", workspace).exit_code == 0
    searcher.reload()
    while not any(generation == "000001" for generation, _ in seen[-8:]):
        assert not failed
    stop.set()
    for client in clients:
        client.join()
    assert not failed
    assert oracle["000002"][0].corrected == "환불 언제 되나요"
    assert all(hits == oracle[generation] for generation, hits in seen)


def test_service_page_and_command_say_what_was_searched_for(
    tmp_path: Path, pairs_csv: Path
) -> None:
    workspace, typed = tmp_path / "w", "ghksqnf djswp ehlskdy"
    assert run("index", pairs_csv, "-w", workspace).exit_code == 0
    assert 'found by "환불 언제 되나요"' in run("query", typed, "-w", workspace).stdout
    with serving(workspace) as service:
        body = {"query": typed, "k": 1, "explain": True}
        (result,) = service.call("POST", "/v1/search", body).json["results"]
        assert result["hits"][0]["corrected"] == "환불 언제 되나요"
        assert result["hits"][0]["explanation"]["parts"]
        page = service.call("GET", f"/?q={quote(typed)}&lang=ko").body.decode()
        assert "“환불 언제 되나요”(으)로 찾았어요." in page
    told = json.loads(run("query", "환불 언제", "-w", workspace, "--json").stdout)
    assert told["hits"][0]["corrected"] is None
