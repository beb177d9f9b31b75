"""The likeliest shape of a Gamma distribution."""

import numpy as np
import pytest
from scipy.special import digamma

from skem.core.gamma import gamma_shape, shape_information


@pytest.mark.parametrize("least, most", [(1e-3, 1e6), (0.05, 5e5), (0.5, 100.0)])
def test_shape_is_what_the_gap_is_of(least, most):
    shapes = np.geomspace(least, min(most, 1e3), 2001)
    found = gamma_shape(np.log(shapes) - digamma(shapes), least, most)
    np.testing.assert_allclose(found, shapes, rtol=1e-11)


def test_large_shapes_are_as_precise_as_the_gap():
    # log a − ψ(a) = 1/(2a) + 1/(12a²) − …, which a difference of two logarithms loses.
    shapes = np.geomspace(1e3, 1e6, 301)
    found = gamma_shape(1 / (2 * shapes) + 1 / (12 * shapes**2), 1e-3, 1e6)
    np.testing.assert_allclose(found, shapes, rtol=1e-8)


def test_bounds_hold():
    gaps = np.array([-1.0, 0.0, 1e9])
    assert gamma_shape(gaps, 0.5, 100.0) == pytest.approx([100.0, 100.0, 0.5])


def test_information_of_a_large_shape_is_that_of_a_gaussian():
    # a² ψ′(a) − a = 1/2 + 1/(6a) − …
    shapes = np.geomspace(1e3, 1e12, 301)
    expected = 0.5 + 1 / (6 * shapes)
    np.testing.assert_allclose(shape_information(shapes), expected, rtol=1e-7)
