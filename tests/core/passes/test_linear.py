"""An E-step that is linear in features of rows, in NumPy."""

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from skem.core.blocks.threads import Workspace
from skem.core.passes.linear import linear_step


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_a_softmax_of_products(rng, weighted):
    M, K, size, b = 2, 3, 7, 50
    features = rng.normal(size=(size, b))
    theta = rng.normal(size=(M, K, size))
    weight = rng.uniform(size=b) if weighted else None
    logits = theta @ features
    v = np.ones(b) if weight is None else weight
    found = linear_step(theta, features, weight, Workspace())
    assert len(found.lost) == 0
    np.testing.assert_allclose(found.loglik, logsumexp(logits, axis=1) @ v, rtol=1e-12)
    resp = np.exp(log_softmax(logits, axis=1)) * v
    np.testing.assert_allclose(found.sums, resp @ features.T, atol=1e-11)


def test_rows_that_overflow_are_lost(rng):
    features = rng.normal(size=(3, 20))
    features[1, 13] = np.inf
    found = linear_step(-np.ones((1, 2, 3)), features, None, Workspace())
    assert found.lost.tolist() == [13]
