"""Components that the data do not support."""

import numpy as np
import pytest

from skem.core.covariance import STRUCTURES
from skem.core.degeneracy import (
    coincident,
    degenerate_components,
    flat,
    scarce,
    sound,
)
from skem.core.em import EMMap
from skem.core.initialize import labelled_statistics
from skem.core.parameters import Parameters
from skem.core.regularization import Ridge

D = 3


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
    assert least == (D + 1 if structure.name == "full" else 2)
    N = 100
    weights = np.array([least, least - 1, N - 2 * least + 1]) / N
    parameters = mixture(structure, np.zeros((3, D)), weights=weights)
    assert scarce(structure, parameters, N).tolist() == [False, True, False]


def test_components_on_one_spot_coincide(structure):
    means = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [4, 0, 1e-3]])
    parameters = mixture(structure, means)
    assert coincident(structure, parameters).tolist() == [False, True, False, True]
    found = degenerate_components(structure, Ridge(np.zeros(D)), parameters, 400)
    assert found.tolist() == [1, 3]


def test_one_component_coincides_with_nothing(structure):
    assert not coincident(structure, mixture(structure, np.zeros((1, D)))).any()


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_same_mean_but_another_size_is_another_component(name):
    structure = STRUCTURES[name]
    parameters = mixture(structure, np.zeros((2, D)), sds=[1, 1.1])
    assert not coincident(structure, parameters).any()


def labelled(em, labels, K=2):
    """Parameters for given labels of the rows."""
    data = em.blocks.X.T
    Z = em.coordinates.load(data, np.empty(data.shape)).T
    resp = (labels == np.arange(K)[:, None]).astype(float)
    return em.maximise(labelled_statistics(em, Z, resp))


@pytest.fixture
def bits(rng):
    """Rows of two normal features, and one that is zero or one."""
    return np.column_stack([rng.normal(size=(200, 2)), rng.integers(0, 2, 200)])


@pytest.mark.parametrize("name", ["full", "diag"])
def test_components_of_one_value_of_a_column_are_flat(name, bits, make_blocks):
    structure = STRUCTURES[name]
    em = EMMap.prepare(make_blocks(bits), structure, 2, "auto")
    halves = labelled(em, bits[:, 0] > 0)
    values = labelled(em, bits[:, 2])
    for parameters, expected in ((halves, False), (values, True)):
        mask = flat(structure, em.regularization, parameters, 200)
        assert mask.tolist() == [expected] * 2
        assert em.sound(parameters) == (not expected)
    stack = Parameters.stacked([halves, values])
    assert em.sound(stack).tolist() == [True, False]


def test_constant_and_collinear_columns_make_no_component_flat(
    structure, bits, make_blocks
):
    X = np.column_stack([bits[:, :2], np.ones(200), bits[:, 0] - bits[:, 1]])
    em = EMMap.prepare(make_blocks(X), structure, 2, "auto")
    assert em.sound(labelled(em, bits[:, 0] > 0))


def test_the_constant_of_a_number_makes_no_component_flat(structure, bits, make_blocks):
    em = EMMap.prepare(make_blocks(bits), structure, 2, 1e-6)
    parameters = labelled(em, bits[:, 2])
    assert not flat(structure, em.regularization, parameters, 200).any()
    assert sound(structure, em.regularization, parameters, 200)
