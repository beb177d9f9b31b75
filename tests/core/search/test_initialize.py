"""Starts: valid, reproducible, and from rows that count."""

from types import SimpleNamespace

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.em import EMMap
from skem.core.mixture.problem import STARTING_NOISE
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search import initialize as initialize_module
from skem.core.search.initialize import (
    initialize,
    of_known,
    subsample,
    without_noise,
)

K = 3
# Which rows are taken does not hang on the structure.
FULL = STRUCTURES["full"]


@pytest.fixture(params=INITIALIZERS)
def method(request):
    return request.param


@pytest.fixture
def small_subsample(monkeypatch):
    monkeypatch.setattr(initialize_module, "SEED_ROWS", 40)
    monkeypatch.setattr(initialize_module, "SEED_ROWS_PER_COMPONENT", 1)
    return 40


def prepared(blocks, structure, n_components=K):
    return EMMap.prepare(blocks, structure, n_components, "auto")


def start_of(blocks, structure, method, seed=0, n_components=K):
    em = prepared(blocks, structure, n_components)
    return initialize(
        em, INITIALIZERS[method], n_components, np.random.RandomState(seed)
    )


def assert_valid(parameters, structure, shape):
    K, d = shape
    assert parameters.shape == shape
    assert parameters.weights.shape == (K,)
    assert (parameters.weights >= 0).all()
    np.testing.assert_allclose(parameters.weights.sum(), 1, rtol=1e-12)
    assert np.isfinite(parameters.means).all()
    assert parameters.precisions_cholesky.shape == structure.shape(K, d)
    assert np.isfinite(parameters.precisions_cholesky).all()
    sd = structure.standard_deviations(parameters.precisions_cholesky, shape)
    assert (sd > 0).all()
    assert np.isfinite(sd).all()


def assert_equal(first, second):
    for a, b in zip(vars(first).values(), vars(second).values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.each_pair
@pytest.mark.parametrize("weighted", [False, True])
def test_start_is_valid(structure, method, weighted, make_blocks, rng):
    X = rng.standard_normal((50, 2)) * [1, 1e4]
    weight = rng.integers(0, 3, size=50).astype(float) if weighted else None
    start = start_of(make_blocks(X, weight), structure, method)
    assert_valid(start, structure, (K, 2))
    # Means of standardised rows.
    assert np.abs(start.means).max() < 5


def test_same_seed_gives_the_same_start(method, make_blocks, rng):
    blocks = make_blocks(rng.standard_normal((50, 2)))
    start = start_of(blocks, FULL, method, seed=3)
    assert_equal(start, start_of(blocks, FULL, method, seed=3))
    other = start_of(blocks, FULL, method, seed=4)
    assert not np.array_equal(start.means, other.means)


@pytest.mark.each_value
def test_units_do_not_change_the_start(structure, method, make_blocks, rng):
    X = rng.standard_normal((50, 2))
    start = start_of(make_blocks(X), structure, method)
    factor = np.array([2.0**20, 2.0**-20] if structure.scales_features else [2.0**20])
    scaled = start_of(make_blocks(X * factor), structure, method)
    np.testing.assert_allclose(scaled.means, start.means, rtol=1e-9, atol=1e-12)


@pytest.mark.each_pair
@pytest.mark.parametrize("distinct", [1, 2])
def test_fewer_distinct_rows_than_components(
    structure, method, distinct, make_blocks, rng
):
    X = np.repeat(rng.standard_normal((distinct, 2)), 10, axis=0)
    start = start_of(make_blocks(X), structure, method, n_components=4)
    assert_valid(start, structure, (4, 2))


def test_as_many_rows_as_components(structure, method, make_blocks, rng):
    X = rng.standard_normal((K, 2))
    assert_valid(start_of(make_blocks(X), structure, method), structure, (K, 2))


def test_subsample_is_drawn_without_replacement_in_order(
    small_subsample, make_blocks, rng
):
    X = rng.standard_normal((300, 2))
    em = prepared(make_blocks(X), FULL)
    _, Z, weight, *_ = subsample(em, K, np.random.RandomState(0))
    everything = em.coordinates.load(X.T, np.empty((2, 300))).T
    rows = [int(np.flatnonzero((everything == z).all(axis=1))[0]) for z in Z]
    assert len(rows) == small_subsample
    assert sorted(set(rows)) == rows
    np.testing.assert_array_equal(weight, 1)


def test_memmap_gives_the_start_of_an_array(
    method, small_subsample, make_blocks, tmp_path, rng
):
    X = rng.standard_normal((300, 2))
    mapped = np.memmap(tmp_path / "X", dtype=float, mode="w+", shape=X.shape)
    mapped[:] = X
    expected = start_of(make_blocks(X), FULL, method)
    assert_equal(start_of(make_blocks(mapped), FULL, method), expected)
    fortran = np.asfortranarray(X)
    assert_equal(start_of(make_blocks(fortran), FULL, method), expected)


@pytest.mark.parametrize("n_samples", [50, 300])
def test_rows_of_weight_zero_are_never_chosen(
    method, n_samples, small_subsample, make_blocks, rng
):
    X = rng.standard_normal((n_samples, 2))
    weight = rng.integers(0, 2, size=n_samples).astype(float)
    expected = start_of(make_blocks(X, weight), FULL, method)
    X[weight == 0] = 1e6
    assert_equal(start_of(make_blocks(X, weight), FULL, method), expected)


def test_weight_zero_is_as_if_the_row_were_not_there(method, make_blocks, rng):
    X, weight = rng.standard_normal((50, 2)), rng.uniform(0.5, 2, size=50)
    weight[::4] = 0
    kept = weight > 0
    start = start_of(make_blocks(X, weight), FULL, method)
    assert_equal(start, start_of(make_blocks(X[kept], weight[kept]), FULL, method))


def test_labels_give_the_moments_of_each_group(structure, make_blocks, rng):
    X, labels = rng.standard_normal((60, 2)), rng.integers(0, K, size=60)
    em = prepared(make_blocks(X), structure)
    Z = em.coordinates.load(X.T, np.empty((2, 60))).T
    resp = (labels == np.arange(K)[:, None]).astype(float)
    statistics = Statistics.of_labels(structure.quadratic, Z, resp)
    np.testing.assert_array_equal(statistics.counts, np.bincount(labels))
    means = [Z[labels == k].mean(axis=0) for k in range(K)]
    np.testing.assert_allclose(statistics.means, means, rtol=1e-12, atol=1e-13)
    scatter = [np.cov(Z[labels == k].T, ddof=0) * sum(labels == k) for k in range(K)]
    packed = [
        structure.quadratic.weighted_sum(np.linalg.cholesky(matrix), np.ones(2))
        for matrix in scatter
    ]
    np.testing.assert_allclose(
        structure.quadratic.pack(statistics.scatter().values), packed, rtol=1e-11
    )


def test_integer_weights_are_repeated_rows_from_given_labels(
    structure, make_blocks, rng
):
    X, weight = rng.standard_normal((60, 2)), rng.integers(0, 4, size=60)

    def by_place(Z, weight, K, rng):
        labels = np.digitize(Z[:, 0], [-0.5, 0.5])
        return (labels == np.arange(K)[:, None]).astype(float)

    weighted, repeated = (
        initialize(prepared(blocks, structure), by_place, K, np.random.RandomState(0))
        for blocks in (
            make_blocks(X, weight.astype(float)),
            make_blocks(np.repeat(X, weight, axis=0)),
        )
    )
    for a, b in zip(vars(weighted).values(), vars(repeated).values(), strict=True):
        # Sums of a hundred numbers of order one in another order.
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_starting_methods_see_the_weights_of_the_rows(make_blocks, rng):
    X, weight = rng.standard_normal((60, 2)), rng.uniform(0.5, 2, size=60)
    seen = []

    def noted(Z, weight, K, rng):
        seen.append(weight)
        return rng.dirichlet(np.ones(K), len(Z)).T

    em = prepared(make_blocks(X, weight), FULL)
    initialize(em, noted, K, np.random.RandomState(0))
    np.testing.assert_array_equal(seen, [weight])


def labels_of_known(Z, weight, known, seed=0):
    rows = SimpleNamespace(block=SimpleNamespace(known=np.array(known)))
    Z, weight = np.array(Z, float)[:, None], np.array(weight, float)
    return of_known(rows)(Z, weight, K, np.random.RandomState(seed))


def test_rows_of_each_component_are_a_start_without_others():
    resp = labels_of_known([0, 1, 2, 5, 9], np.ones(5), [0, 1, 2, -1, -1])
    np.testing.assert_array_equal(resp, np.eye(3, 5))


def test_other_components_begin_far_from_known_rows_and_each_other():
    Z = np.concatenate([np.zeros(20), np.full(5, 9.0), np.full(5, -9.0)])
    known = np.r_[np.zeros(10, int), np.full(20, -1)]
    for seed in range(5):
        resp = labels_of_known(Z, np.ones(30), known, seed)
        np.testing.assert_array_equal(resp.sum(axis=0), 1)
        labels = resp.argmax(axis=0)
        assert (labels[:20] == 0).all()
        assert len({*labels[20:25]}) == len({*labels[25:]}) == 1
        assert {labels[20], labels[25]} == {1, 2}


def test_heavy_rows_decide_where_known_components_are_and_others_begin():
    # The mean of the first two is nearly 0, not 5, and the third begins at −3, not 30.
    Z, known = [0, 10, 9.5, 6, -3, 30], [0, 0, 1, -1, -1, -1]
    resp = labels_of_known(Z, [1e9, 1, 1, 1, 1e9, 1], known)
    np.testing.assert_array_equal(resp.argmax(axis=0), [0, 0, 1, 1, 2, 1])


def test_components_without_rows_stay_empty():
    resp = labels_of_known([0, 1, 2], np.ones(3), [0, 1, 1])
    np.testing.assert_array_equal(resp, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    # A row without weight says nothing of where its component is.
    resp = labels_of_known([0, 1, 2, 5], [1, 0, 1, 1], [0, 1, 2, -1])
    np.testing.assert_array_equal(resp.sum(axis=0), 1)


def test_known_rows_on_one_spot_with_all_others_are_a_start():
    resp = labels_of_known(np.zeros(6), np.ones(6), [0, 0, -1, -1, -1, -1])
    np.testing.assert_array_equal(resp.sum(axis=0), 1)


def with_noise(blocks, n_components=K):
    return EMMap.prepare(blocks, FULL, n_components, "auto", noise=True)


def test_noise_begins_with_the_rows_far_from_others_or_with_none(make_blocks, rng):
    X = np.vstack([rng.normal(size=(180, 2)), rng.uniform(-99, 99, (20, 2))])
    weight = np.repeat([1.0, 2.0], [180, 20])
    em = with_noise(make_blocks(X, weight), 1)
    starts = [
        initialize(em, INITIALIZERS["kmeans"], 1, np.random.RandomState(seed))
        for seed in range(12)
    ]
    weights = np.array([float(start.noise_weight) for start in starts])
    far = np.isclose(weights, 40 / 220)
    np.testing.assert_allclose(weights[~far], STARTING_NOISE)
    assert 0 < far.sum() < 12


def test_rows_that_are_no_noise_are_enough_for_the_components(make_blocks, rng):
    X = np.vstack([rng.integers(0, 2, (180, 2)), rng.uniform(-99, 99, (20, 2))])
    em = with_noise(make_blocks(X))
    rows = subsample(em, K, np.random.RandomState(0))
    # There are four values of which many rows are.
    assert without_noise(em, rows, 4, np.random.RandomState(0)).kept is not None
    assert without_noise(em, rows, 100, np.random.RandomState(0)).kept is None
