"""Starts in which remote rows have components to themselves."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.search.initialize import subsample
from skem.core.search.remote import beside_remote


def starts(X, blocks, name, K):
    em = EMMap.prepare(blocks(X), STRUCTURES[name], K, "auto")
    rng = np.random.RandomState(0)
    return em, beside_remote(em, K, rng, subsample(em, K, rng))


def test_remote_rows_have_one_component_or_one_each(structure, make_blocks, rng):
    X = rng.normal(size=(300, 3))
    X[[5, 9]] = [[1e6, 0, 0], [0, -1e6, 1e6]]
    em, found = starts(X, make_blocks, structure.name, 4)
    weights = [np.sort(start.weights)[::-1] for start in found]
    np.testing.assert_allclose([w.sum() for w in weights], 1)
    assert min(weights[0]) == pytest.approx(2 / 300)
    np.testing.assert_allclose(weights[1][2:], 1 / 300)
    where = found[1].means / em.coordinates.scale + em.coordinates.shift
    far = where[np.abs(where).max(axis=1) > 1e5]
    np.testing.assert_allclose(far[far[:, 0].argsort()], X[[9, 5]], atol=1e-3)


def test_without_remote_rows_there_are_none(make_blocks, rng):
    X = rng.normal(size=(300, 3))
    assert starts(X, make_blocks, "full", 3)[1] == []
    X[0] = 1e6
    assert starts(X, make_blocks, "full", 1)[1] == []
    assert len(starts(X, make_blocks, "full", 3)[1]) == 1


def test_others_keep_a_component_where_many_rows_are_remote(make_blocks, rng):
    X = rng.normal(size=(300, 3))
    X[:5] = 1e6 * rng.normal(size=(5, 3))
    em, found = starts(X, make_blocks, "diag", 3)
    assert len(found) == 2
    for start, own in zip(found, (1, 2), strict=True):
        where = start.means / em.coordinates.scale + em.coordinates.shift
        remote = np.abs(where).max(axis=1) > 100
        assert remote.sum() == own
        assert start.weights[remote].sum() == pytest.approx(5 / 300)


def test_remote_rows_on_one_spot_are_one(make_blocks, rng):
    X = rng.normal(size=(300, 3))
    X[:3] = 1e6
    assert len(starts(X, make_blocks, "diag", 3)[1]) == 1


def test_remote_rows_have_their_weight(make_blocks, rng):
    X, weight = rng.normal(size=(300, 3)), np.ones(300)
    X[0], weight[0] = 1e6, 4.0
    _, (start,) = starts(X, lambda X: make_blocks(X, weight), "diag", 2)
    assert min(start.weights) == pytest.approx(4 / 303)


def test_rows_that_are_farther_than_others_are_not_remote(make_blocks, rng):
    X = rng.normal(size=(300, 3))
    X[0] = 20.0
    assert starts(X, make_blocks, "diag", 3)[1] == []


def test_known_rows_say_where_remote_ones_belong(make_blocks, rng):
    X, known = rng.normal(size=(300, 3)), np.full(300, -1)
    X[0], known[:9] = 1e6, 1
    found = starts(X, lambda X: replace(make_blocks(X), known=known), "diag", 3)
    assert found[1] == []
