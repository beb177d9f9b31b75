"""The variational map: its bound, its chart, and a prior in any units."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.bayes.em import Beliefs, VariationalMap, outward
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.posterior import Dirichlet, Posterior, Sticks
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize

K, D = 4, 2
WEIGHTS = [Sticks(0.5), Dirichlet(0.5)]


def blobs(rng, n=300):
    means = np.array([[0.0, 0.0], [4.0, 1.0], [0.0, 5.0]])
    return means[rng.integers(3, size=n)] + rng.normal(size=(n, D))


@pytest.fixture(params=WEIGHTS, ids=["sticks", "dirichlet"])
def em(request, structure, make_blocks, rng):
    blocks = make_blocks(blobs(rng))
    return VariationalMap.of_data(blocks, structure, Beliefs(request.param), "auto")


@pytest.fixture
def base(em):
    return initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))


def followed(em, q, steps):
    evaluation = em.evaluate(q)
    values = [evaluation.objective]
    for _ in range(steps):
        evaluation = em.evaluate(evaluation.successor)
        values.append(evaluation.objective)
    return evaluation, np.array(values)


def test_bound_never_falls(em, base):
    evaluation, values = followed(em, base, 40)
    assert np.diff(values).min() >= -1e-11 * np.abs(values).max()
    assert evaluation.parameters.counts.sum() == pytest.approx(300)
    assert evaluation.loglik == evaluation.objective


def test_weighted_rows_with_ties_are_a_bound_too(structure, make_blocks, rng):
    X = blobs(rng).round()
    blocks = make_blocks(X, rng.integers(0, 4, size=len(X)) / 2)
    em = VariationalMap.of_data(blocks, structure, Beliefs(Sticks(0.5)), "auto")
    assert em.coordinates.ties is not None
    start = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    _, values = followed(em, start, 40)
    assert np.diff(values).min() >= -1e-11 * np.abs(values).max()


def test_pack_undoes_unpack(em, base, rng):
    chart = em.chart(base)
    assert np.allclose(chart.pack(base), 0, atol=1e-12)
    vector = chart.pack(chart.unpack(rng.normal(0, 3, chart.pack(base).size)))
    again = chart.unpack(vector)
    assert np.allclose(chart.pack(again), vector, atol=1e-9)
    assert isinstance(again, Posterior)
    assert again.counts.sum() == pytest.approx(300)


def test_plain_step_is_about_the_gradient(em, base, rng):
    """Along it, the bound rises by its square, as of a unit gradient step."""
    evaluation, _ = followed(em, base, 60)
    chart = em.chart(evaluation.parameters)
    size = chart.pack(base).size
    here = em.evaluate(chart.unpack(np.linspace(-0.05, 0.05, size)))
    local = em.chart(here.parameters)
    step, h = local.pack(here.successor), 1e-3
    low, high = (em.evaluate(local.unpack(s * h * step)).objective for s in (-1, 1))
    slope = (high - low) / (2 * h)
    # Dead components have coordinates in which the prior counts, too.
    assert slope == pytest.approx(float(step @ step), rel=0.35)


def test_a_dying_component_does_not_shorten_steps(em, base):
    chart = em.chart(base)
    counts = base.counts.copy()
    counts[-1] = 1e-9
    before = em.regularization.of_counts(
        em.structure, counts, base.means, base.precisions_cholesky
    )
    counts[-1] = 1e-200
    after = em.regularization.of_counts(
        em.structure, counts, base.means, base.precisions_cholesky
    )
    chart = em.chart(before)
    assert chart.farthest(chart.pack(after)) < 1e-6


def test_part_of_the_rows_stands_for_all(em, rng):
    part = em.restricted(100, np.random.RandomState(0))
    q = initialize(part, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    assert q.counts.sum() == pytest.approx(100)
    assert em.adopted(q).counts.sum() == pytest.approx(300)
    assert np.array_equal(em.adopted(q).means, q.means)


def test_priors_come_back_in_their_units(structure, make_blocks, rng, make_covariances):
    X = blobs(rng) * [1.0, 1e3] + [1e4, 0.0]
    covariance = make_covariances(structure, 1, D)
    covariance = covariance if structure.shared else covariance[0]
    beliefs = Beliefs(Sticks(0.5), 2.0, np.array([3.0, -4.0]), 2.5, covariance)
    em = VariationalMap.of_data(make_blocks(X), structure, beliefs, 0.0)
    mean, found = outward(structure, em.coordinates, em.regularization)
    assert np.allclose(mean, [3.0, -4.0])
    assert np.allclose(found, covariance, rtol=1e-10)


def test_null_directions_are_the_same_in_all_components(make_blocks, rng, structure):
    if not structure.scales_features:
        pytest.skip("one variance of all features has no direction")
    X = np.c_[blobs(rng), np.full(300, 7.0)]
    beliefs = Beliefs(Sticks(0.5))
    em = VariationalMap.of_data(make_blocks(X), structure, beliefs, "auto")
    q = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    deviations = structure.standard_deviations(q.precisions_cholesky, (K, 3))
    assert np.allclose(deviations[:, 2], deviations[0, 2], rtol=1e-4)


def with_outliers(rng, value, rows=21):
    X = blobs(rng, 300 - rows)
    return X, np.r_[np.full((rows, D), value), X]


def prior_of(blocks, structure, reg_covar="auto", **params):
    beliefs = Beliefs(Sticks(0.5), **params)
    em = VariationalMap.of_data(blocks, structure, beliefs, reg_covar)
    return em.regularization, outward(structure, em.coordinates, em.regularization)


@pytest.mark.parametrize(
    ("value", "reg_covar"),
    [(-99.0, "auto"), (-9999.0, "auto"), (1e20, "auto"), (-9999.0, 0.0)],
)
def test_a_prior_does_not_go_by_outliers(structure, make_blocks, rng, value, reg_covar):
    X, all_rows = with_outliers(rng, value)
    _, expected = prior_of(make_blocks(X), structure, reg_covar)
    prior, found = prior_of(make_blocks(all_rows), structure, reg_covar)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=1e-6)
    # A full one loses no digits beside smaller numbers.
    weak = structure.shared or (structure.matrices and value == 1e20)
    assert (prior.mean_precision < 1e-4) == weak


def test_a_prior_of_all_rows(structure, make_blocks, rng):
    _, X = with_outliers(rng, -9999.0)
    all_of_them = {"mean_of_bulk": False, "covariance_of_bulk": False}
    blocks = make_blocks(X)
    prior, (mean, covariance) = prior_of(blocks, structure, 0.0, **all_of_them)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-9)
    variances = np.diagonal(covariance) if covariance.ndim == 2 else covariance
    expected = X.var(axis=0, ddof=1)
    expected = expected if structure.scales_features else expected.mean()
    np.testing.assert_allclose(variances, expected, rtol=1e-9)
    assert prior.mean_precision == 1


def test_rows_not_far_away_are_no_outliers(structure, make_blocks, rng):
    _, X = with_outliers(rng, 12.0)
    prior, (mean, _) = prior_of(make_blocks(X), structure)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    assert prior.mean_precision == 1


def test_a_precision_that_is_given_stays(make_blocks, rng):
    blocks = make_blocks(with_outliers(rng, -9999.0)[1])
    prior, _ = prior_of(blocks, STRUCTURES["tied"], mean_precision=0.7)
    assert prior.mean_precision == 0.7


def test_bound_of_incomplete_rows_never_falls(structure, make_blocks, rng):
    X = blobs(rng)
    X[rng.random(X.shape) < 0.2] = np.nan
    X = X[~np.isnan(X).all(axis=1)]
    blocks = replace(make_blocks(X), incomplete=True)
    em = VariationalMap.of_data(blocks, structure, Beliefs(Sticks(0.5)), "auto")
    start = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    evaluation, values = followed(em, start, 40)
    assert np.diff(values).min() >= -1e-11 * np.abs(values).max()
    assert evaluation.parameters.counts.sum() == pytest.approx(len(X))


@pytest.mark.parametrize("reg_covar", ["auto", 1e-6])
def test_incomplete_rows_without_a_gap_are_complete_ones(
    structure, make_blocks, rng, reg_covar
):
    blocks, beliefs = make_blocks(blobs(rng)), Beliefs(Sticks(0.5))
    found = []
    for each in (blocks, replace(blocks, incomplete=True)):
        em = VariationalMap.of_data(each, structure, beliefs, reg_covar)
        start = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
        found.append(followed(em, start, 10))
    (complete, values), (incomplete, others) = found
    np.testing.assert_allclose(others, values, rtol=1e-9)
    np.testing.assert_allclose(
        incomplete.parameters.means, complete.parameters.means, atol=1e-7
    )
