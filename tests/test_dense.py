from pathlib import Path

import faiss
import numpy as np
import pytest

from dotbogi.indexes.dense import DenseIndex, DenseKind, Vectors
from dotbogi.indexes.errors import DamagedError, UsageError
from dotbogi.indexes.views import View
from dotbogi.search.encoders import unit_rows


@pytest.fixture
def vectors() -> Vectors:
    return unit_rows(np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32))


def test_exact_search_equals_brute_force(vectors: Vectors) -> None:
    queries = vectors[:20] + 0.1
    scores, rows, _ = DenseIndex.build(vectors).search(queries, 10)
    products = queries @ vectors.T
    expected = np.argsort(-products, axis=1)[:, :10]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(products, expected, 1), atol=1e-5)


@pytest.mark.parametrize("dim", [24, 32, 384])
@pytest.mark.parametrize("share", [1, 0.5])
def test_a_scan_of_bytes_finds_what_a_scan_of_all_vectors_finds(dim: int, share: float) -> None:
    rng = np.random.default_rng(dim)
    vectors = unit_rows(rng.standard_normal((9000, dim), dtype=np.float32))
    vectors[::100] = vectors[0]  # equal texts
    vectors[1] = 0  # an empty one
    queries = unit_rows(vectors[rng.integers(9000, size=40)] + 0.1)
    index = DenseIndex.build(vectors)
    index.prepare()
    assert index._codes
    among = None if share == 1 else np.flatnonzero(rng.random(9000) < share)
    products = queries.astype(np.float64) @ vectors.astype(np.float64).T
    if among is not None:
        products[:, np.setdiff1d(np.arange(9000), among)] = -np.inf
    for number, query in enumerate(queries):
        scores, rows, errors = (part[0] for part in index.search(query[np.newaxis], 200, among))
        assert (np.abs(scores - products[number, rows]) <= errors).all()
        assert np.delete(products[number], rows).max() <= scores[-1] + errors
        view = View([str(row) for row in range(9000)], np.arange(9000), dense=index)
        allowed = None if among is None else np.isin(np.arange(9000), among)
        best = view.best_dense(query[np.newaxis], 50, allowed)[0]
        expected = np.lexsort((np.arange(9000), -products[number].astype(np.float32)))[:50]
        np.testing.assert_array_equal(best.rows, expected)


def test_many_nearly_equal_vectors_are_told_apart() -> None:
    """More than are fetched lie closer to each other than rounding moves them."""
    rng = np.random.default_rng(0)
    near = rng.standard_normal((1, 384)) + 0.01 * rng.standard_normal((9000, 384))
    vectors = unit_rows(near.astype(np.float32))
    index = DenseIndex.build(vectors)
    index.prepare()
    view = View([str(row) for row in range(9000)], np.arange(9000), dense=index)
    best = view.best_dense(vectors[:1], 100)[0]
    products = (vectors.astype(np.float64) @ vectors[0].astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(best.rows, np.lexsort((np.arange(9000), -products))[:100])


def test_hnsw_finds_nearly_what_exact_search_finds(vectors: Vectors) -> None:
    exact = DenseIndex.build(vectors).search(vectors, 10).rows
    approximate = DenseIndex.build(vectors, "hnsw").search(vectors, 10).rows
    shared = [len(set(a) & set(b)) for a, b in zip(exact, approximate, strict=True)]
    assert np.mean(shared) >= 9.5


def test_recall_is_the_share_of_the_nearest_rows_that_are_fetched(vectors: Vectors) -> None:
    index = DenseIndex.build(vectors, "hnsw")
    nearest = np.argsort(-(vectors @ vectors.T), axis=1)[:, :10]
    for fetched in (3, 10, 40):
        found = index.search(vectors, fetched).rows
        shares = [len({*a} & {*b}) / 10 for a, b in zip(nearest, found, strict=True)]
        assert index.recall(vectors, 10, fetched) == pytest.approx(np.mean(shares), abs=0.001)
    assert DenseIndex.build(vectors).recall(vectors, 10, 10) == 1
    assert DenseIndex.build(vectors[:3], "hnsw").recall(vectors[:2], 10, 300) == 1


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_more_rows_asked_than_there_are_gives_them_all(kind: DenseKind, vectors: Vectors) -> None:
    rows = DenseIndex.build(vectors[:3], kind).search(vectors[:1], 10).rows
    assert sorted(rows[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_an_empty_index_finds_nothing(kind: DenseKind, vectors: Vectors) -> None:
    scores, rows, _ = DenseIndex.build(vectors[:0], kind).search(vectors[:2], 5)
    assert scores.shape == rows.shape == (2, 0)


def test_a_wrong_dimension_says_both(vectors: Vectors) -> None:
    with pytest.raises(UsageError, match=r"16-dimensional.*\(2, 8\)"):
        DenseIndex.build(vectors).search(vectors[:2, :8], 5)


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_saved_index_opens_equal(tmp_path: Path, kind: DenseKind, vectors: Vectors) -> None:
    built = DenseIndex.build(vectors, kind)
    built.save(tmp_path / "i.faiss")
    opened = DenseIndex.open(tmp_path / "i.faiss", kind)
    for found, expected in zip(opened.search(vectors, 10), built.search(vectors, 10), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_truncated_file_is_damaged(tmp_path: Path, vectors: Vectors) -> None:
    path = tmp_path / "i.faiss"
    DenseIndex.build(vectors).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedError, match="cannot be read"):
        DenseIndex.open(path, "exact")


def test_a_query_takes_one_thread_and_leaves_the_callers_setting(vectors: Vectors) -> None:
    """Threads of OpenMP doubled the time of a query; a batch has them."""
    index = DenseIndex.build(vectors)
    before = faiss.omp_get_max_threads()
    used: list[int] = []
    inner = index._index

    class Spy:
        d, ntotal = inner.d, inner.ntotal

        def search(self, *arguments: object, **options: object) -> object:
            used.append(faiss.omp_get_max_threads())
            return inner.search(*arguments, **options)

    faiss.omp_set_num_threads(3)
    try:
        index._index = Spy()
        index.search(vectors[:1], 2)
        index.search(np.repeat(vectors, 10, axis=0)[:40], 2)
        assert used == [1, 3]
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)
