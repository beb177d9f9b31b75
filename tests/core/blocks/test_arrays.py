"""Cutting and folding: the cut, the order, and that neither changes a result."""

import numpy as np
import pytest

from skem.core.blocks import arrays as blocks_module
from skem.core.blocks.arrays import ArrayBlocks, Block
from skem.core.blocks.threads import Workers
from skem.core.mixture.em import EMMap


@pytest.fixture
def small_blocks(monkeypatch):
    """Return a function that limits blocks to a number of rows."""

    def limit(rows):
        monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1)
        monkeypatch.setattr(blocks_module, "MIN_ROWS", rows)

    return limit


@pytest.mark.parametrize("n_samples", [1, 6, 7, 8, 100])
@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_cover_every_row_once_in_order(
    n_samples, weighted, small_blocks, make_blocks
):
    small_blocks(7)
    X = np.arange(2.0 * n_samples).reshape(n_samples, 2)
    weight = np.arange(float(n_samples)) if weighted else None
    blocks = make_blocks(X, weight)
    cut = [blocks.block(*edges) for edges in blocks.cuts(3)]
    n_blocks = len(cut)
    assert -(-n_samples // 7) <= n_blocks <= max(2 * (-(-n_samples // 7) - 1), 1)
    assert [cut[0].start, *(block.stop for block in cut)] == [
        *(block.start for block in cut),
        n_samples,
    ]
    np.testing.assert_array_equal(np.hstack([block.data for block in cut]).T, X)
    for block in cut:
        assert block.data.shape[1] <= 7
        assert np.shares_memory(block.data, X)
        if weighted:
            np.testing.assert_array_equal(
                block.weight, weight[block.start : block.stop]
            )
        else:
            assert block.weight is None


def test_block_size_follows_the_work_on_a_sample(make_blocks, monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 8 * 1000)
    monkeypatch.setattr(blocks_module, "MIN_ROWS", 1)
    X = np.zeros((1000, 1))
    assert len(make_blocks(X).cuts(1)) == 1
    assert len(make_blocks(X).cuts(10)) == 16
    assert len(make_blocks(X.astype(np.float32)).cuts(10)) == 8


def test_threads_have_about_as_many_blocks_each(make_blocks, monkeypatch):
    monkeypatch.setattr(blocks_module, "MIN_ROWS", 1)
    X = np.zeros((1_000_000, 1))
    for n_bytes in (10**5, 3 * 10**5, 7 * 10**5, 10**6, 5 * 10**6):
        monkeypatch.setattr(blocks_module, "BLOCK_BYTES", n_bytes)
        n_blocks = len(make_blocks(X).cuts(1))
        groups = min(n_blocks, blocks_module.GROUPS)
        assert n_blocks * n_bytes >= X.nbytes
        assert n_blocks % groups == 0
        assert groups & (groups - 1) == 0


def test_work_that_fits_a_block_is_shared_if_it_takes_long(make_blocks):
    few = blocks_module.WORTH_A_THREAD // 10
    assert len(make_blocks(np.zeros((few, 1))).cuts(10)) == 1
    assert len(make_blocks(np.zeros((2 * few, 1))).cuts(10)) == 2
    assert len(make_blocks(np.zeros((2 * few, 1))).cuts(1)) == 1


def test_map_yields_in_order(make_blocks, small_blocks):
    small_blocks(5)
    X = np.arange(103.0)[:, None]
    starts = make_blocks(X).map(lambda block, workspace: block.start, 1)
    assert list(starts) == [start for start, _ in make_blocks(X).cuts(1)]


def test_fold_sees_the_rows_of_positive_weight(make_blocks, small_blocks, rng):
    small_blocks(5)
    X, weight = rng.standard_normal((40, 2)), rng.integers(0, 3, size=40) / 2
    weight[5:10] = 0  # a block without any

    def kernel(block, workspace):
        assert (block.weight > 0).all()
        return block.data @ block.weight

    total = make_blocks(X, weight).fold(kernel, 1)
    np.testing.assert_allclose(total, X.T @ weight, rtol=1e-12)


def test_total_weight(make_blocks):
    X = np.zeros((4, 1))
    assert make_blocks(X).total_weight == 4
    assert make_blocks(X, np.array([0.5, 0, 1, 2])).total_weight == 3.5


@pytest.mark.parametrize("dtype", ["f4", "i8", "?", ">f8", ">u2", "f2"])
def test_weights_of_any_type_reach_the_kernel_in_float64(
    dtype, make_blocks, small_blocks
):
    small_blocks(5)
    weight = (np.arange(23) % 3).astype(dtype)
    blocks = make_blocks(np.zeros((23, 1)), weight)
    cut = [blocks.block(*edges).weight for edges in blocks.cuts(1)]
    assert {part.dtype.str for part in cut} == {np.dtype(float).str}
    np.testing.assert_array_equal(np.concatenate(cut), weight)
    assert blocks.total_weight == weight.astype(float).sum()
    assert blocks.take(np.array([1, 4])).weight.dtype == float


def test_float64_weights_are_not_copied(make_blocks, small_blocks):
    small_blocks(5)
    weight = np.arange(23.0)
    blocks = make_blocks(np.zeros((23, 1)), weight)
    for edges in blocks.cuts(1):
        assert np.shares_memory(blocks.block(*edges).weight, weight)


@pytest.mark.parametrize("searched", [1, 7, 1000])
@pytest.mark.parametrize("most", [0, 1, 20, 1000])
def test_random_rows_are_those_of_positive_weight_by_rank(
    searched, most, make_blocks, rng, monkeypatch
):
    monkeypatch.setattr(blocks_module, "SEARCHED", searched)
    weight = np.where(rng.random(100) < 0.3, rng.random(100), 0)
    weight[:20] = 0  # parts without any
    positive = np.flatnonzero(weight)
    rows = make_blocks(np.zeros((100, 1)), weight).random_rows(
        most, np.random.RandomState(0)
    )
    assert len(rows) == min(most, len(positive))
    ranks = make_blocks(np.zeros((len(positive), 1))).random_rows(
        most, np.random.RandomState(0)
    )
    np.testing.assert_array_equal(rows, positive[ranks])


@pytest.mark.parametrize("n_samples", [12, 30])
def test_every_subset_of_rows_is_as_likely_as_any_other(n_samples, make_blocks):
    blocks, most = make_blocks(np.zeros((n_samples, 1))), 5
    rng, draws = np.random.RandomState(0), 4000
    counts = np.zeros((n_samples, n_samples))
    for _ in range(draws):
        rows = blocks.random_rows(most, rng)
        assert len(rows) == most
        assert (np.diff(rows) > 0).all()
        counts[np.ix_(rows, rows)] += 1
    single = np.diag(counts)
    pairs = counts[np.triu_indices(n_samples, 1)]
    for found, share in [
        (single, most / n_samples),
        (pairs, most * (most - 1) / (n_samples * (n_samples - 1))),
    ]:
        # Five standard deviations of a binomial, for each of up to 435 counts.
        sd = np.sqrt(draws * share * (1 - share))
        np.testing.assert_allclose(found, draws * share, atol=5 * sd)


def test_exception_in_a_kernel_propagates(make_blocks, small_blocks):
    small_blocks(5)

    def kernel(block, workspace):
        if block.start >= 50:
            raise KeyError(block.start)
        return 1

    with pytest.raises(KeyError, match="50"):
        make_blocks(np.zeros((100, 1))).fold(kernel, 1)


def step(X, weight, mixture):
    """Objective, statistics and EM successor at a mixture's parameters."""
    with Workers() as workers:
        dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
        blocks = ArrayBlocks(X, weight, workers, dtype)
        em = EMMap.prepare(blocks, mixture.structure, len(mixture.dense), "auto")
        inward = em.coordinates.inward(mixture.structure, mixture.parameters)
        evaluation = em.evaluate(inward)
        return (
            np.asarray(evaluation.objective),
            evaluation.statistics.sums,
            *vars(evaluation.successor).values(),
        )


@pytest.mark.each_value
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_number_of_threads_changes_no_bit(
    structure, dtype, make_mixture, small_blocks, blas_threads, rng
):
    small_blocks(16)
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(300, rng).astype(dtype)
    weight = rng.integers(0, 3, size=300).astype(float)
    with blas_threads(1):
        alone = step(X, weight, mixture)
    with blas_threads(2):
        together = step(X, weight, mixture)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rows", [1, 16])
def test_block_size_changes_nothing_but_rounding(
    structure, rows, make_mixture, small_blocks, rng
):
    mixture = make_mixture(structure, 3, 2)
    X, weight = mixture.sample(200, rng), rng.integers(0, 3, size=200).astype(float)
    whole = step(X, weight, mixture)
    small_blocks(rows)
    cut = step(X, weight, mixture)
    for a, b in zip(whole, cut, strict=True):
        # Sums of 200 terms, of which some cancel.
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_each_sample_weighs_one_if_there_are_no_weights(rng):
    data, weight = rng.normal(size=(2, 3)), np.array([0.5, 0.0, 2.0])
    plain, weighted = Block(0, 3, data, None), Block(0, 3, data, weight)
    np.testing.assert_array_equal(plain.weight_of_each, np.ones(3))
    assert plain.total_weight == 3
    np.testing.assert_array_equal(weighted.weight_of_each, weight)
    assert weighted.total_weight == 2.5
