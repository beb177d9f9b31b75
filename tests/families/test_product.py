"""The EM map of a table: beside the published fits of latent class models."""

import numpy as np
import pytest

from skem import GaussianMixture, MixtureModel
from skem.core.blocks.threads import Workers
from skem.families.point import Sums
from skem.families.table_map import TableMap

POLCA = {2: -317.2568373, 3: -293.7049788}
"""Log-likelihoods of poLCA's best fits (Linzer & Lewis 2011)."""


@pytest.mark.slow
@pytest.mark.parametrize("n_components", POLCA)
def test_maximum_likelihood_is_that_of_polca(carcinoma, n_components):
    model = MixtureModel(
        n_components, families="bernoulli", pseudo_observations=0, random_state=0
    ).fit(carcinoma)
    loglik = model.lower_bound_ * len(carcinoma)
    assert loglik == pytest.approx(POLCA[n_components], abs=0.02)
    assert model.n_parameters_ == 8 * n_components - 1


def test_default_fit_is_near_that_of_polca_and_off_the_border(carcinoma):
    model = MixtureModel(3, families="bernoulli", random_state=0).fit(carcinoma)
    loglik = model.lower_bound_ * len(carcinoma)
    assert POLCA[3] - 1.5 < loglik < POLCA[3]
    p = np.array([law["probability"] for law in model.parameters_.values()])
    assert 1e-5 < p.min() < 0.01
    assert 0.99 < p.max() < 1 - 1e-5


def test_steps_are_those_of_stepmix():
    # gen_cat(22, 500, 5, 3, 4) from responsibilities of seed 0, by StepMix 3.0.0.
    r = np.random.default_rng(22)
    p = r.dirichlet(np.ones(4) * 0.7, size=(3, 5))
    z, u = r.integers(3, size=500), r.random((500, 5))
    X = (u[:, :, None] > np.cumsum(p[z], axis=2)).sum(2).clip(0, 3).astype(float)
    resp = np.random.default_rng(0).dirichlet(np.ones(3), size=500)
    product = MixtureModel(
        3, families="categorical", pseudo_observations=0, random_state=0
    ).fit(X)
    em = TableMap(product._product, X.T.copy(), np.ones(500), Workers())
    here, found = em.evaluate(em.labelled(resp.T)), []
    for _ in range(6):
        found.append(here.loglik)
        here = em.evaluate(here.successor)
    assert found[0] == pytest.approx(-3101.6833876688133, abs=1e-8)
    assert found[5] == pytest.approx(-3093.7254238947307, abs=1e-8)
    assert product.lower_bound_ * 500 == pytest.approx(-2955.341854365354, abs=0.02)


@pytest.mark.each_value
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("gaps", [False, True])
def test_numbers_alone_are_a_gaussian_mixture(rng, covariance_type, gaps):
    X = rng.normal(size=(200, 3)) * [1, 2, 3] + 6 * rng.integers(2, size=(200, 1))
    if gaps:
        X[rng.random(X.shape) < 0.2] = np.nan
    options = dict(covariance_type=covariance_type, tol=1e-6, random_state=0)
    ours = MixtureModel(2, **options).fit(X)
    peer = GaussianMixture(2, **options).fit(X)
    # 1e-6 nats below the optimum, parameters are within 1e-3 standard errors.
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=1e-8)
    np.testing.assert_allclose(
        next(iter(ours.covariances_.values())), peer.covariances_, rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(ours.impute(X), peer.impute(X) if gaps else X, atol=1e-2)


def test_clusters_narrower_than_digits_allow_are_centred(rng):
    X = np.r_[rng.normal(0, 1, (100, 2)), rng.normal(1e6, 1, (100, 2))]
    ours = MixtureModel(2, random_state=0, tol=1e-6).fit(X)
    peer = GaussianMixture(2, random_state=0, tol=1e-6).fit(X)
    assert ours._product.of(X.T).coefficients(ours._point).own == [True]
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=1e-7)


@pytest.mark.slow
def test_products_of_small_proportions_are_taken_in_logarithms():
    X = np.zeros((40, 60))
    X[::2] = 1
    model = MixtureModel(2, families="bernoulli", random_state=0).fit(X)
    row = np.r_[np.zeros(30), np.ones(30)][None]
    p = np.array([law["probability"] for law in model.parameters_.values()]).T
    joint = np.log(np.where(row == 1, p, 1 - p)).sum(axis=1) + np.log(model.weights_)
    assert model.score_samples(row)[0] == pytest.approx(np.logaddexp(*joint))


def test_sums_of_parts_are_those_of_the_whole(rng):
    X = np.column_stack(
        [rng.normal(size=300), rng.poisson(4, 300), rng.normal(size=300)]
    )
    families = {1: "negative_binomial", 2: "student"}
    values = np.ascontiguousarray(X.T, dtype=float)
    product = MixtureModel(families=families).fit(X)._product.of(values)
    em = TableMap(product, values, np.ones(300), Workers())
    point = em.labelled(rng.dirichlet(np.ones(2), 300).T)
    weight = rng.uniform(size=300)
    coefficients = product.coefficients(point)
    parts = [
        product.folded(
            point, coefficients, product.rows(X.T[:, part], None, weight[part])
        )
        for part in (slice(0, 100), slice(100, 300), slice(0, 300))
    ]
    both, whole = parts[0] + parts[1], parts[2]
    assert isinstance(both, Sums)
    assert both.loglik == pytest.approx(whole.loglik)
    np.testing.assert_allclose(both.linear, whole.linear)
    for a, b in zip(both.own, whole.own, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b)
