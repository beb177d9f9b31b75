"""Directions without variance, of all features and of some."""

import numpy as np
import pytest

from skem.core.gaussian.nullspace import NullSpace


@pytest.fixture
def null():
    """Of five features the last is constant, and the first three add up to one."""
    basis = np.zeros((2, 5))
    basis[0, :3], basis[1, 4] = 1 / np.sqrt(3), 1
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    return NullSpace(turn @ basis, np.array([1.0, 1.0, 1.0, 10.0, 1e-3]))


def mask(*features):
    return np.isin(np.arange(5), features)


def test_some_features_have_the_directions_that_need_no_other(null):
    masks = np.stack([mask(0, 1, 2), mask(0, 1), mask(4), mask(3), mask(*range(5))])
    assert null.within(masks).tolist() == [1, 0, 1, 0, 2]
    assert null.within(masks[0]) == 1
    assert null.marginal(np.array([0, 1, 3])) is None
    found = null.marginal(np.array([2, 3, 0, 1]))
    expected = np.array([1, 0, 1, 1]) / np.sqrt(3)
    np.testing.assert_allclose(np.abs(found.basis), [expected], atol=1e-12)
    assert found.slope.tolist() == [1, 10, 1, 1]


def test_given_others_what_is_left_of_a_sum_is_known(null):
    found = null.given(np.array([2, 3]))
    np.testing.assert_allclose(np.abs(found.basis), [[1, 0]], atol=1e-12)
    assert null.given(np.array([3])) is None
    assert null.given(np.array([0, 1, 4])).size == 2


def test_noise_has_no_part_in_them(null):
    noise = np.random.RandomState(0).normal(size=(5, 20))
    found = null.without(lambda k, z: (k + 1) * z)(1, noise)
    np.testing.assert_allclose(found[3], 2 * noise[3])
    np.testing.assert_allclose(found[4], 0, atol=1e-12)
    np.testing.assert_allclose(found[:3].sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(null.normals @ found, 0, atol=1e-12)
