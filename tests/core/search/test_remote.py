"""Starts in which remote rows have components to themselves."""

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
