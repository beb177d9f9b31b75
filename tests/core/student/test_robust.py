"""Coordinates of the bulk of data."""

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.bulk import Bulk, without_outliers
from skem.core.student.robust import medians, robust_distances


def test_outliers_change_nothing(rng, make_blocks):
    X = rng.normal(3, 2, (400, 2))
    structure = STRUCTURES["full"]
    alone = Bulk.of(make_blocks(X), structure)
    for far in (1e3, 1e160, 1e300):
        found = Bulk.of(make_blocks(np.vstack([X, [[far, -far]]])), structure)
        assert np.allclose(found.coordinates.shift, alone.coordinates.shift)
        assert np.allclose(found.coordinates.scale, alone.coordinates.scale)
        assert found.blocks.n_samples == 400


@pytest.mark.parametrize("weight", [None, "even", "uneven"])
def test_outliers_are_ten_widths_beyond_the_others(weight, rng, make_blocks):
    """Gaps aside; of a feature that hardly changes, beyond those that have a width."""
    X = np.c_[np.arange(101.0), np.r_[np.zeros(98), 1, 2, 3], np.full(101, 5.0)]
    X = np.vstack([X, np.full((20, 3), np.nan)])
    v = {None: None, "even": np.full(121, 0.5), "uneven": np.ones(121)}[weight]
    if weight == "uneven":
        # As two rows of half the weight.
        X, v = np.vstack([X, X[:1]]), np.r_[0.5, v[1:], 0.5]
    order = rng.permutation(len(X))
    blocks = make_blocks(X[order], None if v is None else v[order])
    _, low, high = without_outliers(blocks)
    np.testing.assert_allclose(low, [10 - 800, 0 - 20, -np.inf])
    np.testing.assert_allclose(high, [90 + 800, 2 + 20, np.inf])


def test_weights_are_repeated_rows(rng, make_blocks):
    X, v = rng.standard_cauchy((100, 2)), rng.integers(0, 4, 100)
    structure = STRUCTURES["diag"]
    weighted = Bulk.of(make_blocks(X, v.astype(float)), structure)
    repeated = Bulk.of(make_blocks(np.repeat(X, v, axis=0)), structure)
    assert np.allclose(weighted.coordinates.scale, repeated.coordinates.scale)
    assert np.allclose(weighted.low, repeated.low)


def test_many_features_leave_rows(rng, make_blocks):
    # Hardly a row has no outlier: values are moved, and no rows left out.
    X = rng.standard_cauchy((300, 400))
    found = Bulk.of(make_blocks(X), STRUCTURES["diag"])
    assert found.blocks.n_samples == 300
    assert (found.coordinates.scale > 1e-3).all()


def test_features_of_hardly_any_width(make_blocks):
    X = np.c_[np.arange(100.0), np.full(100, 7.0), np.r_[np.zeros(99), 1e3]]
    found = Bulk.of(make_blocks(X), STRUCTURES["diag"])
    assert np.isfinite(found.coordinates.scale).all()
    assert found.blocks.n_samples == 100


def test_medians_have_half_of_the_weight():
    values = np.array([[3.0, 1.0, 2.0], [5.0, 9.0, 7.0]])
    assert medians(values, np.array([1.0, 1.0, 5.0])).tolist() == [2, 7]
    assert medians(values, np.array([1.0, 5.0, 1.0])).tolist() == [1, 9]
    assert medians(values, np.array([2.0, 1.0, 1.0])).tolist() == [2, 5]
    assert medians(values, np.ones(3)).tolist() == [2, 7]
    assert medians(values[:, :2], np.full(2, 0.1)).tolist() == [1, 5]


@pytest.mark.parametrize("weight", [np.ones(60), np.repeat([1.0, 2.0, 0.0], 20)])
def test_distances_take_weights_for_repeated_rows(weight, rng):
    Z = rng.normal(size=(60, 3)).round(1)
    squares = np.full((3, 60), 0.01)
    repeated = np.repeat(np.arange(60), weight.astype(int))
    resp = (np.arange(60) % 2 == np.arange(2)[:, None]) * 1.0
    found = robust_distances(Z, resp * weight, squares)[:, repeated]
    expected = robust_distances(Z[repeated], resp[:, repeated], squares[:, repeated])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_distances_do_not_go_by_outliers(rng):
    Z = rng.normal(size=(500, 2))
    Z[:20] = 1e100
    resp = np.stack([np.ones(500), np.zeros(500)])
    near, empty = robust_distances(Z, resp, None)
    assert near[20:].mean() == pytest.approx(2, rel=0.2)
    assert (near[:20] > 1e190).all() and not empty.any()
