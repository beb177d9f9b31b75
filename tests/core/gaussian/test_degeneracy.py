"""Components that the data do not support."""

import numpy as np
import pytest

from skem.core.gaussian import degeneracy
from skem.core.gaussian.covariance import SHAPES, STRUCTURES
from skem.core.gaussian.degeneracy import (
    REMOTE,
    coincident,
    degenerate_components,
    scarce,
)
from skem.core.gaussian.parameters import Parameters

D = 3
FAR_APART = 100.0 * np.arange(3)[:, None] * np.ones(D)


def mixture(structure, means, sds=None, weights=None):
    means = np.asarray(means, float)
    K = len(means)
    variances = np.ones(K) if sds is None else np.square(sds)
    dense = {
        "full": variances[:, None, None] * np.eye(D),
        "tied": variances[0] * np.eye(D),
        "diag": np.repeat(variances[:, None], D, axis=1),
        "spherical": variances,
    }[structure.name]
    cholesky, _ = structure.factor(dense)
    return Parameters(
        np.full(K, 1 / K) if weights is None else np.asarray(weights), means, cholesky
    )


def test_scarce_is_fewer_points_than_a_component_needs(structure):
    least = structure.least_points(D)
    assert least == {"full": D + 1, "tied": 1}.get(structure.name, 3)
    N = 100
    weights = np.array([least, least - 1, N - 2 * least + 1]) / N
    parameters = mixture(structure, FAR_APART, weights=weights)
    assert scarce(structure, parameters, N).tolist() == [False, True, False]


def test_points_are_counted_to_the_nearest_whole_number(structure):
    least, N = structure.least_points(D), 100
    counts = np.array([least - 0.6, least - 0.4, N - 2 * least + 1])
    parameters = mixture(structure, FAR_APART, weights=counts / N)
    assert scarce(structure, parameters, N).tolist() == [True, False, False]


@pytest.mark.parametrize("name", ["tied", "EEI", "EII"])
def test_one_point_is_enough_where_it_is_remote_from_all_others(name):
    structure, N = SHAPES[name], 100
    limit = np.sqrt(REMOTE * D)
    for apart, few in ((0.99 * limit, True), (1.01 * limit, False), (1e200, False)):
        means = np.zeros((3, D))
        means[:, 1] = [0, apart, -3]
        cholesky = np.eye(D) if name == "tied" else np.ones(structure.shape(3, D))
        weights = np.array([0.4, 0.01, 0.59])
        found = scarce(structure, Parameters(weights, means, cholesky), N)
        assert found.tolist() == [False, few, False]


def test_components_on_one_spot_coincide(structure):
    means = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [4, 0, 1e-3]])
    parameters = mixture(structure, means)
    assert coincident(structure, parameters).tolist() == [False, True, False, True]
    assert degenerate_components(structure, parameters, 400).tolist() == [1, 3]


@pytest.mark.parametrize("pairs", [1, 9, 10_000])
def test_components_are_compared_in_parts(structure, pairs, monkeypatch):
    monkeypatch.setattr(degeneracy, "PAIRS_TOGETHER", pairs)
    places = np.array([0, 1, 2, 0, 3, 4, 2])
    parameters = mixture(structure, 4.0 * places[:, None] * np.ones(D))
    expected = [True, False, True, True, False, False, True]
    assert coincident(structure, parameters).tolist() == expected


def test_one_component_coincides_with_nothing(structure):
    assert not coincident(structure, mixture(structure, np.zeros((1, D)))).any()


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_same_mean_but_another_size_is_another_component(name):
    structure = STRUCTURES[name]
    parameters = mixture(structure, np.zeros((2, D)), sds=[1, 1.1])
    assert not coincident(structure, parameters).any()
