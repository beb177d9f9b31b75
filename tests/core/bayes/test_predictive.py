"""Student-t mixtures: beside scipy's."""

import numpy as np
import pytest
from scipy import stats

from skem.core.bayes.predictive import PredictiveMixture


@pytest.mark.parametrize("shared", [False, True])
def test_density_is_that_of_multivariate_t(make_mixture, structure, rng, shared):
    K, d = 3, 2
    mixture = make_mixture(structure, K, d)
    beta = np.array([1.0, 8.0, 30.0])
    nu = np.array([7.5]) if shared else np.array([2.5, 9.0, 40.0])
    X = rng.normal(scale=5, size=(50, d))
    student = PredictiveMixture.of(structure, mixture.parameters, beta, nu)
    gaussian = (mixture.joint(X) - np.log(mixture.parameters.weights)).T
    expected = np.zeros(len(X))
    for k, degrees in enumerate(np.broadcast_to(nu, K)):
        freedom = degrees + 1 - d
        shape = mixture.dense[k] * degrees * (1 + beta[k]) / (beta[k] * freedom)
        density = stats.multivariate_t(mixture.parameters.means[k], shape, freedom)
        expected += mixture.parameters.weights[k] * density.pdf(X)
    assert np.allclose(student.log_density(gaussian), np.log(expected), rtol=1e-9)


def test_a_row_out_of_range_has_a_density(make_mixture, structure):
    mixture = make_mixture(structure, 2, 2)
    student = PredictiveMixture.of(
        structure, mixture.parameters, np.ones(2), np.full(2, 3.0)
    )
    assert student.log_density(np.full((2, 1), -np.inf))[0] == -np.inf
    assert np.isfinite(student.log_density(np.full((2, 1), -1e300))).all()


@pytest.mark.parametrize("observed", [[True, False, True], [False, True, False]])
def test_marginals_are_those_of_multivariate_t(make_mixture, structure, rng, observed):
    K, d, observed = 3, 3, np.array(observed)
    mixture = make_mixture(structure, K, d)
    parameters, beta, nu = mixture.parameters, np.array([1.0, 8, 30]), 4.5
    student = PredictiveMixture.of(structure, parameters, beta, np.array([nu]))
    X = rng.normal(scale=5, size=(20, observed.sum()))
    gaussian, expected = np.empty((K, 20)), np.zeros(20)
    for k in range(K):
        mean = parameters.means[k, observed]
        covariance = mixture.dense[k][np.ix_(observed, observed)]
        gaussian[k] = stats.multivariate_normal(mean, covariance).logpdf(X)
        freedom = nu + 1 - d
        shape = covariance * nu * (1 + beta[k]) / (beta[k] * freedom)
        density = stats.multivariate_t(mean, shape, freedom)
        expected += parameters.weights[k] * density.pdf(X)
    marginal = student.marginal(structure, parameters, observed)
    np.testing.assert_allclose(
        marginal.log_density(gaussian), np.log(expected), rtol=1e-9
    )


def test_a_row_without_a_value_has_density_one(make_mixture, structure):
    mixture = make_mixture(structure, 2, 2)
    student = PredictiveMixture.of(
        structure, mixture.parameters, np.ones(2), np.full(2, 3.0)
    )
    none = student.marginal(structure, mixture.parameters, np.zeros(2, bool))
    assert none.log_density(np.zeros((2, 1)))[0] == pytest.approx(0, abs=1e-15)
