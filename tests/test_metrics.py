import math
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotbogi.indexes.hits import Candidate
from dotbogi.training.measure.bootstrap import paired_bootstrap
from dotbogi.training.measure.evaluation import Query, evaluation_of
from dotbogi.training.measure.metrics import METRICS, ndcg_at, recall_at, reciprocal_rank_at
from dotbogi.training.measure.trec import write_trec

THEIRS = {
    "recall@1": ir_measures.R @ 1,
    "recall@5": ir_measures.R @ 5,
    "recall@10": ir_measures.R @ 10,
    "MRR@10": ir_measures.RR @ 10,
    "nDCG@10": ir_measures.nDCG @ 10,
}
ids = st.sampled_from([f"a{n:02}" for n in range(20)])
# Few distinct scores, so that most rankings have ties; some queries have no hits at all.
rankings = st.dictionaries(ids, st.sampled_from([0.0, 0.25, 0.5, 1 / 3, 1e-9, -1.0]), max_size=15)
grades = st.dictionaries(ids, st.integers(1, 3), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(rankings, grades), min_size=1, max_size=5))
def test_metrics_equal_ir_measures_on_the_files_we_write(
    tmp_path_factory: pytest.TempPathFactory, cases: list[tuple[dict[str, float], dict[str, int]]]
) -> None:
    queries = [Query(f"q{n}", "", graded) for n, (_, graded) in enumerate(cases)]
    run = [
        [
            Candidate(answer_id, score)
            for answer_id, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        ]
        for scores, _ in cases
    ]
    evaluation = evaluation_of(queries, {"hybrid": run})
    folder = tmp_path_factory.mktemp("trec")
    write_trec(evaluation, "hybrid", folder / "run.trec")
    qrels = list(ir_measures.read_trec_qrels(str(folder / "qrels.trec")))
    written = list(ir_measures.read_trec_run(str(folder / "run.trec")))
    for name, measure in THEIRS.items():
        theirs = {value.query_id: value.value for value in measure.iter_calc(qrels, written)}
        ours = evaluation.scores["hybrid"][name]
        for query, value in zip(queries, ours, strict=True):
            assert value == pytest.approx(theirs.get(query.id, 0.0), abs=1e-12), (name, query)


def test_metrics_by_hand() -> None:
    ranking, graded = ["a", "b", "c", "d"], {"b": 1, "d": 1, "z": 1}
    assert recall_at(2, ranking, graded) == 1 / 3
    assert reciprocal_rank_at(10, ranking, graded) == 1 / 2
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at(10, ranking, graded) == pytest.approx(
        (1 / math.log2(3) + 1 / math.log2(5)) / ideal
    )


def test_a_query_without_hits_scores_zero() -> None:
    assert [f(10, [], {"a": 1}) for f in (recall_at, reciprocal_rank_at, ndcg_at)] == [0, 0, 0]


def test_every_metric_that_is_reported_has_an_oracle() -> None:
    assert set(METRICS) == set(THEIRS)


def test_bootstrap_of_a_constant_gain_is_that_gain() -> None:
    interval = paired_bootstrap([0.6] * 50, [0.5] * 50, seed=0)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.1, 0.1, 0.1))


def test_bootstrap_interval_is_that_of_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    gains = rng.normal(0.02, 0.2, 2000)
    interval = paired_bootstrap(gains.tolist(), [0.0] * 2000, seed=1)
    half = 1.96 * gains.std() / math.sqrt(2000)
    assert interval.low == pytest.approx(gains.mean() - half, abs=1e-3)
    assert interval.high == pytest.approx(gains.mean() + half, abs=1e-3)


def test_bootstrap_of_noise_holds_zero_and_is_seeded() -> None:
    rng = np.random.default_rng(3)
    new, old = rng.random(200).tolist(), rng.random(200).tolist()
    interval = paired_bootstrap(new, old, seed=7)
    assert interval.low < 0 < interval.high
    assert interval == paired_bootstrap(new, old, seed=7)


def test_run_file_keeps_the_order_of_ties(tmp_path: Path) -> None:
    run = [[Candidate("a", 0.5), Candidate("b", 0.5), Candidate("c", 0.5)]]
    queries = [Query("q0", "", {"c": 1})]
    write_trec(evaluation_of(queries, {"bm25": run}), "bm25", tmp_path / "run.trec")
    scores = [float(line.split()[4]) for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert scores[0] > scores[1] > scores[2]


def test_white_space_in_ids_does_not_break_the_columns(tmp_path: Path) -> None:
    run = [[Candidate("id with space", 0.5)]]
    queries = [Query("q0", "", {"id with space": 1})]
    write_trec(evaluation_of(queries, {"bm25": run}), "bm25", tmp_path / "run.trec")
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels.trec")))
    written = list(ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    assert ir_measures.calc_aggregate([ir_measures.RR @ 10], qrels, written) == {
        ir_measures.RR @ 10: 1.0
    }
