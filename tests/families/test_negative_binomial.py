"""The size of a negative binomial."""

import numpy as np
import pytest

from skem.families.negative_binomial import LEAST_SIZE, MOST_SIZE, solve_size


@pytest.mark.parametrize("mean", [1e-200, 1e-6, 0.01, 1.0, 100.0, 1e6, 1e15])
def test_size_solves_its_equation(mean):
    sizes = np.geomspace(LEAST_SIZE, MOST_SIZE, 1001)
    rising = sizes * np.log1p(mean / sizes)
    with np.errstate(all="raise"):
        found = solve_size(rising, np.full(sizes.shape, mean))
    assert found.min() >= LEAST_SIZE * (1 - 1e-15)
    assert found.max() <= MOST_SIZE * (1 + 1e-15)
    np.testing.assert_allclose(found * np.log1p(mean / found), rising, rtol=2e-15)
    # Counts that hardly vary more than Poisson's do not tell their size.
    told = mean / sizes > 1e-3
    np.testing.assert_allclose(found[told], sizes[told], rtol=1e-11)


def test_size_has_bounds():
    found = solve_size(np.array([-1.0, 0.0, 1.0, 2.0]), np.ones(4))
    assert found == pytest.approx([LEAST_SIZE, LEAST_SIZE, MOST_SIZE, MOST_SIZE])
