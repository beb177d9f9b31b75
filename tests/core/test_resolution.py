"""How finely data are recorded, and what narrower components gain by it."""

import numpy as np
import pytest
from scipy.stats import norm

from skem.core.covariance import STRUCTURES
from skem.core.em import EMMap
from skem.core.initialize import labelled_statistics
from skem.core.parameters import Parameters
from skem.core.resolution import excess, resolution


@pytest.fixture
def problem(make_blocks):
    def prepare(X, name="diag", reg_covar="auto"):
        return EMMap.prepare(make_blocks(X), STRUCTURES[name], 2, reg_covar)

    return prepare


def labelled(em, labels):
    """Parameters for given labels, 0 or 1, of the rows."""
    data = em.blocks.X.T
    Z = em.coordinates.load(data, np.empty(data.shape)).T
    resp = (labels == np.arange(2)[:, None]).astype(float)
    return em.maximise(labelled_statistics(em, Z, resp))


def test_resolution_is_the_least_step_of_a_feature(problem, rng):
    X = np.column_stack(
        [
            rng.integers(0, 2, 300),
            # 0.1 + 0.2 is not 0.3: rounding is no step.
            rng.integers(0, 50, 300) * 0.1 + np.where(rng.random(300) < 0.5, 0, 1e-16),
            np.full(300, 7.0),
            rng.normal(size=300),
        ]
    )
    em = problem(X)
    found = em.resolution / em.coordinates.scale
    np.testing.assert_allclose(found[:2], [1, 0.1], rtol=1e-6)
    assert found[2] == 0
    assert found[3] < 1e-3


def test_resolution_of_many_rows_is_that_of_some(problem, rng):
    X = rng.integers(0, 3, (100_000, 1)) * 5.0
    em = problem(X)
    assert em.resolution / em.coordinates.scale == pytest.approx(5)


def test_resolution_is_that_of_the_observed_rows(make_blocks, rng):
    X = np.append(rng.integers(0, 5, 50) * 2.0, [1.0, 1e300])[:, None]
    weight = np.append(np.ones(50), [0, 0])
    em = EMMap.prepare(make_blocks(X, weight), STRUCTURES["diag"], 1, "auto")
    assert em.resolution / em.coordinates.scale == pytest.approx(2)


def test_resolution_of_one_row_is_unknown(make_blocks):
    em = EMMap.prepare(make_blocks(np.ones((1, 2))), STRUCTURES["diag"], 1, "auto")
    assert resolution(em.blocks, em.coordinates).tolist() == [0, 0]


def test_excess_is_what_the_density_exceeds_the_resolution_by(structure):
    """Each structure, with components of standard deviation 0.01 and 1."""
    sds = np.array([0.01, 0.01 if structure.shared else 1.0])
    d = 2
    dense = {
        "full": sds[:, None, None] ** 2 * np.eye(d),
        "tied": sds[0] ** 2 * np.eye(d),
        "diag": np.repeat(sds[:, None] ** 2, d, axis=1),
        "spherical": sds**2,
    }[structure.name]
    cholesky, _ = structure.factor(dense)
    one = Parameters(np.array([0.3, 0.7]), np.zeros((2, d)), cholesky)
    steps = np.array([1.0, 0.0])
    # Expected log-densities of rows of these deviations, if they were 1/√2π at least.
    least = 1 / np.sqrt(2 * np.pi)
    loss = [
        norm(scale=sd).expect(lambda x, sd=sd: norm.logpdf(x, scale=sd))
        - norm(scale=sd).expect(lambda x, sd=sd: norm.logpdf(x, scale=max(sd, least)))
        for sd in sds
    ]
    expected = 100 * one.weights @ loss
    assert excess(structure, one, steps, 100) == pytest.approx(expected)
    stack = Parameters.stacked([one, one])
    np.testing.assert_allclose(excess(structure, stack, steps, 100), expected)


@pytest.mark.parametrize("name", ["full", "diag"])
def test_components_of_one_value_gain_no_more_than_the_value_tells(name, problem, rng):
    """Bits tell log 2 nats a row at most, however narrow the components are."""
    X = np.column_stack([rng.normal(size=400), rng.integers(0, 2, 400)])
    em = problem(X, name)
    halves, values = (labelled(em, X[:, j] > 0.5) for j in (0, 1))
    gained = em.evaluate(values).objective - em.evaluate(halves).objective
    assert gained > 400 * np.log(2)
    assert em.excess(halves) == 0
    assert gained - em.excess(values) < 400 * np.log(2)


def test_nothing_is_made_of_it_with_the_constant_of_scikit_learn(problem, rng):
    X = np.column_stack([rng.normal(size=400), rng.integers(0, 2, 400)])
    em = problem(X, reg_covar=1e-6)
    assert em.excess(labelled(em, X[:, 1])) == 0
