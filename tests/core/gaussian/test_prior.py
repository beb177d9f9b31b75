"""The prior: its posterior, and the divergence between them, by draws."""

import numpy as np
import pytest
from scipy import stats

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.posterior import Dirichlet, Sticks
from skem.core.gaussian.prior import Prior, expanded, of_variances
from skem.core.gaussian.statistics import Statistics

K, D = 3, 2
NU, BETA = 3.5, 0.8
MEAN = np.array([0.3, -0.2])
VARIANCE = 1.5


@pytest.fixture
def prior(structure):
    """V_0 is a multiple of the identity, which every structure has."""
    scatter = of_variances(structure.quadratic, np.full(D, VARIANCE))
    nothing = np.zeros_like(scatter)
    return Prior.of(
        structure, Sticks(0.4), BETA, MEAN, NU, scatter, nothing, repairs=True
    )


@pytest.fixture
def labelled(structure, rng):
    Z, resp = rng.normal(size=(40, D)), rng.dirichlet(np.ones(K), size=40).T
    return Z, resp, Statistics.of_labels(structure.quadratic, Z, resp)


def test_posterior_without_rows_is_the_prior(structure, prior, rng):
    Z = rng.normal(size=(5, D))
    nothing = Statistics.of_labels(structure.quadratic, Z, np.zeros((K, 5)))
    q = prior.posterior(structure, nothing, nothing.scatter())
    assert prior.penalty(structure, q) == pytest.approx(0, abs=1e-10)
    assert np.allclose(q.means, MEAN)
    covariances = structure.covariances(q.precisions_cholesky)
    assert np.allclose(
        structure.standard_deviations(q.precisions_cholesky, (K, D)),
        np.sqrt(VARIANCE / NU),
    )
    assert covariances.shape == structure.shape(K, D)


@pytest.mark.slow
def test_divergence_is_that_of_draws(prior, labelled, structure, dense, rng):
    """E_q log q/p of draws of means and precisions, and that of the weights."""
    _, _, statistics = labelled
    q = prior.posterior(structure, statistics, statistics.scatter())
    covariances = dense(structure, structure.covariances(q.precisions_cholesky), K, D)
    degrees = np.broadcast_to(prior.degrees(structure, q.counts), K)
    total, variance, n = 0.0, 0.0, 500
    for k in range(K):
        posterior = stats.wishart(
            degrees[k], np.linalg.inv(covariances[k] * degrees[k])
        )
        before = stats.wishart(NU, np.eye(D) / VARIANCE)
        draws = posterior.rvs(n, random_state=rng)
        moved = np.moveaxis(draws, 0, -1)
        ratio = posterior.logpdf(moved) - before.logpdf(moved)
        # Of means given Λ: N(m, (βΛ)⁻¹) against N(m₀, (β₀Λ)⁻¹), in closed form.
        beta, offset = prior.precision(q.counts)[k], q.means[k] - MEAN
        distances = np.einsum("i,nij,j->n", offset, draws, offset)
        ratio += 0.5 * (D * (BETA / beta - 1 - np.log(BETA / beta)) + BETA * distances)
        total += ratio.mean()
        variance += ratio.var() / n
    weights = prior.weights.divergence(prior.weights.update(q.counts))
    found = prior.penalty(structure, q)
    assert abs(found - total - weights) < 5 * np.sqrt(variance)
    assert found > 1


def test_stacks_are_mixtures_by_themselves(structure, prior, labelled):
    Z, resp, statistics = labelled
    q = prior.posterior(structure, statistics, statistics.scatter())
    other = Statistics.of_labels(structure.quadratic, Z, resp[::-1])
    second = prior.posterior(structure, other, other.scatter())
    together = prior.penalty(structure, type(q).stacked([q, second]))
    alone = [prior.penalty(structure, each) for each in (q, second)]
    assert np.allclose(together, alone, rtol=1e-12)


def test_posterior_of_a_full_covariance_by_hand(rng):
    """Equations 10.58 to 10.63 of Bishop (2006)."""
    structure = STRUCTURES["full"]
    V = np.array([[2.0, 0.5], [0.5, 1.0]])
    row = np.diag([0.1, 0.2])
    prior = Prior.of(structure, Dirichlet(0.4), BETA, MEAN, NU, V, row, repairs=True)
    Z, resp = rng.normal(size=(40, D)), rng.dirichlet(np.ones(K), size=40).T
    statistics = Statistics.of_labels(structure.quadratic, Z, resp)
    q = prior.posterior(structure, statistics, statistics.scatter())
    for k, r in enumerate(resp):
        n, centre = r.sum(), r @ Z / r.sum()
        S = (r * (Z - centre).T) @ (Z - centre)
        offset = centre - MEAN
        W_inverse = V + S + n * row + BETA * n / (BETA + n) * np.outer(offset, offset)
        found = structure.covariances(q.precisions_cholesky)[k]
        assert np.allclose(found, W_inverse / (NU + n))
        assert np.allclose(q.means[k], (BETA * MEAN + n * centre) / (BETA + n))
        assert q.counts[k] == pytest.approx(n)


def test_points_expand_to_their_outer_products(structure, rng):
    points = rng.normal(size=(4, 3, D))
    found = expanded(structure.quadratic, points)
    outer = points[..., :, None] * points[..., None, :]
    packed = structure.quadratic.of_matrices(outer)
    assert np.allclose(found, structure.quadratic.unpack(packed, D))
