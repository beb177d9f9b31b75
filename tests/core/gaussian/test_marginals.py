"""Marginals against the blocks of covariances."""

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.marginals import marginal_factor


@pytest.mark.parametrize("name", ["full", "tied"])
def test_a_marginal_factor_is_that_of_the_block(name, make_mixture, rng):
    mixture = make_mixture(STRUCTURES[name], 3, 4)
    observed = np.array([True, False, True, True])
    factor = marginal_factor(mixture.parameters.precisions_cholesky, observed)
    block = mixture.covariances[..., observed, :][..., observed]
    expected, _ = mixture.structure.factor(block)
    np.testing.assert_allclose(factor, expected, atol=1e-12)
