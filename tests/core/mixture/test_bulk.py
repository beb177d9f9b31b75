"""Rows that are looked at."""

import numpy as np
import pytest

from skem.core.blocks import arrays
from skem.core.mixture.bulk import RARE, looked_at, without_outliers


@pytest.fixture
def rare(rng):
    """Return 4000 rows of which few have other values, or any, in some features."""
    X = np.c_[rng.normal(size=4000), np.zeros((4000, 3)), np.full(4000, np.nan)]
    X[[5, 2000, 3999], 1] = 1
    X[100:200, 2] = 7
    X[[5, 1000], 3] = -1
    X[[30, 3000], 4] = [2, 3]
    return X


def others(X):
    """Whether rows have another value somewhere."""
    return (X[:, 1:4] != 0).any(axis=1) | ~np.isnan(X[:, 4])


@pytest.mark.parametrize("weighted", [False, True])
def test_rare_values_are_looked_at(weighted, rare, rng, make_blocks, monkeypatch):
    weight = rng.uniform(0.5, 1.5, size=4000) if weighted else None
    blocks = make_blocks(rare, weight)
    # The rows that are looked at are none of these.
    kept = np.setdiff1d(np.arange(4000), np.flatnonzero(others(rare)))[:100]
    monkeypatch.setattr("skem.core.mixture.bulk.rows_looked_at", lambda *_: kept.copy())
    found = looked_at(blocks, 100)
    np.testing.assert_array_equal(found.X[:100], rare[kept])
    more, mass = found.X[100:], found.weight[100:]
    assert len(more) == 3 + RARE + 1 + 2
    v = np.ones(4000) if weight is None else weight
    share = v[kept].sum() / v.sum()
    for name, own, ours in (
        ("of a flag", rare[:, 1] == 1, more[:, 1] == 1),
        ("of too many", rare[:, 2] == 7, more[:, 2] == 7),
        ("where there is one", ~np.isnan(rare[:, 4]), ~np.isnan(more[:, 4])),
    ):
        assert mass[ours].sum() == pytest.approx(share * v[own].sum()), name
    assert np.isin(more[:, 3], [0, -1]).all() and (more[:, 3] == -1).sum() == 2
    # However the rows are cut.
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 4000)
    monkeypatch.setattr(arrays, "MIN_ROWS", 16)
    again = looked_at(make_blocks(rare, weight), 100)
    np.testing.assert_array_equal(again.X, found.X)
    np.testing.assert_allclose(again.weight, found.weight, rtol=1e-13)


def test_nothing_is_added_where_all_values_are_seen(rare, rng, make_blocks):
    assert looked_at(make_blocks(rare)).n_samples == 4000
    X = np.c_[rng.normal(size=(4000, 2)), np.full(4000, 3.0)]
    found = looked_at(make_blocks(X), 100)
    assert found.n_samples == 100 and found.weight is None


def test_outliers_begin_ten_widths_of_the_middle_beyond_it(rng, make_blocks):
    X = rng.normal(size=(500, 1))
    _, low, high = without_outliers(make_blocks(X))
    least, most = np.quantile(X, [0.1, 0.9])
    assert low[0] == pytest.approx(least - 10 * (most - least), rel=0.02)
    assert high[0] == pytest.approx(most + 10 * (most - least), rel=0.02)
