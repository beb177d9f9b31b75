import numpy as np

from skem.core.gaussian.parameters import Parameters, shares


def test_shape_is_components_by_features():
    parameters = Parameters(np.ones(3) / 3, np.zeros((3, 2)), np.ones((3, 2)))
    assert parameters.shape == (3, 2)


def test_log_of_a_zero_weight_is_finite():
    parameters = Parameters(np.array([0.0, 1.0]), np.zeros((2, 1)), np.ones(2))
    np.testing.assert_array_equal(
        parameters.log_weights, [np.log(np.finfo(float).tiny), 0.0]
    )


def test_shares_are_the_same_where_nothing_is_shared():
    weights = np.array([[0.0, 0.0], [0.1, 0.3]])
    np.testing.assert_allclose(shares(weights), [[0.5, 0.5], [0.25, 0.75]])
