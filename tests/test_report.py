import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli import main
from indexes.collection import Answer, Collection, KnownQuestion
from indexes.errors import DamagedError, UsageError
from indexes.store import Workspace
from search import ModelConfig
from search.fusion import METHODS
from tests.test_loop import STILL, secret_language
from training import LoopConfig, MiningConfig, run_loop
from training.ledger import read_events
from training.measure.bootstrap import mean_intervals, paired_bootstrap
from training.measure.evaluation import METRICS
from training.report import report_on, write_report
from training.report.data import read_run
from training.report.markdown import code
from training.report.mined import read_mining
from training.report.slices import length_of, politeness_of
from training.report.text import summary

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]></svg><b>bold",
    "</style></title></bdi></details>",
    "\u202eright to left\u2066",
    "a | b `code` ``more``",
    "[link](javascript:alert(1)) @someone {{ 7 * 7 }}",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three runs: a round is kept; none can be; the model is worse than the published one."""
    pairs = [(question, f"a{i}", answer) for i, (question, answer) in enumerate(secret_language())]
    collection = Collection(
        [Answer(id_, answer) for _, id_, answer in pairs],
        [KnownQuestion(question, id_) for question, id_, _ in pairs],
    )
    place = Workspace(tmp_path_factory.mktemp("report") / "w")
    mining = MiningConfig(quotas={"bm25": 1, "model": 1})
    starter = ModelConfig()
    fit = {"penalty": 1.0, "learning_rate": 0.01}
    run_loop(place, collection, LoopConfig(rounds=1, mining=mining, fit=fit), model=starter)
    run_loop(place, collection, LoopConfig(rounds=2, fit=STILL))
    run_loop(place, collection, LoopConfig(rounds=1, fit=STILL), model=starter)
    return place


@pytest.fixture
def kept(place: Workspace) -> Path:
    return place.rounds_folder / "run-0001"


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "run-0001"))


@pytest.fixture
def hostile(copy: Path) -> Path:
    """A run in which every text has a tail that a page or a table could stumble over."""
    for name, column in {
        "answers": "text", "test-before": "query", "test-after": "query",
        "negatives-1": "question", "suspects-1": "question",
    }.items():  # fmt: skip
        path = copy / f"{name}.parquet"
        table = pq.read_table(path)
        texts = [f"{text} {HOSTILE[i % 7]}" for i, text in enumerate(table[column].to_pylist())]
        at = table.schema.get_field_index(column)
        pq.write_table(table.set_column(at, column, pa.array(texts)), path)
    ledger = copy / "ledger.jsonl"
    text = ledger.read_text(encoding="utf-8")
    assert '"name": "starter"' in text
    name = json.dumps("".join(HOSTILE[:2]))
    ledger.write_text(text.replace('"name": "starter"', f'"name": {name}'), encoding="utf-8")
    write_report(copy)
    return copy


class Page(HTMLParser):
    """A page's tags, attributes and texts, as a browser would have them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_every_figure_in_the_page_is_the_ledger_s(kept: Path) -> None:
    events = read_events(kept)
    (tested,) = (event for event in events if event["event"] == "tested")
    evaluated = [event["metrics"] for event in events if event["event"] == "evaluated"]
    assert len(evaluated) == 2
    expected = [
        f"{means[method][metric]:.3f}"
        for means in [*evaluated, tested["base"], tested["kept"]]
        for method in METHODS
        for metric in METRICS
    ]
    html = (kept / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<td><b>([\d.]+)</b><small>", html) == expected
    gain = tested["interval"]
    assert f"{gain['mean']:+.3f} (95% interval {gain['low']:+.3f} to {gain['high']:+.3f})" in html
    markdown = (kept / "report.md").read_text(encoding="utf-8")
    cells = re.findall(r"(?<=\| )(\d\.\d+) \(\d\.\d+–\d\.\d+\)", markdown)
    assert cells == expected


def test_the_means_are_inside_their_intervals_and_the_gate_s_interval_is_the_ledger_s(
    kept: Path,
) -> None:
    report = read_run(kept)
    for each in report.rounds:
        for metrics in each.figures.values():
            for found in metrics.values():
                assert 0 <= found.low <= found.mean <= found.high <= 1
    (_, event) = (e for e in report.steps if e["event"] == "evaluated")
    gain = report.rounds[1].gain
    assert gain
    assert (gain.mean, gain.low, gain.high) == tuple(event["interval"].values())


def test_intervals_of_columns_are_those_of_the_paired_bootstrap() -> None:
    scores = np.random.default_rng(1).random((37, 2))
    for column, found in zip(scores.T, mean_intervals(scores, seed=7), strict=True):
        expected = paired_bootstrap(column.tolist(), [0.0] * 37, seed=7)
        assert (found.mean, found.low, found.high) == pytest.approx(
            (expected.mean, expected.low, expected.high), abs=1e-12
        )


def test_the_paragraph_of_a_kept_round_says_what_users_get(kept: Path) -> None:
    report = read_run(kept)
    said = summary(report)
    after = pq.read_table(kept / "test-after.parquet").to_pydict()["hybrid MRR@10"]
    first = sum(rank == 1 for rank in after)
    assert len(after) < 100  # or it would be said of a hundred
    assert f"Of {len(after)} test questions {first} now find a right answer in first place" in said
    assert "The 700 questions to 700 answers were split into" in said
    assert "started from the model starter and tried one round of training" in said
    assert "Round 1 was kept: on the development questions right answers stand higher" in said
    assert "With only" in said  # about seventy development questions
    assert "the test agrees with the gain" in said
    assert said.endswith("The model of round 1 was published as generation 000001.")
    assert said in page_of(kept).text


def test_a_run_that_keeps_nothing_says_so(place: Workspace) -> None:
    folder = place.rounds_folder / "run-0002"
    report = read_run(folder)
    said = summary(report)
    assert "from the model of generation 000001, which had been trained before on " in said
    assert "Round 1 was dropped" in said
    assert "kept:" not in said
    assert said.endswith("generation 000001 stays, and nothing changes for users.")
    assert report.comparison
    assert report.comparison.split == "development"
    text = page_of(folder).text
    assert "No round kept; generation 000001 stays published" in text
    assert "there is no “after”" in text


def test_a_better_published_model_is_named_as_what_had_to_be_beaten(place: Workspace) -> None:
    folder = place.rounds_folder / "run-0003"
    said = summary(read_run(folder))
    assert "so a round had to beat generation 000001" in said
    assert "Round 1 was dropped: it was worse than generation 000001" in said
    assert "Generation 000001 was not measured on the test questions." in said
    assert "generation 000001" in page_of(folder).text


def test_hostile_texts_come_out_as_texts(hostile: Path) -> None:
    page = page_of(hostile)
    assert not page.tags & {"script", "img", "iframe", "object", "link", "a", "form"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [value for name, value in page.attributes if name in ("src", "href", "style")]
    for tail in HOSTILE:
        assert tail in page.text
    html = (hostile / "report.html").read_text(encoding="utf-8")
    assert html.count("</style>") == 1
    for before in html.split("\u202e")[:-1]:
        assert before.rindex("<bdi>") > before.rindex("</bdi>")  # the turn ends with its text


def test_hostile_texts_stay_in_their_cells_of_the_markdown(hostile: Path) -> None:
    markdown = (hostile / "report.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(tables) == 6 - ("Worse: none." in markdown)
    for table in tables:
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(bars) == 1
    outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)
    assert not re.search(r"(?<!\\)[<>`]|[\u202e\u2066]|@someone|\]\(", outside)
    assert "<script>" in markdown  # inside a code span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("배고프다", "`배고프다`"),
        ("a|b", "`a\\|b`"),
        ("x`y", "`` x`y ``"),
        ("``", "``` `` ```"),
        ("two\n lines", "`two lines`"),
        ("\u202eturned", "`\ufffdturned`"),
        ("\x1b[31m", "`\ufffd[31m`"),
    ],
)
def test_a_text_is_a_code_span(text: str, expected: str) -> None:
    assert code(text) == expected


def test_made_again_from_the_folder_the_report_has_the_same_bytes(copy: Path) -> None:
    before = {name: (copy / name).read_bytes() for name in ("report.html", "report.md")}
    for name in before:
        (copy / name).unlink()
    write_report(copy)
    assert {name: (copy / name).read_bytes() for name in before} == before


def test_the_command_writes_the_last_run_s_report_or_a_named_one_s(place: Workspace) -> None:
    last = place.rounds_folder / "run-0003" / "report.html"
    last.unlink()
    result = CliRunner().invoke(main, ["report", "-w", str(place.folder)])
    assert result.stdout == f"{last}\n"
    assert last.is_file()
    named = CliRunner().invoke(main, ["report", "run-0001", "-w", str(place.folder), "--json"])
    assert json.loads(named.stdout)["html"] == str(last.parent.parent / "run-0001" / "report.html")
    with pytest.raises(UsageError, match="no run 'run-9'; the last one is run-0003"):
        report_on(place, "run-9")
    with pytest.raises(UsageError, match="no run to report on"):
        report_on(Workspace(place.folder / "elsewhere"))


def test_a_run_cut_off_is_reported_as_far_as_it_came(copy: Path) -> None:
    ledger = copy / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:4]) + b'{"event": "evalu')
    torn = ledger.read_bytes()
    write_report(copy)
    assert "This run has not ended" in page_of(copy).text
    assert ledger.read_bytes() == torn  # another process may be writing this very line
    ledger.write_bytes(lines[0])
    with pytest.raises(UsageError, match="nothing has been measured yet"):
        write_report(copy)


def test_a_missing_file_of_outcomes_is_one_clear_line(copy: Path) -> None:
    (copy / "dev-1.parquet").unlink()
    with pytest.raises(DamagedError, match=r"dev-1.parquet: no such file; expected the outcome"):
        write_report(copy)
    (copy / "dev-1.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DamagedError, match=r"dev-1.parquet: not a table of outcomes"):
        write_report(copy)


def test_confidence_is_shown_when_the_ledger_has_it(copy: Path) -> None:
    assert "Stated confidence" not in page_of(copy).text
    events = read_events(copy)
    (tested,) = (event for event in events if event["event"] == "tested")
    bins = [{"low": 0.0, "high": 0.5, "n": 9, "confidence": 0.3, "accuracy": 0.25}]
    bins.append({"low": 0.5, "high": 1.0, "n": 0, "confidence": 0.0, "accuracy": 0.0})
    tested["confidence"] = {"ece": 0.043, "coverage_at_90": 0.41, "threshold": 0.7, "bins": bins}
    (copy / "ledger.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    write_report(copy)
    text = page_of(copy).text
    assert "stated 0.30, right 0.25" in text
    assert "0.043" in text
    assert "AUROC" not in text  # was not given


def test_slices_split_the_same_queries_each_in_its_own_way(kept: Path) -> None:
    comparison = read_run(kept).comparison
    assert comparison
    for group in ("answer", "length", "politeness"):
        slices = [each for each in comparison.slices if each.group == group]
        assert sum(each.queries for each in slices) == comparison.queries
        mean = sum((each.after or 0) * each.queries for each in slices) / comparison.queries
        assert mean == pytest.approx(read_run(kept).test.after["hybrid"]["MRR@10"].mean)  # type: ignore[union-attr]


def test_better_queries_come_by_the_size_of_their_change(kept: Path) -> None:
    comparison = read_run(kept).comparison
    assert comparison
    gains = [1 / (c.rank_after or 99) - 1 / (c.rank_before or 99) for c in comparison.better]
    assert gains == sorted(gains, reverse=True)
    assert len(comparison.better) == 15 < comparison.better_count
    best = comparison.better[0]
    assert best.rank_after == 1
    assert best.after[0].right
    assert best.after[0].text == best.right[0]


def test_negatives_with_texts_of_their_own_are_read(tmp_path: Path) -> None:
    row = {
        "question": "배고프다", "positive_id": "a1", "answer_id": None, "text": "배부르다",
        "source": "edit", "cosine": 0.9, "positive_cosine": 0.5, "anything": 1,
    }  # fmt: skip
    weaker = {**row, "answer_id": "a2", "text": None, "source": "bm25", "cosine": 0.6}
    table = pa.Table.from_pylist([weaker, row, row])
    for name in ("negatives", "suspects"):
        pq.write_table(table, tmp_path / f"{name}-1.parquet")
    yields = {"bm25": {"asked": 1, "kept": 1}, "edit": {"asked": 2, "kept": 2, "unsure": 0}}
    mining = read_mining(
        tmp_path, {"round": 1, "yields": yields}, {"a1": "밥 드세요", "a2": "국 드세요"}
    )
    assert mining.suspect_count == 2
    (group,) = mining.suspects
    assert [suspect.answer for suspect in group] == ["배부르다", "국 드세요"]
    assert mining.histogram
    assert list(mining.histogram.shares) == ["right answers", "bm25", "edit"]
    assert all(sum(shares) == pytest.approx(1) for shares in mining.histogram.shares.values())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("환불은 언제 되나요?", "polite"),
        ("배가 고프죠~~", "polite"),
        ("주문했습니다ㅠㅠ", "polite"),
        ("언제 옵니까", "polite"),
        ("확인해 주십시오.", "polite"),
        ("확인 필요", "other"),
        ("배고프니까", "plain"),
        ("밥을 다 먹었니", "plain"),
        ("너무 졸려ㅋㅋ", "plain"),
        ("결제가 안 됨", "plain"),
        ("배송 조회", "other"),
        ("where is my order", "other"),
        ("?!", "other"),
        ("", "other"),
    ],
)
def test_politeness_is_read_off_the_ending(query: str, expected: str) -> None:
    assert politeness_of(query) == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(8, "short"), (9, "medium"), (20, "medium"), (21, "long")]
)
def test_length_counts_characters(size: int, expected: str) -> None:
    assert length_of(" " + "가" * size + "\n") == expected


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_from_the_disk_alone_and_fits_a_phone(
    hostile: Path, browser: "Browser", width: int, scheme: str
) -> None:
    address = (hostile / "report.html").as_uri()
    said: list[str] = []
    asked: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(address)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    widest = page.evaluate("document.documentElement.scrollWidth")
    shown = page.inner_text("main")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    heights = page.evaluate("[...document.querySelectorAll('svg')].map(s => s.clientHeight)")
    page.close()
    assert asked == [address]
    assert said == []
    assert widest == width
    assert "<script>alert(1)</script>" in shown
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert min(heights) > 10  # every chart is drawn


def test_a_report_that_cannot_be_written_does_not_fail_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.loop.write_report", full)
    pairs = secret_language()[:60]
    collection = Collection(
        [Answer(f"a{i}", answer) for i, (_, answer) in enumerate(pairs)],
        [KnownQuestion(question, f"a{i}") for i, (question, _) in enumerate(pairs)],
    )
    config = LoopConfig(rounds=1, fit={"epochs": 1})
    result = run_loop(Workspace(tmp_path), collection, config, model=ModelConfig())
    assert result.generation == "000001"
    assert "Write it again: dotbogi report run-0001" in caplog.text
