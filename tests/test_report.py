import json
import re
import shutil
from dataclasses import asdict, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ledgers import accept, cut
from test_loop import STILL, secret_language

from dotbogi.cli import main
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.search import ModelConfig
from dotbogi.search.fusion import METHODS
from dotbogi.training import LoopConfig, MiningConfig, run_loop
from dotbogi.training.gate import LEVEL, Verdict
from dotbogi.training.ledger import (
    Ended,
    Event,
    Ledger,
    Measured,
    Mined,
    Published,
    Started,
    read_events,
)
from dotbogi.training.ledger import (
    Tested as Look,  # pytest would collect a class of that name
)
from dotbogi.training.measure.bootstrap import Interval, mean_intervals, paired_bootstrap
from dotbogi.training.measure.metrics import METRICS, recall_at
from dotbogi.training.negatives import Negative
from dotbogi.training.negatives.files import save_negatives
from dotbogi.training.report import report_on, write_report
from dotbogi.training.report.data import read_run
from dotbogi.training.report.history import render_history
from dotbogi.training.report.lines import run_lines
from dotbogi.training.report.markdown import code
from dotbogi.training.report.mined import read_mining
from dotbogi.training.report.slices import length_of, politeness_of
from dotbogi.training.report.text import agreement, summary
from dotbogi.training.report.words import WORDS
from dotbogi.training.rounds import RunResult

if TYPE_CHECKING:
    from playwright.sync_api import Browser

E = TypeVar("E", bound=Event)

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
    """Three runs: a round is kept, with questions held out; none can be kept; one is, without."""
    pairs = [(question, f"a{i}", answer) for i, (question, answer) in enumerate(secret_language())]
    turned = [(" ".join(reversed(question.split())), id_) for question, id_, _ in pairs[:70]]
    collection = Collection(
        [Answer(id_, answer) for _, id_, answer in pairs],
        [KnownQuestion(*each) for each in [*((q, id_) for q, id_, _ in pairs), *turned]],
    )
    place = Workspace(tmp_path_factory.mktemp("report") / "w")
    mining = MiningConfig(quotas={"bm25": 1, "model": 1})
    learning = LoopConfig(
        kind="adapter", rounds=1, mining=mining, fit={"penalty": 1.0, "learning_rate": 0.01}
    )
    run_loop(place, collection, replace(learning, holdout=0.2), model=ModelConfig())
    run_loop(place, collection, LoopConfig(kind="adapter", fit=STILL))
    run_loop(place, collection, learning)
    return place


@pytest.fixture
def kept(place: Workspace) -> Path:
    return place.rounds_folder / "run-0001"


@pytest.fixture
def without_test(place: Workspace) -> Path:
    """A run that kept a round and held nothing out."""
    return place.rounds_folder / "run-0003"


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "run-0001"))


@pytest.fixture
def hostile(copy: Path) -> Path:
    """A run in which every text has a tail that a page or a table could stumble over."""
    for name, column in {
        "answers": "text", "questions-0": "query", "questions-1": "query",
        "negatives-1": "question", "suspects-1": "text",
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
    accept(copy)
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


def of(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def result_of(folder: Path) -> RunResult:
    events = read_events(folder)
    tested = of(events, Look)
    return RunResult(
        folder.name, of(events, Started)[0], of(events, Measured), tested[0] if tested else None,
        of(events, Published)[0].generation,
    )  # fmt: skip


@pytest.mark.parametrize("held_out", [True, False])
def test_every_figure_in_the_page_is_the_ledger_s(
    kept: Path, without_test: Path, held_out: bool
) -> None:
    folder = kept if held_out else without_test
    events = read_events(folder)
    tested = of(events, Look)
    assert len(tested) == held_out
    measured = of(events, Measured)
    assert [each.round for each in measured] == [0, 1]
    expected = [
        f"{means[method][metric]:.3f}"
        for means in [
            *(each.metrics for each in measured),
            *(means for test in tested for means in (test.before, test.after)),
        ]
        for method in METHODS
        for metric in METRICS
    ]
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<td><b>([\d.]+)</b><small>", html) == expected
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    cells = re.findall(r"(?<=\| )(\d\.\d+) \(\d\.\d+–\d\.\d+\)", markdown)
    assert cells == expected
    for text in (html, markdown):
        assert ("eld-out questions" in text) == held_out


@pytest.mark.parametrize("held_out", [True, False])
def test_the_tiles_are_out_of_fold_also_where_questions_were_held_out(
    kept: Path, without_test: Path, held_out: bool
) -> None:
    folder = kept if held_out else without_test
    before, after = (each.metrics for each in of(read_events(folder), Measured))
    html = (folder / "report.html").read_text(encoding="utf-8")
    tiles = re.findall(r"<dd>(.*?)<small>", html)
    first = [
        round(100 * sum(rank == 1 for rank in ranks) / len(ranks))
        for ranks in (
            pq.read_table(folder / f"questions-{n}.parquet").to_pydict()["hybrid MRR@10"]
            for n in (0, 1)
        )
    ]
    assert tiles[0] == f"{first[0]} → {first[1]} of 100"
    hybrid = [f"{means['hybrid']['MRR@10']:.3f}" for means in (before, after)]
    assert tiles[1] == " → ".join(hybrid)
    assert tiles[2] == f"{after['hybrid']['MRR@10'] - after['bm25']['MRR@10']:+.3f}"
    assert re.search(rf"Of 100 questions, {first[1]} now have a right answer in first place", html)


def test_the_means_are_inside_their_intervals(kept: Path) -> None:
    for each in read_run(kept).rounds:
        for metrics in each.figures.values():
            for found in metrics.values():
                assert 0 <= found.low <= found.mean <= found.high <= 1


def test_the_gate_s_table_is_the_ledger_s(kept: Path) -> None:
    verdict = of(read_events(kept), Measured)[1].verdict
    assert verdict
    gain = verdict.gain
    markdown = (kept / "report.md").read_text(encoding="utf-8")
    assert (
        f"| 1 | round 0 | {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) | over 99.9% "
        "| kept |" in markdown
    )
    assert f"with a probability of at least {LEVEL:.0%}" in page_of(kept).text


def test_intervals_of_columns_are_those_of_the_paired_bootstrap() -> None:
    scores = np.random.default_rng(1).random((37, 2))
    for column, found in zip(scores.T, mean_intervals(scores, seed=7), strict=True):
        expected = paired_bootstrap(column.tolist(), [0.0] * 37, seed=7)
        assert (found.mean, found.low, found.high) == pytest.approx(
            (expected.mean, expected.low, expected.high), abs=1e-12
        )


def test_the_paragraph_of_a_kept_round_says_what_users_get(kept: Path) -> None:
    said = summary(read_run(kept))
    counts = of(read_events(kept), Started)[0].counts
    assert sum(counts.values()) == 770
    assert re.search(rf"The {counts['train']} questions about 700 answers .* 5 groups", said)
    assert re.search(rf"{counts['test']} were held out for a final test", said)
    assert re.search("from the model starter and tried one round", said)
    assert re.search(r"Round 1 was kept: .* round 0 \(MRR@10 \+0\.", said)
    assert re.search(r"probability of over 99\.9%", said)
    after = pq.read_table(kept / "test-after.parquet").to_pydict()["hybrid MRR@10"]
    first = round(100 * sum(rank == 1 for rank in after) / len(after))
    assert re.search(rf"100 held-out questions, .* {first} \(before training: \d+\)", said)
    assert "the test agrees with the gain" in said
    assert re.search(
        rf"Round 1 was then trained again, on all {counts['train']} questions .* 000001\.$", said
    )
    assert said in page_of(kept).text


def test_a_run_without_a_test_does_not_speak_of_one(without_test: Path) -> None:
    for text in (page_of(without_test).text, (without_test / "report.md").read_text()):
        assert not re.search(r"\b(test|held)\b", text.split("Settings, seeds")[0])
    assert "published as generation 000002" in summary(read_run(without_test))


def test_a_run_that_keeps_nothing_says_so(place: Workspace) -> None:
    folder = place.rounds_folder / "run-0002"
    report = read_run(folder)
    said = summary(report)
    assert re.search(r"Round 1 was dropped: it is neither better nor worse than round 0\.", said)
    assert "kept:" not in said
    assert re.search(r"Without training, \d+ of 100 questions", said)
    assert re.search(r"generation 000001 stays.*\.$", said)
    assert report.comparison
    assert not report.comparison.kept
    text = page_of(folder).text
    assert re.search("No round kept; generation 000001 stays", text)
    assert re.search("best of the dropped rounds, round 1", text)


def test_few_questions_are_said_to_be_few(kept: Path) -> None:
    report = read_run(kept)
    assert "With only" not in summary(report)
    first = report.rounds[0]
    few = replace(first, measured=replace(first.measured, queries=99), first=9)
    said = summary(replace(report, rounds=[few, *report.tried]))
    assert "With only 99 questions" in said


def test_a_test_that_tells_nothing_or_the_contrary_is_told() -> None:
    def said(probability: float) -> str:
        return agreement(Verdict(probability >= LEVEL, Interval(0.0, -0.1, 0.1), probability))

    assert said(0.99) == "the test agrees with the gain"
    assert re.search("cannot distinguish .* from chance", said(0.6))
    assert said(0.01).startswith("the test contradicts the gain")


def test_a_dropped_round_says_why(kept: Path) -> None:
    report = read_run(kept)
    (first, tried) = report.rounds

    def said(gain: Interval, probability: float) -> str:
        verdict = Verdict(False, gain, probability)
        dropped = replace(tried, measured=replace(tried.measured, kept=False, verdict=verdict))
        return summary(replace(report, rounds=[first, dropped]))

    gained = said(Interval(0.01, -0.01, 0.03), 0.91)
    assert re.search(rf"over round 0 .* probability of only 91\.0%.* {LEVEL:.0%}", gained)
    assert "(MRR@10 +0.010, 95% interval −0.010 to +0.030)" in gained
    assert "it was worse than round 0" in said(Interval(-0.1, -0.2, -0.01), 0.001)
    assert "it was no better than round 0" in said(Interval(-0.01, -0.1, 0.1), 0.4)


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
        assert before.rfind("<bdi>") > before.rfind("</bdi>")  # the turn ends with its text


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
    whole = ledger.read_bytes()
    events = read_events(copy)
    measured = events.index(of(events, Measured)[1])
    for count in (2, measured, measured + 1):  # before the round, before it was measured, after
        ledger.write_bytes(whole)
        cut(copy, count, beyond=b'{"event": "measu')
        torn = ledger.read_bytes()
        write_report(copy)
        text = page_of(copy).text
        assert "This run has not ended" in text
        assert ("What was kept, and why" in text) == (count > measured)
        assert ledger.read_bytes() == torn  # another process may be writing this very line
    cut(copy, 1)
    with pytest.raises(UsageError, match="nothing has been measured yet"):
        write_report(copy)


def test_a_missing_file_of_outcomes_is_one_clear_line(copy: Path) -> None:
    (copy / "questions-1.parquet").unlink()
    with pytest.raises(DamagedError, match=r"questions-1.parquet: missing"):
        write_report(copy)
    (copy / "questions-1.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DamagedError, match=r"questions-1.parquet: its bytes have changed"):
        write_report(copy)
    accept(copy)
    with pytest.raises(DamagedError, match=r"questions-1.parquet: cannot be read"):
        write_report(copy)


def test_a_run_from_before_a_metric_is_reported_without_it(
    kept: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [*METRICS]
    monkeypatch.setitem(METRICS, "recall@3", partial(recall_at, 3))  # type: ignore[arg-type]
    write_report(copy)
    for name in ("report.html", "report.md"):
        assert (copy / name).read_bytes() == (kept / name).read_bytes()
    header = next(line for line in run_lines(result_of(kept)) if "nDCG@10" in line)
    assert header.split() == names


def test_a_metric_that_is_no_longer_in_the_table_is_not_reported(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(METRICS, "nDCG@10")  # type: ignore[arg-type]
    write_report(copy)
    assert "nDCG@10" not in (copy / "report.md").read_text(encoding="utf-8")


def test_confidence_is_shown_as_the_ledger_has_it(kept: Path) -> None:
    events = read_events(kept)
    qualities = [of(events, Measured)[1].confidence, of(events, Look)[0].confidence]
    html = (kept / "report.html").read_text(encoding="utf-8")
    for name, values in {
        "ECE": [q and q.ece for q in qualities],
        "threshold of --min-confidence auto": [q and q.threshold for q in qualities],
        "coverage": [q and q.coverage for q in qualities],
        "precision": [q and q.precision for q in qualities],
    }.items():
        cells = "".join(f'<td class="number">{value:.3f}</td>' for value in values)
        assert re.search(rf'<tr><th scope="row">[^<]*{name}[^<]*</th>{cells}</tr>', html)
    for quality in qualities:
        assert quality
        for each in quality.bins:
            assert f"stated {each['confidence']:.2f}, right {each['accuracy']:.2f}" in html


def test_slices_split_the_same_queries_each_in_its_own_way(kept: Path) -> None:
    comparison = read_run(kept).comparison
    assert comparison
    after = of(read_events(kept), Measured)[1]
    for group in ("answer", "length", "politeness"):
        slices = [each for each in comparison.slices if each.group == group]
        assert sum(each.queries for each in slices) == comparison.queries
        mean = sum((each.after or 0) * each.queries for each in slices) / comparison.queries
        assert mean == pytest.approx(after.metrics["hybrid"]["MRR@10"])
    known, unknown = (each for each in comparison.slices if each.group == "answer")
    assert (known.name, unknown.name) == ("known from other questions", "not known")
    assert 0 < known.queries < 140  # both typings of 70 answers, but those in one fold, and alone
    assert known.before is not None
    assert known.before > (unknown.before or 0)  # the question turned is known to the index


def test_the_fits_shown_are_those_of_what_users_get(kept: Path, place: Workspace) -> None:
    (fit,) = read_run(kept).fits
    assert fit.fold is None
    assert fit.rows == of(read_events(kept), Started)[0].counts["train"]
    text = page_of(kept).text
    assert "round 1, all questions" in text
    assert "Training loss" in text
    assert "round 1, without fold 1" in page_of(place.rounds_folder / "run-0002").text


def test_mining_is_shown_for_all_questions_and_not_for_the_folds(kept: Path) -> None:
    everything = [each for each in of(read_events(kept), Mined) if each.fold is None]
    assert [each.number for each in read_run(kept).minings] == [each.round for each in everything]


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


def test_a_suspect_counts_once_and_its_question_s_strongest_come_first(tmp_path: Path) -> None:
    strong = Negative("배고프다", "a1", "a3", "배부르다", "model", 1, 0.9, 0.9, 0.5, 0.475)
    weak = replace(strong, answer_id="a2", text="국 드세요", source="bm25", cosine=0.6)
    for name in ("negatives", "suspects"):
        save_negatives([weak, strong, strong], tmp_path / f"{name}-1.parquet")
    yields = {"bm25": {"asked": 1, "kept": 1}, "model": {"asked": 2, "kept": 2}}
    event = Mined(round=1, fold=None, yields=yields, suspects=3, seconds=0)
    mining = read_mining(tmp_path, event, {"a1": "밥 드세요", "a2": "국 드세요"})
    assert mining.suspect_count == 2
    (group,) = mining.suspects
    assert [suspect.answer for suspect in group] == ["배부르다", "국 드세요"]
    assert mining.histogram
    assert list(mining.histogram.shares) == ["right answers", "bm25", "model"]
    assert all(sum(shares) == pytest.approx(1) for shares in mining.histogram.shares.values())


def test_the_terminal_gets_the_figures_of_the_ledger(kept: Path, without_test: Path) -> None:
    result = result_of(kept)
    lines = run_lines(result)
    counts, after = result.started.counts, result.rounds[1]
    assert (
        lines[0] == f"run-0001: {counts['train']} questions in 5 folds, {counts['test']} held out"
    )
    rows = [[f"{after.metrics[m][name]:.3f}" for name in METRICS] for m in METHODS]
    at = next(i for i, line in enumerate(lines) if line.startswith("round 1  bm25"))
    assert [line.split()[-5:] for line in lines[at : at + 3]] == rows
    assert after.verdict
    assert f"round 1: gain {after.verdict.gain} over round 0, P(gain > 0) over 99.9%: kept" in lines
    known = after.slices["answer known from other questions"]
    assert any(
        line.startswith(f"answer known from other questions ({known['queries']})") for line in lines
    )
    assert result.test
    assert any(line.startswith(f"{result.test.queries} held-out questions") for line in lines)
    quality = after.confidence
    assert quality
    assert (
        f"confidence: {quality.coverage:.0%} of the first answers reach {quality.threshold:.2f} "
        f"(--min-confidence auto), {quality.precision:.0%} of these are right; calibration error "
        f"{quality.ece:.3f}" in lines
    )
    assert not re.search("held.out", "\n".join(run_lines(result_of(without_test))))


def scored_run(*, kept: bool) -> list[Event]:
    verdict = Verdict(kept, Interval(0.2, 0.1, 0.3), 0.999)
    values = {"round": 1, "kept": kept, "against": 0, "verdict": verdict}
    measured = Measured(
        round=0, kept=True, queries=9, metrics={"dense": {"Spearman": 0.41}}, scores=[],
        slices={}, seconds=0,
    )  # fmt: skip
    after = 0.63 if kept else 0.43
    return [
        Started(
            config=asdict(LoopConfig()), counts={"train": 80, "dev": 9, "test": 11},
            fingerprints={}, libraries={},
        ),
        measured,
        replace(measured, metrics={"dense": {"Spearman": 0.61}}, **values),
        Look(
            kept_round=int(kept), queries=11, before={"dense": {"Spearman": 0.43}},
            after={"dense": {"Spearman": after}}, verdict=verdict, seconds=0,
        ),
        Ended(),
    ]  # fmt: skip


@pytest.mark.parametrize("kept", [True, False])
def test_the_terminal_gets_spearman_of_a_run_on_scored_pairs(kept: bool) -> None:
    events = scored_run(kept=kept)
    result = RunResult(
        "run-0004", of(events, Started)[0], of(events, Measured), of(events, Look)[0], None
    )
    lines = run_lines(result)
    assert re.search(r"run-0004: .*80 train.* 9 dev.* 11 test", lines[0])
    assert lines[3].split() == ["round", "0", "0.410", "0.430"]
    assert lines[4].split() == ["round", "1", "0.610", *(["0.630"] if kept else [])]
    decision = "kept" if kept else "dropped"
    gain = "gain +0.200 [+0.100, +0.300] over round 0, P(gain > 0) 99.9%"
    assert lines[5] == f"round 1: {gain}: {decision}"
    assert lines[6:] == ([f"test: {gain}"] if kept else [])


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_history_shows_runs_of_both_kinds(
    place: Workspace, tmp_path: Path, language: Literal["ko", "en"]
) -> None:
    copied = Workspace(Path(shutil.copytree(place.folder, tmp_path / "w")))
    folder = copied.rounds_folder / "run-0004"
    folder.mkdir()
    ledger = Ledger(folder)
    for event in scored_run(kept=True):
        ledger.add(event)
    (copied.rounds_folder / "run-0005").mkdir()
    (copied.rounds_folder / "run-0005" / "ledger.jsonl").write_text('{"event": "evaluated"}\n')
    text = Page(render_history(copied, language)).text
    words = WORDS[language]
    assert words["pairs"].format(train=80, dev=9, test=11) in text
    assert words["test"].format(before="0.430", after="0.630") in text
    for name, number in (("run-0001", 1), ("run-0003", 3)):
        started, measured = (
            of(read_events(copied.rounds_folder / name), kind)[-1] for kind in (Started, Measured)
        )
        assert isinstance(started, Started)
        assert isinstance(measured, Measured)
        assert words["questions"].format(train=started.counts["train"], folds=5) in text
        held_out = words["held_out"].format(test=started.counts["test"])
        assert (held_out in text) == (number == 1)
        assert f"{measured.metrics['hybrid']['MRR@10']:.3f}" in text
    assert f"{words['damaged_runs']}: run-0005" in text
    assert words["gains_note"].format(level=f"{LEVEL:.0%}") in text


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

    monkeypatch.setattr("dotbogi.training.loop.write_report", full)
    pairs = secret_language()[:60]
    collection = Collection(
        [Answer(f"a{i}", answer) for i, (_, answer) in enumerate(pairs)],
        [KnownQuestion(question, f"a{i}") for i, (question, _) in enumerate(pairs)],
    )
    config = LoopConfig(kind="adapter", rounds=1, fit={"epochs": 1})
    result = run_loop(Workspace(tmp_path), collection, config, model=ModelConfig())
    assert result.generation == "000001"
    assert "dotbogi report run-0001" in caplog.text
