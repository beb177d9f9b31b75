"""The E-step of t mixtures, against scipy.stats."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, logsumexp

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.student.expectation import StudentExpectation
from skem.core.student.parameters import StudentParameters

K, d = 3, 2
DF = np.array([1.5, 4.0, 50.0])


@pytest.fixture
def mixture(make_mixture, structure):
    return make_mixture(structure, K, d)


def expectation(mixture, df=DF, reach=np.inf):
    parameters = StudentParameters.of(mixture.parameters, df)
    plain = Coordinates(np.zeros(d), np.ones(d))
    return StudentExpectation(mixture.structure, parameters, plain, reach)


def joint(mixture, X, df=DF):
    """Log w_k t(x), (n, K), of what was observed."""
    columns = np.zeros((len(X), K))
    for i, x in enumerate(X):
        o = ~np.isnan(x)
        for k in range(K):
            mean, scale = mixture.parameters.means[k], mixture.dense[k]
            columns[i, k] = np.log(mixture.parameters.weights[k])
            if o.any():
                law = stats.multivariate_t(mean[o], scale[np.ix_(o, o)], df=df[k])
                columns[i, k] += law.logpdf(x[o])
    return columns


def block(X, weight=None):
    return Block(0, len(X), X.T, weight, bool(np.isnan(X).any()))


def rows(rng, gaps):
    X = rng.normal(scale=4, size=(60, d))
    if gaps:
        X[rng.random(X.shape) < 0.3] = np.nan
    return X


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
def test_densities_are_those_of_scipy(mixture, rng, gaps):
    X, step = rows(rng, gaps), expectation(mixture)
    logs = joint(mixture, X)
    log_density, largest, resp = step.classified(block(X), Workspace())
    assert np.allclose(log_density, logsumexp(logs, axis=1), rtol=1e-9)
    expected = np.exp(logs - logsumexp(logs, axis=1, keepdims=True)).T
    assert np.allclose(resp, expected, atol=1e-10)
    assert np.allclose(largest, np.log(expected.max(axis=0)))
    own = step.component_log_density(block(X), Workspace())
    assert np.allclose(own.T, logs - mixture.parameters.log_weights, rtol=1e-9)


@pytest.mark.each_value
@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
def test_statistics_are_expectations(mixture, rng, gaps):
    X, v, step = rows(rng, gaps), rng.random(60), expectation(mixture)
    found = step.statistics(block(X, v), Workspace())
    logs = joint(mixture, X)
    assert found.loglik == pytest.approx(logsumexp(logs, axis=1) @ v)
    resp = np.exp(logs - logsumexp(logs, axis=1, keepdims=True)).T * v
    scatter = np.zeros((K, d, d))
    counts, tails = np.zeros((2, K))
    first = np.zeros((K, d))
    for k in range(K):
        mean, scale, nu = mixture.parameters.means[k], mixture.dense[k], DF[k]
        for r, x in zip(resp[k], X, strict=True):
            o, m = ~np.isnan(x), np.isnan(x)
            y, C = np.zeros(d), np.zeros((d, d))
            inverse = np.linalg.inv(scale[np.ix_(o, o)])
            y[o] = x[o] - mean[o]
            B = scale[np.ix_(m, o)] @ inverse
            y[m] = B @ y[o]
            C[np.ix_(m, m)] = scale[np.ix_(m, m)] - B @ scale[np.ix_(o, m)]
            half, distance = (nu + o.sum()) / 2, y[o] @ inverse @ y[o]
            u = half / ((nu + distance) / 2)
            counts[k] += r * u
            first[k] += r * u * y
            scatter[k] += r * (u * np.outer(y, y) + C)
            tails[k] += r * (digamma(half) - np.log((nu + distance) / 2) - u)
    assert np.allclose(found.sizes, resp.sum(axis=1))
    assert np.allclose(found.counts, counts)
    assert np.allclose(found.owned[:, 1], tails)
    means = mixture.parameters.means + first / counts[:, None]
    assert np.allclose(found.means, means)
    about = scatter - np.einsum("ki,kj,k->kij", first, first, 1 / counts)
    expected = mixture.structure.quadratic.of_matrices(about)
    scatters = found.scatter_sums()
    if mixture.structure.shared:
        # Shared out by the counts: the sum is what there is.
        scatters, expected = scatters.sum(axis=0), expected.sum(axis=0)
    assert np.allclose(scatters, expected)


def test_many_degrees_of_freedom_are_a_gaussian(mixture, rng):
    X = rows(rng, False)
    found = expectation(mixture, np.full(K, np.inf)).log_density(block(X), Workspace())
    assert np.allclose(found, mixture.log_density(X), rtol=1e-10)


@pytest.mark.parametrize("far", [1e80, 1e160, 1e300])
def test_far_rows_have_the_density_of_a_t(mixture, far):
    X = np.array([[far, -far], [0.0, far], [np.nan, far]])
    found = expectation(mixture)
    for these in (X[:2], X):
        log_density = found.log_density(block(these), Workspace())
        # The heaviest tail: |x|^(−(ν + d)), but for a constant.
        nearer = found.log_density(block(these / 1e10), Workspace())
        observed = (~np.isnan(these)).sum(axis=1)
        slope = -(DF.min() + observed) * np.log(1e10)
        assert np.allclose(log_density - nearer, slope, rtol=1e-9)
        assert (found.labels(block(these), Workspace()) == DF.argmin()).all()


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
def test_rows_out_of_reach_count_as_rows_and_no_more(mixture, rng, gaps):
    X, step = rows(rng, gaps), expectation(mixture, reach=1e6)
    near = step.statistics(block(X), Workspace())
    for far in (1e9, 1e160, 1e300):
        Z = np.vstack([X, [[far, np.nan if gaps else -far]]])
        found = step.statistics(block(Z), Workspace())
        assert np.allclose(found.counts, near.counts, rtol=1e-12)
        assert np.allclose(found.means, near.means)
        assert found.sizes.sum() == pytest.approx(61)
        assert found.owned[:, 2].sum() == pytest.approx(1)
        assert np.isfinite(found.sums).all() and np.isfinite(found.loglik)


def test_stacks_are_each_of_their_mixtures(mixture, rng):
    X = rows(rng, True)
    one = expectation(mixture).parameters
    other = StudentParameters(
        one.weights[::-1], one.means + 1, one.precisions_cholesky, DF[::-1]
    )
    plain = Coordinates(np.zeros(d), np.ones(d))
    steps = [
        StudentExpectation(mixture.structure, each, plain)
        for each in (StudentParameters.stacked([one, other]), one, other)
    ]
    for data in (X, np.nan_to_num(X)):
        both, *each = (s.statistics(block(data), Workspace()) for s in steps)
        for i, found in enumerate(each):
            assert both.loglik[i] == pytest.approx(found.loglik)
            assert np.allclose(both.owned[i], found.owned)
            assert np.allclose(both.means[i], found.means)


def test_known_rows_count_for_their_component(mixture, rng):
    X, known = rng.normal(scale=4, size=(90, d)), rng.integers(-1, K, 90)
    step, here = expectation(mixture), block(X)._replace(known=known)
    logs = joint(mixture, X)
    expected = np.where(known >= 0, logs[np.arange(90), known], logsumexp(logs, axis=1))
    found = step.statistics(here, Workspace())
    assert found.loglik == pytest.approx(expected.sum())
    resp = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    resp[known >= 0] = np.eye(K)[known[known >= 0]]
    assert np.allclose(found.sizes, resp.sum(axis=0))
    assert np.allclose(step.log_density(here, Workspace()), expected)
    assert np.array_equal(step.labels(here, Workspace()), resp.argmax(axis=1))
