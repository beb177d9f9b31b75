"""Rows in the order of what they lack."""

import numpy as np
import pytest

from skem.core.incomplete.patterns import Patterns, distinct_rows


@pytest.mark.parametrize("d", [1, 5, 64, 65, 130])
def test_patterns_group_equal_columns(d, rng):
    missing = rng.random((d, 12)) < 0.5
    missing[:, 3] = False
    missing = missing[:, rng.integers(12, size=200)]
    patterns = Patterns.of(missing)
    assert sorted(patterns.order) == list(range(200))
    assert not missing.any(axis=0).any() or patterns.observed[0].all()
    assert len(np.unique(patterns.observed, axis=0)) == len(patterns.observed)
    np.testing.assert_array_equal(
        missing[:, patterns.order], ~patterns.observed[patterns.of_row].T
    )
    # Of rows of one pattern the order is that of the data.
    for observed, rows in patterns:
        assert (missing[:, rows] != observed[:, None]).all()
        assert (np.diff(rows) > 0).all()
    assert sum(len(rows) for _, rows in patterns) == 200


@pytest.mark.parametrize("most", [1, 7, 64, 1000])
def test_pieces_are_the_patterns_in_parts(most, rng):
    missing = rng.random((3, 100)) < 0.4
    patterns = Patterns.of(missing)
    parts = list(patterns.pieces(most))
    np.testing.assert_array_equal(
        np.concatenate([part.order for part in parts]), patterns.order
    )
    for part in parts:
        assert 0 < len(part.order) <= most
        assert (part.counts > 0).all()
        np.testing.assert_array_equal(
            missing[:, part.order], ~part.observed[part.of_row].T
        )


def test_no_rows_have_no_patterns():
    patterns = Patterns.of(np.empty((2, 0), bool))
    assert len(patterns.observed) == len(patterns.counts) == 0
    assert list(patterns) == list(patterns.pieces(64)) == []


def test_distinct_rows_take_gaps_for_a_value(rng):
    X = rng.integers(3, size=(200, 2)).astype(float)
    X[rng.random(X.shape) < 0.3] = np.nan
    distinct, inverse = distinct_rows(X)
    np.testing.assert_array_equal(distinct[inverse], X)
    assert len(distinct) == len({tuple(map(str, row)) for row in X})


@pytest.mark.parametrize("alike", ["rows", "first columns", "values", "none"])
@pytest.mark.parametrize("d", [1, 3, 40])
def test_distinct_rows_are_those_of_numpy(rng, alike, d):
    X = rng.integers(3, size=(60, d)).astype(float)[rng.integers(60, size=200)]
    if alike == "first columns":
        X[:, :35] = 0
    elif alike == "values":
        X = np.maximum(rng.normal(size=(200, d)), 0)
    elif alike == "none":
        X[:, 0] = rng.normal(size=200)
    expected = np.unique(X, axis=0, return_inverse=True)
    for found, its in zip(distinct_rows(X), expected, strict=True):
        np.testing.assert_array_equal(found, its.reshape(found.shape))
