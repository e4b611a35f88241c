import itertools
import json
import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import dotbogi.training.fit.full
from dotbogi.cli import main
from dotbogi.indexes.collection import Answer, Collection
from dotbogi.indexes.errors import DotbogiError, UsageError
from dotbogi.indexes.store import Workspace
from dotbogi.indexes.text import same_text_key
from dotbogi.search import ModelConfig, Searcher, index_collection
from dotbogi.search.index import question_digest
from dotbogi.training import LoopConfig, RunResult, resume_loop, run_similarity
from dotbogi.training.ledger import read_events
from dotbogi.training.measure.bootstrap import Interval
from dotbogi.training.measure.spearman import spearman, spearman_draws
from dotbogi.training.scored.pairs import (
    ScoredColumns,
    ScoredPair,
    open_pairs,
    read_scored_table,
    save_pairs,
    split_scored,
)


def test_a_scored_tsv_keeps_its_quotes_and_scales_its_scores(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(
        "genre\tscore\tsentence1\tsentence2\n"
        'x\t5.000\t"밥" 먹었니\t"밥은 먹었어\n'
        "x\t1\t 잘 자 \t안녕\n"
        'x\t2\t"네"라고 했다\t아니\n'
    )
    table = read_scored_table(path)
    assert table.pairs == [
        ScoredPair('"밥" 먹었니', '"밥은 먹었어', 1.0),
        ScoredPair("잘 자", "안녕", 0.0),
        ScoredPair('"네"라고 했다', "아니", 0.25),
    ]
    assert (table.lowest, table.highest) == (1, 5)
    assert "scores 1 to 5 of t.tsv are scaled to 0..1" in table.lines()


def test_rows_without_two_texts_and_a_finite_score_are_counted_and_named(tmp_path: Path) -> None:
    scores = ["3", "nan", "", "inf", "높음", "1", "2", "-1e999"]
    frame = pd.DataFrame({"text1": ["가"] * 8, "text2": [*"나다라마바사", " ", "자"]})
    frame["유사도"] = scores
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = read_scored_table(tmp_path / "t.csv")
    assert [pair.score for pair in table.pairs] == [1.0, 0.0]
    assert table.counts.skipped() == {
        "the score is not a number": 5,
        "a text is blank": 1,
    }
    assert "(rows 3, 4, 5, 6, 9)" in "\n".join(table.counts.lines())
    assert table.counts.read == 8 == table.counts.kept + len(table.counts.skips)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"sentence1": "가", "sentence2": "나", "score": 3}] * 4, "all scores are 3 .*'score'"),
        ([{"sentence1": "가", "sentence2": "나", "score": None}], "none has two texts and a score"),
        ([{"sentence1": "가", "score": 1}], "two text columns.*--score-column"),
        ([{"sentence1": "가", "sentence2": "나"}], "two text columns.*--score-column"),
    ],
)
def test_a_table_that_cannot_be_ranked_says_why(
    tmp_path: Path, rows: list[dict[str, object]], message: str
) -> None:
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DotbogiError, match=message):
        read_scored_table(tmp_path / "t.parquet")


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"ㄱ": "가", "ㄴ": "나", "얼마나": n, "score": 1} for n in (1, 3)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(UsageError, match=r"no column 'x'.*--score-column"):
        read_scored_table(path, ScoredColumns(first="ㄱ", second="ㄴ", score="x"))
    columns = ScoredColumns(first="ㄱ", second="ㄴ", score="얼마나")
    assert [pair.score for pair in read_scored_table(path, columns).pairs] == [0.0, 1.0]


def meanings() -> list[ScoredPair]:
    """Pairs of texts in two secret languages; the score is how many of three words agree.

    No letter is shared, so that nothing but the scores tells which word means which.
    """
    ours = [first + second for first in "가나다라마" for second in "고노도로"]
    theirs = [first + second for first in "치키티피히" for second in "쭈쿠투푸"]
    rng = random.Random(0)
    rng.shuffle(theirs)
    pairs = []
    for words in rng.sample(list(itertools.combinations(range(20), 3)), 900):
        kept = rng.sample(words, rng.randrange(4))
        others = rng.sample([n for n in range(20) if n not in words], 3 - len(kept))
        text = " ".join(theirs[n] for n in [*kept, *others])
        pairs.append(ScoredPair(" ".join(ours[n] for n in words), text, len(kept) / 3))
    return pairs


def keys(pairs: list[ScoredPair]) -> set[str]:
    return {same_text_key(text) for pair in pairs for text in (pair.first, pair.second)}


def test_no_text_is_in_two_splits() -> None:
    rng = random.Random(1)
    words = [f"말{n}" for n in range(2000)]
    pairs = [
        ScoredPair(rng.choice(words), rng.choice(words) + "!", rng.random()) for _ in range(900)
    ]
    test = [ScoredPair(f" {words[n]}? ", f"글{n}", n / 40) for n in range(40)]
    for given_test in (None, test):
        split = split_scored(pairs, seed=3, test=given_test)
        train, dev, held_out = (split.only(name) for name in ("train", "dev", "test"))
        assert not keys(train) & keys(dev)
        assert not (keys(train) | keys(dev)) & keys(held_out)
        assert len(split.pairs) + split.left_out == 900 + len(given_test or ())
    assert len(held_out) == 40
    assert split.left_out > 0
    assert split_scored(pairs, seed=3, test=test) == split


def test_a_large_group_of_bound_pairs_is_trained_on() -> None:
    chain = [ScoredPair(f"가{n}", f"가{n + 1}", n % 2) for n in range(60)]
    alone = [ScoredPair(f"나{n}", f"다{n}", n % 2) for n in range(600)]
    for seed in range(4):
        train = split_scored([*chain, *alone], seed=seed).only("train")
        assert {pair.first for pair in chain} <= {pair.first for pair in train}


def test_too_few_or_bound_pairs_are_refused() -> None:
    few = [ScoredPair(f"가{n}", f"나{n}", n) for n in range(50)]
    bound = [ScoredPair("가", f"나{n}", n) for n in range(900)]
    for pairs in (few, bound):
        with pytest.raises(DotbogiError, match="too few pairs to train, tune and test on"):
            split_scored(pairs, seed=42)


def test_saved_pairs_open_equal(tmp_path: Path) -> None:
    pairs = split_scored(meanings(), seed=1).pairs
    save_pairs(pairs, tmp_path)
    assert open_pairs(tmp_path) == pairs


values = st.lists(st.tuples(st.integers(-3, 3), st.floats(-1, 1, width=16)), min_size=2)


@given(values)
def test_spearman_is_that_of_scipy(rows: list[tuple[int, float]]) -> None:
    found, expected = map(list, zip(*rows, strict=True))
    ours = spearman(found, expected)
    if len(set(found)) == 1 or len(set(expected)) == 1:
        assert ours == 0
    else:
        assert ours == pytest.approx(scipy.stats.spearmanr(found, expected).statistic, abs=1e-9)


def test_a_bootstrap_draw_ranks_the_pairs_that_it_drew() -> None:
    rng = np.random.default_rng(0)
    expected = rng.integers(0, 5, 60).astype(float)
    old, new = expected + rng.normal(0, 3, 60).round(), expected + rng.normal(0, 1, 60).round()
    draws, gain = spearman_draws(new, old, expected, seed=1)
    interval = Interval.of(gain, draws)
    draws = []
    for _ in range(2000):
        drawn = rng.integers(0, 60, 60)
        rho = [scipy.stats.spearmanr(x[drawn], expected[drawn]).statistic for x in (new, old)]
        draws.append(rho[0] - rho[1])
    low, high = np.quantile(draws, [0.025, 0.975])
    assert interval.mean == spearman(new, expected) - spearman(old, expected)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.03)
    assert interval.low > 0
    assert spearman_draws(old, old, expected, seed=1)[0].min() == 0


FITS = {
    "adapter": {"objective": "cosine", "epochs": 30, "learning_rate": 0.01},
    "full": {"objective": "cosine", "epochs": 16, "learning_rate": 0.004},
}


def run(  # type: ignore[no-untyped-def]
    place: Workspace, pairs: list[ScoredPair], kind: str = "full", model: str | None = "starter"
):
    config = LoopConfig(kind=kind, fit=FITS[kind])  # type: ignore[arg-type]
    chosen = ModelConfig(name=model) if model else None
    return run_similarity(place, split_scored(pairs, seed=42), config, model=chosen)


@pytest.mark.parametrize("kind", ["adapter", "full"])
def test_training_on_scores_raises_spearman_and_publishes_the_same_collection(
    kind: str, tmp_path: Path, collection: Collection
) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {"table": "pairs.csv"}, model=ModelConfig())
    result = run(place, meanings(), kind)
    before, after = (each.metrics["dense"]["Spearman"] for each in result.rounds)
    assert abs(before) < 0.3
    # One map of bags of letters cannot know what a whole model learns of them.
    assert after > {"adapter": 0.5, "full": 0.6}[kind]
    assert result.test is not None
    gain = result.test.after["dense"]["Spearman"] - result.test.before["dense"]["Spearman"]
    assert gain > {"adapter": 0.25, "full": 0.4}[kind]
    assert result.generation == place.current_name() == "000002"
    manifest = place.current().manifest
    assert manifest["training"] == {
        "run": "run-0001", "round": 1, "kind": kind, "seed": 42, "objective": "cosine",
    }  # fmt: skip
    searcher = Searcher.open(place.folder)
    assert searcher.index.collection == collection
    split = split_scored(meanings(), seed=42)
    train = {question_digest(text) for p in split.only("train") for text in (p.first, p.second)}
    assert searcher.index.trained_on == train
    folder = place.rounds_folder / "run-0001"
    assert [event.name for event in read_events(folder)] == [
        "started", "measured", "trained", "measured", "tested", "published", "ended",
    ]  # fmt: skip
    assert not list(folder.glob("round-*"))
    again = run(place, meanings(), kind, model=None)  # from the base, whatever is published
    assert again.rounds[0].metrics == result.rounds[0].metrics


def test_a_run_on_shuffled_scores_is_dropped(tmp_path: Path, collection: Collection) -> None:
    place = Workspace(tmp_path / "w")
    index_collection(place, collection, {}, model=ModelConfig())
    pairs = meanings()
    scores = [pair.score for pair in pairs]
    random.Random(5).shuffle(scores)
    shuffled = [ScoredPair(p.first, p.second, s) for p, s in zip(pairs, scores, strict=True)]
    result = run(place, shuffled)
    assert not result.rounds[1].kept
    assert result.test is not None
    assert result.test.kept_round == 0
    assert result.generation is result.model is None
    assert place.current_name() == "000001"


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workspace(tmp_path / "w")
    finetune = dotbogi.training.fit.full.finetune

    def cut(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dotbogi.training.fit.full, "finetune", cut)
    with pytest.raises(KeyboardInterrupt):
        run(place, meanings())
    monkeypatch.setattr(dotbogi.training.fit.full, "finetune", finetune)
    result = resume_loop(place)
    assert isinstance(result, RunResult)
    assert result.rounds[1].kept
    assert result.model == str(place.rounds_folder / "run-0001" / "model")
    with pytest.raises(UsageError, match="has ended"):
        resume_loop(place)
    answers = Collection([Answer("a", "가")], [])
    index_collection(place, answers, {}, model=ModelConfig(name=result.model))


def test_the_command_tells_what_was_left_out_and_where_the_model_is(tmp_path: Path) -> None:
    pairs = meanings()
    for name, part in (("train", pairs[:800]), ("test", [*pairs[800:], pairs[0]])):
        frame = pd.DataFrame([(p.first, p.second, p.score * 3) for p in part])
        frame.columns = ["sentence1", "sentence2", "score"]
        frame.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    arguments = [
        "train", tmp_path / "train.tsv", "--objective", "cosine", "--test-table",
        tmp_path / "test.tsv", "--fit", "full", "--epochs", "8", "--learning-rate", "0.003",
        "-w", tmp_path / "w",
    ]  # fmt: skip
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert re.search(r"\d+ pairs left out: .*test table", result.stdout)
    assert "101 test" in result.stdout
    assert "nothing to search yet" in result.stdout
    model = tmp_path / "w" / "rounds" / "run-0001" / "model"
    assert f"dotbogi index TABLE --model {model}" in result.stdout
    assert (model / "modules.json").is_file()
    report = CliRunner().invoke(main, ["report", "-w", str(tmp_path / "w")])
    assert report.exit_code == 2
    assert "a run on scored pairs has no report" in report.stderr
