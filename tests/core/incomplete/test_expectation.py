"""Incomplete rows against the marginals and conditionals of scipy and NumPy."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates, scoring_coordinates
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.quadratic import Pairs
from skem.core.gaussian.ties import Atoms, Ties
from skem.core.incomplete import completed
from skem.core.incomplete import expectation as incomplete
from skem.core.incomplete import frequent as patterns_of_many
from skem.core.incomplete.expectation import Incomplete
from skem.core.mixture.expectation import Expectation
from skem.core.passes.forms import Centred
from skem.kernels import native

SHAPES = [(1, 1), (3, 4)]


@pytest.fixture(params=SHAPES, ids="K={0[0]},d={0[1]}".format)
def mixture(request, structure, make_mixture):
    return make_mixture(structure, *request.param)


def with_gaps(X, rng, share=0.3):
    """Remove values at random, all of the first row, and none of the second."""
    gaps = rng.random(X.shape) < share
    gaps[0], gaps[1] = True, False
    return np.where(gaps, np.nan, X)


def in_numpy(monkeypatch, frequent):
    """Expand patterns of so many rows, or let the compiled step do it for None."""
    if frequent is None:
        return
    monkeypatch.setattr(native, "library", lambda: None)
    monkeypatch.setattr(patterns_of_many, "FREQUENT", frequent)


def block_of(X, weight=None):
    return Block(0, len(X), X.T, weight, incomplete=True)


def expectation_of(mixture, **changes):
    structure, parameters = mixture.structure, mixture.parameters
    coordinates = scoring_coordinates(structure, parameters, np.dtype(float))
    coordinates = Coordinates(coordinates.shift, coordinates.scale, **changes)
    inward = coordinates.inward(structure, parameters)
    return Expectation(Centred(structure, inward, np.dtype(float)), coordinates)


def joint(mixture, X):
    """Log w_k N(x_O | μ_kO, Σ_kOO) by scipy.stats, shape (n, K)."""
    weights, means = mixture.parameters.weights, mixture.parameters.means
    out = np.zeros((len(X), len(weights)))
    for i, x in enumerate(X):
        own = ~np.isnan(x)
        for k, (mean, covariance) in enumerate(zip(means, mixture.dense, strict=True)):
            if own.any():
                law = stats.multivariate_normal(mean[own], covariance[np.ix_(own, own)])
                out[i, k] = law.logpdf(x[own])
    return out + np.log(weights)


def moments(mixture, X, resp):
    """Σ r [1, E y, E y yᵀ] about the means, row by row."""
    K, d = mixture.parameters.shape
    counts, first, second = np.zeros(K), np.zeros((K, d)), np.zeros((K, d, d))
    for x, r in zip(X, resp, strict=True):
        own, gap = ~np.isnan(x), np.isnan(x)
        for k in range(K):
            mean, S = mixture.parameters.means[k], mixture.dense[k]
            y, C = np.where(own, x - mean, 0.0), np.zeros((d, d))
            C[np.ix_(gap, gap)] = S[np.ix_(gap, gap)]
            if own.any() and gap.any():
                B = np.linalg.solve(S[np.ix_(own, own)], S[np.ix_(own, gap)]).T
                y[gap] = B @ y[own]
                C[np.ix_(gap, gap)] -= B @ S[np.ix_(own, gap)]
            counts[k] += r[k]
            first[k] += r[k] * y
            second[k] += r[k] * (np.outer(y, y) + C)
    return counts, first, second


@pytest.mark.each_pair
@pytest.mark.parametrize(("rare", "piece"), [(1, 2**17), (8, 1), (8, 2**17), (1000, 1)])
def test_density_and_responsibilities_are_those_of_marginals(
    mixture, rng, monkeypatch, rare, piece
):
    monkeypatch.setattr(completed, "RARE", rare)
    monkeypatch.setattr(incomplete, "PIECE", piece)
    X = with_gaps(mixture.sample(70, rng), rng)
    expected = joint(mixture, X)
    expectation = expectation_of(mixture)
    log_density = logsumexp(expected, axis=1)
    resp = np.exp(expected - log_density[:, None])
    found = expectation.classified(block_of(X), Workspace())
    # Condition numbers are below about a hundred.
    np.testing.assert_allclose(found[0], log_density, atol=1e-11)
    np.testing.assert_allclose(found[2].T, resp, atol=1e-11)
    np.testing.assert_allclose(found[1], np.log(resp.max(axis=1)), atol=1e-11)
    np.testing.assert_allclose(
        expectation.component_log_density(block_of(X), Workspace()).T,
        expected - np.log(mixture.parameters.weights),
        atol=1e-11,
    )
    np.testing.assert_array_equal(
        expectation.labels(block_of(X), Workspace()), found[2].argmax(axis=0)
    )


@pytest.mark.each_pair
@pytest.mark.parametrize(
    ("rare", "frequent", "stable"),
    [
        (8, None, True),
        (1, 1000, True),
        (1000, 1000, True),
        (8, 1, True),
        (8, 5, True),
        (8, 5, False),
    ],
    ids=["compiled", "by pattern", "by row", "expanded", "mixed", "QR"],
)
def test_statistics_are_those_of_completed_rows(
    mixture, rng, monkeypatch, rare, frequent, stable
):
    monkeypatch.setattr(completed, "RARE", rare)
    in_numpy(monkeypatch, frequent)
    X = with_gaps(mixture.sample(70, rng), rng)
    weight = rng.uniform(size=70)
    expected = joint(mixture, X)
    log_density = logsumexp(expected, axis=1)
    resp = np.exp(expected - log_density[:, None]) * weight[:, None]
    expectation = expectation_of(mixture)
    expectation._incomplete.__dict__["_stable"] = stable
    if not stable:
        monkeypatch.setattr(completed, "PIVOT", 2)
    found = expectation.statistics(block_of(X, weight), Workspace())
    counts, first, second = moments(mixture, X, resp)
    log_slope = expectation.coordinates.log_slope
    total = found.loglik + weight.sum() * log_slope
    np.testing.assert_allclose(total, weight @ log_density, rtol=1e-12)
    np.testing.assert_allclose(found.counts, counts, rtol=1e-11)
    scale, d = expectation.coordinates.scale, X.shape[1]
    np.testing.assert_allclose(found.sums[:, 1 : 1 + d], first * scale, atol=1e-10)
    quadratic = mixture.structure.quadratic
    np.testing.assert_allclose(
        found.sums[:, 1 + d :],
        quadratic.of_matrices(second * np.outer(scale, scale)),
        atol=1e-10,
    )
    pairs = expectation._incomplete.moments(block_of(X), resp.T, Workspace())
    np.testing.assert_allclose(
        pairs[:, 1 + d :],
        Pairs().of_matrices(second * np.outer(scale, scale)),
        atol=1e-10,
    )


def test_without_gaps_it_is_the_complete_step(mixture, rng):
    X, weight = mixture.sample(60, rng), rng.uniform(size=60)
    expectation = expectation_of(mixture)
    found = expectation.statistics(block_of(X, weight), Workspace())
    complete = Block(0, len(X), X.T, weight)
    expected = expectation.statistics(complete, Workspace())
    np.testing.assert_allclose(found.loglik, expected.loglik, rtol=1e-12)
    np.testing.assert_allclose(found.sums, expected.sums, atol=1e-11)
    np.testing.assert_array_equal(found.reference, expected.reference)


def test_halves_merge(mixture, rng):
    X = with_gaps(mixture.sample(100, rng), rng)
    expectation = expectation_of(mixture)
    whole = expectation.statistics(block_of(X), Workspace())
    parts = [
        expectation.statistics(block_of(part), Workspace()) for part in (X[:37], X[37:])
    ]
    merged = parts[0] + parts[1]
    np.testing.assert_allclose(merged.loglik, whole.loglik, rtol=1e-12)
    np.testing.assert_allclose(merged.sums, whole.sums, atol=1e-11)


@pytest.mark.parametrize("frequent", [None, 1, 5, 1000])
def test_a_stack_is_its_mixtures(structure, make_mixture, rng, monkeypatch, frequent):
    in_numpy(monkeypatch, frequent)
    mixtures = [make_mixture(structure, 3, 3) for _ in range(4)]
    X = with_gaps(mixtures[0].sample(80, rng), rng)
    coordinates = Coordinates(np.ones(3), np.full(3, 2.0))
    inward = [coordinates.inward(structure, each.parameters) for each in mixtures]
    stacked = Incomplete(structure, Parameters.stacked(inward), coordinates)
    found = stacked.statistics(block_of(X), Workspace())
    resp = stacked.responsibilities(block_of(X), Workspace())
    for i, own in enumerate(inward):
        alone = Incomplete(structure, own, coordinates)
        expected = alone.statistics(block_of(X), Workspace())
        np.testing.assert_allclose(found.loglik[i], expected.loglik, rtol=1e-12)
        np.testing.assert_allclose(found.sums[i], expected.sums, atol=1e-10)
        np.testing.assert_allclose(
            resp[i], alone.responsibilities(block_of(X), Workspace()), atol=1e-12
        )


@pytest.mark.each_pair
@pytest.mark.parametrize("frequent", [None, 1, 1000])
@pytest.mark.parametrize("atoms", [False, True])
def test_widths_are_a_variance_of_what_was_observed(
    structure, make_mixture, monkeypatch, atoms, frequent
):
    """The mean log-density over an interval, and the moments, by quadrature."""
    in_numpy(monkeypatch, frequent)
    mixture = make_mixture(structure, 2, 2)
    x = np.array([0.5, np.nan])
    X = np.tile(x, (3, 1))
    square = 0.04
    ties = (
        Ties(np.zeros(2), (Atoms(0, np.array([0.5]), np.array([square])),))
        if atoms
        else Ties(np.array([square, 0.3]))
    )
    expectation = expectation_of(mixture, ties=ties)
    found = expectation.statistics(block_of(X), Workspace())
    scale = expectation.coordinates.scale
    # Two points at ± a standard deviation have the moments of the interval.
    step = np.array([np.sqrt(square) / scale[0], 0])
    ends = np.stack([x - step, x + step])
    logits = joint(mixture, ends).mean(axis=0)
    loglik = logsumexp(logits)
    resp = np.exp(logits - loglik)
    np.testing.assert_allclose(
        found.loglik + 3 * expectation.coordinates.log_slope, 3 * loglik, rtol=1e-12
    )
    counts, first, second = moments(mixture, ends, np.tile(1.5 * resp, (2, 1)))
    np.testing.assert_allclose(found.counts, counts, rtol=1e-12)
    np.testing.assert_allclose(found.sums[:, 1:3], first * scale, atol=1e-12)
    np.testing.assert_allclose(
        found.sums[:, 3:],
        structure.quadratic.of_matrices(second * np.outer(scale, scale)),
        atol=1e-12,
    )


def test_rows_are_filled_by_conditional_means(structure, make_mixture, rng):
    mixture = make_mixture(structure, 1, 3)
    X = with_gaps(mixture.sample(40, rng), rng)
    expectation = expectation_of(mixture)
    z, variances = expectation._incomplete.filled(block_of(X), Workspace())
    coordinates = expectation.coordinates
    for i, x in enumerate(X):
        _, first, second = moments(mixture, x[None], np.ones((1, 1)))
        completed = first[0] + mixture.parameters.means[0]
        np.testing.assert_allclose(
            z[:, i], (completed - coordinates.shift) * coordinates.scale, atol=1e-12
        )
        C = second[0] - np.outer(first[0], first[0])
        np.testing.assert_allclose(
            variances[:, i], np.diag(C) * coordinates.scale**2, atol=1e-11
        )


@pytest.mark.parametrize("factor", [1e3, 1e10, 1e150, 1e300])
def test_far_rows_have_finite_scores_and_the_nearest_component(
    structure, make_mixture, factor
):
    mixture = make_mixture(structure, 2, 3)
    X = np.array([[factor, np.nan, -factor], [np.nan, np.nan, factor], [np.nan] * 3])
    expectation = expectation_of(mixture)
    log_density, _, resp = expectation.classified(block_of(X), Workspace())
    assert np.isfinite(log_density).all()
    assert (log_density[:2] < -0.1 * min(factor, 1e100)).all()
    np.testing.assert_allclose(resp.sum(axis=0), 1)
    np.testing.assert_allclose(resp[:, 2], mixture.parameters.weights)
    if factor == 1e3:
        expected = joint(mixture, X)
        np.testing.assert_allclose(
            log_density, logsumexp(expected, axis=1), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("frequent", [None, 1, 1000])
def test_rows_that_overflow_do_not_spoil_the_statistics(
    structure, make_mixture, rng, monkeypatch, frequent
):
    in_numpy(monkeypatch, frequent)
    mixture = make_mixture(structure, 2, 3)
    X = with_gaps(mixture.sample(40, rng), rng)
    X[7] = [1e170, np.nan, 1.0]
    statistics = expectation_of(mixture).statistics(block_of(X), Workspace())
    assert np.isfinite(statistics.loglik)
    np.testing.assert_allclose(statistics.counts.sum(), 40)
