"""The worked example of CONTRIBUTING.md is a structure like the others."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.utils._param_validation import StrOptions

from skem import GaussianMixture
from skem.core import covariance

GUIDE = Path(__file__).parents[1] / "CONTRIBUTING.md"
K, d = 3, 2


@pytest.fixture
def structure(monkeypatch):
    """Return the example's structure, registered as the guide says."""
    (source,) = re.findall("```python\n(class .*?)```", GUIDE.read_text("utf-8"), re.S)
    namespace = dict(vars(covariance))
    exec(source, namespace)
    structure = namespace[re.match(r"class (\w+)", source)[1]]()
    monkeypatch.setitem(covariance.STRUCTURES, structure.name, structure)
    monkeypatch.setitem(
        GaussianMixture._parameter_constraints,
        "covariance_type",
        [StrOptions(set(covariance.STRUCTURES))],
    )
    return structure


@pytest.fixture
def X(rng):
    means = np.array([[0, 0], [3, 9], [6, 0]])
    return means[rng.integers(K, size=200)] + rng.normal(0, [1, 3], (200, d))


@pytest.mark.parametrize("algorithm", ["em", "squarem", "lbfgs"])
def test_example_fits_a_shared_diagonal(structure, X, algorithm):
    mixture = GaussianMixture(
        K,
        covariance_type=structure.name,
        reg_covar=0.0,
        algorithm=algorithm,
        tol=1e-10,
        random_state=0,
    ).fit(X)
    assert mixture.covariances_.shape == structure.shape(K, d) == (d,)
    assert mixture.n_parameters_ == K * d + K - 1 + d

    sd = np.sqrt(mixture.covariances_)
    log_joint = np.log(mixture.weights_) + norm.logpdf(
        X[:, None], mixture.means_, sd
    ).sum(axis=2)
    log_density = logsumexp(log_joint, axis=1)
    np.testing.assert_allclose(mixture.score_samples(X), log_density, rtol=1e-11)

    # At the optimum it is the variance within components; 1e-10 nats below it,
    # parameters are within about 1e-5 standard errors.
    resp = np.exp(log_joint - log_density[:, None])
    squares = np.square(X[:, None] - mixture.means_)
    within = np.einsum("nk,nkd->d", resp, squares) / len(X)
    np.testing.assert_allclose(mixture.covariances_, within, rtol=1e-5)


def test_example_flags_what_is_not_positive(structure):
    _, failed = structure.factor(np.array([1.0, 0.0]))
    assert failed.shape == ()
    assert failed


def test_example_has_a_summary_and_standard_errors(structure, X):
    mixture = GaussianMixture(
        K, covariance_type=structure.name, random_state=0, tol=1e-6
    ).fit(X)
    errors = mixture.standard_errors(X, method="hessian")
    assert errors.covariances.shape == (d,)
    # Of a pooled variance, √(2/n) of it, and more as components overlap.
    expected = mixture.covariances_ * np.sqrt(2 / len(X))
    np.testing.assert_allclose(errors.covariances, expected, rtol=0.25)
    summary = mixture.summary(X)
    np.testing.assert_allclose(
        summary.standard_deviations[0] ** 2, mixture.covariances_, rtol=1e-12
    )
    assert summary.correlations.shape == (0, d, d)
