"""Compiled coordinates against those of NumPy."""

import numpy as np
import pytest

from skem.core.bayes.em import Beliefs, VariationalMap
from skem.core.gaussian.chart import Chart
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.posterior import WEIGHT_PRIORS
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize
from skem.kernels import native
from skem.kernels.native import MOST_FEATURES

pytestmark = pytest.mark.skipif(
    native.library() is None, reason="there is no compiled pass"
)


def in_numpy(em, base):
    chart = em.chart(base)
    chart.__dict__["_packer"] = None
    return chart


def assert_same_coordinates(em, base, other, rng):
    fast, slow = em.chart(base), in_numpy(em, base)
    expected = slow.pack(other)
    np.testing.assert_allclose(fast.pack(other), expected, rtol=1e-10, atol=1e-10)
    vector = expected + rng.normal(size=expected.size)
    found, wanted = fast.unpack(vector), slow.unpack(vector)
    for one, another in zip(found.arrays, wanted.arrays, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-10, atol=1e-12)


def two_mixtures(em, K):
    random = INITIALIZERS["random"]
    base = initialize(em, random, K, np.random.RandomState(0))
    return base, em.evaluate(em.evaluate(base).successor).successor


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize(
    ("d", "K"), [(1, 1), (1, 3), (3, 2), (5, 4), (MOST_FEATURES, 2)]
)
def test_coordinates_are_those_of_numpy(name, d, K, make_blocks, rng):
    X = rng.normal(size=(200, d)) + 4 * rng.integers(0, 2, size=(200, 1))
    em = EMMap.prepare(make_blocks(X), STRUCTURES[name], K, "auto")
    base, other = two_mixtures(em, K)
    assert em.chart(base)._packer is not None
    assert_same_coordinates(em, base, other, rng)


@pytest.mark.parametrize("name", STRUCTURES)
def test_coordinates_of_posteriors_are_those_of_numpy(name, make_blocks, rng):
    d, K = 3, 4
    X = rng.normal(size=(150, d)) + 4 * rng.integers(0, 2, size=(150, 1))
    beliefs = Beliefs(WEIGHT_PRIORS["dirichlet_process"](1 / K, K))
    em = VariationalMap.of_data(make_blocks(X), STRUCTURES[name], beliefs, "auto")
    base, other = two_mixtures(em, K)
    assert_same_coordinates(em, base, other, rng)


def test_what_is_done_elsewhere(make_blocks, rng):
    """More features, one more weight, and what is no matrix of its own."""
    X = rng.normal(size=(100, MOST_FEATURES + 1))
    em = EMMap.prepare(make_blocks(X), STRUCTURES["diag"], 2, "auto")
    base, _ = two_mixtures(em, 2)
    assert em.chart(base)._packer is None
    few = EMMap.prepare(make_blocks(X[:, :2]), STRUCTURES["diag"], 2, "auto")
    base, _ = two_mixtures(few, 2)
    assert Chart(few.structure, base, 100.0)._packer is not None
    assert Chart(few.structure, base, 100.0, noise=True)._packer is None
