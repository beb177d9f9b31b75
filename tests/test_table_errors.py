"""Standard errors of tables: beside closed forms and Gaussian mixtures."""

import numpy as np
import pytest

from skem import GaussianMixture, MixtureModel

n = 4000


@pytest.mark.parametrize("gaps", [False, True])
def test_errors_of_one_component_are_the_known_ones(rng, gaps):
    X = np.column_stack(
        [
            rng.poisson(4, n),
            rng.random(n) < 0.3,
            rng.exponential(2, n),
            rng.normal(1, 3, n),
        ]
    ).astype(float)
    if gaps:
        X[rng.random(X.shape) < 0.3] = np.nan
    families = {0: "poisson", 1: "bernoulli", 2: "exponential"}
    model = MixtureModel(families=families).fit(X)
    found = model.standard_errors(X).parameters
    root = np.sqrt((~np.isnan(X)).sum(axis=0))
    # Outer products of 4000 scores are within a few per cent of their mean.
    expected = np.array([2, np.sqrt(0.21), 2, 3]) / root
    names = ["rate", "probability", "mean", "mean"]
    for j, name in enumerate(names):
        assert found[f"x{j}"][name][0] == pytest.approx(expected[j], rel=0.1)
    doubled = model.standard_errors(X, sample_weight=np.full(n, 4.0))
    assert doubled.parameters["x0"]["rate"][0] == pytest.approx(
        found["x0"]["rate"][0] / 2
    )


def test_errors_are_those_of_a_gaussian_mixture(rng):
    X = np.r_[rng.normal(0, 1, (200, 2)), rng.normal(3, [1, 2], (150, 2))]
    options = dict(tol=1e-8, random_state=0, covariance_type="full")
    ours = MixtureModel(2, **options).fit(X).standard_errors(X)
    theirs = GaussianMixture(2, **options).fit(X).standard_errors(X, method="opg")
    np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-2)
    means = np.column_stack([ours.parameters[f"x{j}"]["mean"] for j in range(2)])
    np.testing.assert_allclose(means, theirs.means, rtol=1e-2)


def test_parameters_without_information_have_no_errors():
    # A table of one column cannot tell two classes apart.
    X = np.repeat([[0.0], [1.0]], 30, axis=0)
    model = MixtureModel(2, families="bernoulli", random_state=0).fit(X)
    errors = model.standard_errors(X)
    assert np.isnan(errors.parameters["x0"]["probability"]).all()
