"""Mass where a mixture of a table is at most as dense as at a row."""

import numpy as np
import pytest
from scipy import stats

from skem import GaussianMixture, MixtureModel


def test_mass_is_that_of_the_normal_law(rng):
    X = rng.normal(size=(500, 1))
    model = MixtureModel(random_state=0).fit(X)
    found = model.support_probability(X[:50], n_samples=20_000)
    mean = model.parameters_["x0"]["mean"][0]
    sd = model.parameters_["x0"]["standard_deviation"][0]
    expected = 2 * stats.norm.sf(np.abs(X[:50, 0] - mean) / sd)
    # Four standard errors.
    np.testing.assert_allclose(found, expected, atol=0.015)


def test_draws_with_gaps_are_uniform(rng):
    z = rng.integers(2, size=600)
    X = np.column_stack([rng.normal(3 * z), rng.gamma(2 + 4 * z), rng.poisson(3, 600)])
    model = MixtureModel(2, families={1: "gamma", 2: "poisson"}, random_state=0)
    model.fit(X)
    drawn, _ = model.sample(2000, random_state=1)
    drawn[rng.random(drawn.shape) < 0.2] = np.nan
    drawn[0] = np.nan
    found = model.support_probability(drawn, n_samples=5000, random_state=2)
    assert found[0] == 1
    some = ~np.isnan(drawn[:, 0])
    assert stats.kstest(found[some], "uniform").statistic < 0.05
    again = model.support_probability(drawn, n_samples=5000, random_state=2)
    np.testing.assert_array_equal(again, found)


def test_numbers_are_those_of_a_gaussian_mixture(rng):
    X = np.r_[rng.normal(0, 1, (200, 2)), rng.normal(4, 1, (200, 2))]
    options = dict(random_state=0, tol=1e-6)
    ours, peer = MixtureModel(2, **options), GaussianMixture(2, **options)
    found = ours.fit(X).support_probability(X, n_samples=20_000)
    expected = peer.fit(X).support_probability(X, n_samples=20_000)
    np.testing.assert_allclose(found, expected, atol=0.02)
    with pytest.raises(ValueError, match="at least one sample"):
        ours.support_probability(X, n_samples=0)
