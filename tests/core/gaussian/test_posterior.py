"""Posteriors of weights: their expectations and divergences, by integration."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import digamma

from skem.core.gaussian.posterior import (
    Dirichlet,
    Posterior,
    Sticks,
    effective_log_weights,
    wishart_digammas,
)

COUNTS = np.array([7.5, 0.2, 3.0])


def beta_divergence(a, b, gamma):
    """KL(Beta(a, b) ‖ Beta(1, γ)), by integration."""
    q, p = stats.beta(a, b), stats.beta(1, gamma)
    return integrate.quad(lambda v: q.pdf(v) * (q.logpdf(v) - p.logpdf(v)), 0, 1)[0]


def test_sticks_are_beta_distributed():
    prior = Sticks(1.7)
    a, b = prior.update(COUNTS)
    assert np.allclose(a, [8.5, 1.2, 4.0])
    assert np.allclose(b, [4.9, 4.7, 1.7])
    expected = sum(beta_divergence(*each, 1.7) for each in zip(a, b, strict=True))
    assert prior.divergence((a, b)) == pytest.approx(expected, abs=1e-6)


def test_weights_of_sticks_are_what_is_left_of_those_before():
    prior = Sticks(1.7)
    concentration = prior.update(COUNTS)
    rng = np.random.default_rng(0)
    v = rng.beta(*concentration, size=(200_000, 3))
    left = np.cumprod(np.c_[np.ones(len(v)), 1 - v[:, :-1]], axis=1)
    weights = v * left
    mean = weights.mean(axis=0)
    assert np.allclose(prior.expected(concentration), mean / mean.sum(), atol=2e-3)
    logs = np.log(weights)
    error = 5 * logs.std(axis=0) / np.sqrt(len(v))
    assert (np.abs(prior.expected_log(concentration) - logs.mean(axis=0)) < error).all()


def test_a_dirichlet_of_two_is_a_beta():
    prior = Dirichlet(0.6)
    a, b = concentration = prior.update(COUNTS[:2])
    q, p = stats.beta(a, b), stats.beta(0.6, 0.6)
    expected = integrate.quad(
        lambda v: q.pdf(v) * (q.logpdf(v) - p.logpdf(v)), 0, 1, limit=200
    )[0]
    assert prior.divergence(concentration) == pytest.approx(expected, abs=1e-5)
    assert prior.expected(concentration)[0] == pytest.approx(q.mean())
    expected_log = digamma([a, b]) - digamma(a + b)
    assert np.allclose(prior.expected_log(concentration), expected_log)


@pytest.mark.parametrize("prior", [Dirichlet(0.3), Sticks(0.3)])
def test_a_posterior_without_rows_is_the_prior(prior):
    concentration = prior.update(np.zeros(4))
    assert prior.divergence(concentration) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("prior", [Dirichlet(0.3), Sticks(0.3)])
def test_stacks_are_mixtures_by_themselves(prior):
    stack = np.stack([COUNTS, COUNTS[::-1], np.zeros(3)])
    together = prior.update(stack)
    for i, counts in enumerate(stack):
        alone = prior.update(counts)
        for name in ("expected", "expected_log", "divergence"):
            found = getattr(prior, name)(together)[i]
            assert np.allclose(found, getattr(prior, name)(alone), rtol=1e-12)


def test_rows_lost_beside_many_others_still_count():
    counts = np.array([1e16, 1.0, 2.0])
    assert np.array_equal(Sticks(0.5).update(counts)[1], [3.5, 2.5, 0.5])


def test_effective_weights_have_the_expected_log_determinant(rng):
    """By draws of the Wishart: E log|Λ| − log|ν W|, with W the identity."""
    nu, d = 5.5, 3
    draws = stats.wishart(nu, np.eye(d)).rvs(20_000, random_state=rng)
    logs = np.linalg.slogdet(draws)[1] - d * np.log(nu)
    found = effective_log_weights(np.zeros(1), np.inf, np.array([nu]), d)[0]
    error = 5 * logs.std() / np.sqrt(len(logs)) / 2
    assert abs(found - logs.mean() / 2) < error
    assert wishart_digammas(np.array([nu]), 1)[0] == pytest.approx(digamma(nu / 2))


def test_order_takes_everything_along():
    values = np.arange(3.0)
    q = Posterior(values, values[:, None], values, -values, 10 * values)
    order = np.array([2, 0, 1])
    found = q.ordered(order, q.precisions_cholesky[order])
    assert np.array_equal(found.counts, [20, 0, 10])
    assert np.array_equal(found.log_weights, [-2, 0, -1])
    assert np.array_equal(Posterior.stacked([q, found])[1].counts, found.counts)


@pytest.mark.parametrize("kind", [Dirichlet, Sticks])
def test_empty_components_need_not_be_there(kind):
    few, all_of_them = kind(0.3, 7), kind(0.3)
    counts = np.array([30.0, 12.5, 4.0])
    own, other = few.update(counts), all_of_them.update(np.append(counts, np.zeros(4)))
    assert few.divergence(own) == pytest.approx(all_of_them.divergence(other))
    assert few.expected_log(own) == pytest.approx(all_of_them.expected_log(other)[:3])
