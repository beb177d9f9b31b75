"""Standard errors against the definition, and against what is known of them."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from skem import GaussianMixture
from skem.core import blocks as blocks_module
from skem.core.covariance import STRUCTURES

K, d = 3, 2
# Positions of the free entries of a covariance in arrays of its shape.
FREE = {
    "full": [(k, i, j) for k in range(K) for i in range(d) for j in range(i, d)],
    "tied": [(i, j) for i in range(d) for j in range(i, d)],
    "diag": list(itertools.product(range(K), range(d))),
    "spherical": [(k,) for k in range(K)],
}


@pytest.fixture
def mixture(structure, make_mixture):
    return fitted(make_mixture(structure, K, d), structure)


@pytest.fixture
def X(mixture):
    return mixture.sample(300, random_state=0)[0]


def fitted(mixture, structure):
    weights, means = mixture.parameters.weights, mixture.parameters.means
    return GaussianMixture.from_parameters(
        weights, means, mixture.covariances, structure.name
    )


def moved(mixture, weights, means, covariances):
    return GaussianMixture.from_parameters(
        weights, means, covariances, mixture.covariance_type
    )


def assert_same(found, expected, rtol):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol)


def log_density(X, weights, means, covariances):
    joint = [
        np.log(weight) + stats.multivariate_normal(mean, covariance).logpdf(X)
        for weight, mean, covariance in zip(weights, means, covariances, strict=True)
    ]
    return logsumexp(joint, axis=0)


def by_definition(mixture, X, dense):
    """Invert Σ s sᵀ with numerical derivatives in the public parameters."""
    structure = STRUCTURES[mixture.covariance_type]
    free = FREE[structure.name]

    def unpack(vector):
        weights = np.append(vector[: K - 1], 1 - vector[: K - 1].sum())
        means = vector[K - 1 : K - 1 + K * d].reshape(K, d)
        covariances = np.empty_like(mixture.covariances_)
        for index, value in zip(free, vector[K - 1 + K * d :], strict=True):
            covariances[index] = value
            if structure.matrices:
                covariances[(*index[:-2], index[-1], index[-2])] = value
        return weights, means, covariances

    vector = np.concatenate(
        [
            mixture.weights_[:-1],
            mixture.means_.ravel(),
            [mixture.covariances_[index] for index in free],
        ]
    )

    def log_likelihoods(vector):
        weights, means, covariances = unpack(vector)
        return log_density(X, weights, means, dense(structure, covariances, K, d))

    h = 1e-5
    scores = [
        log_likelihoods(vector + step) - log_likelihoods(vector - step)
        for step in h * np.eye(len(vector))
    ]
    scores = np.array(scores) / (2 * h)
    inverse = np.linalg.inv(scores @ scores.T)
    errors = np.sqrt(np.diagonal(inverse))
    weights, means, covariances = unpack(errors)
    weights[-1] = np.sqrt(inverse[: K - 1, : K - 1].sum())
    return weights, means, covariances


def test_errors_are_those_of_the_definition(mixture, X, dense):
    # Central differences with steps of 1e-5 are good to about 1e-8.
    expected = by_definition(mixture, X, dense)
    assert_same(mixture.standard_errors(X), expected, rtol=1e-6)


def test_shapes(mixture, X):
    errors = mixture.standard_errors(X)
    assert errors.weights.shape == mixture.weights_.shape
    assert errors.means.shape == mixture.means_.shape
    assert errors.covariances.shape == mixture.covariances_.shape


def test_one_component_has_the_errors_of_a_gaussian_sample(structure, rng):
    n, sd = 40_000, 3.0
    X = rng.normal(5, sd, (n, 2))
    mixture = GaussianMixture(1, covariance_type=structure.name).fit(X)
    weights, means, covariances = mixture.standard_errors(X)
    assert weights.tolist() == [0.0]
    # The fourth power of a normal variable has a mean with a standard error of 2 % at
    # this size, of which the root has half.
    np.testing.assert_allclose(means, sd / np.sqrt(n), rtol=0.03)
    # A variance that two features share has twice the data.
    samples = n if structure.scales_features else 2 * n
    variance = sd**2 * np.sqrt(2 / samples)
    if structure.matrices:
        covariance = sd**2 / np.sqrt(n)
        expected = [[variance, covariance], [covariance, variance]]
    else:
        expected = variance
    np.testing.assert_allclose(
        covariances, np.broadcast_to(expected, covariances.shape), rtol=0.03
    )


def test_weights_of_separate_components_are_binomial(rng):
    labels = np.repeat([0, 1], [300, 700])
    X = 100 * labels[:, None] + rng.standard_normal((1000, 1))
    mixture = GaussianMixture(2, random_state=0).fit(X)
    # The penalty, in units of ε/n, moves covariances and thus what is known of weights.
    np.testing.assert_allclose(
        mixture.standard_errors(X).weights, np.sqrt(0.3 * 0.7 / 1000), rtol=5e-3
    )


def test_order_of_components_does_not_matter(mixture, X):
    order = [2, 0, 1]
    covariances = mixture.covariances_
    shared = STRUCTURES[mixture.covariance_type].shared
    other = moved(
        mixture,
        mixture.weights_[order],
        mixture.means_[order],
        covariances if shared else covariances[order],
    )
    errors = mixture.standard_errors(X)
    expected = [
        errors.weights[order],
        errors.means[order],
        errors.covariances if shared else errors.covariances[order],
    ]
    assert_same(other.standard_errors(X), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("scale", "shift"), [(1e-8, 0.0), (1e8, 0.0), (1e100, 0.0), (2.0, 1e6)]
)
def test_errors_scale_with_the_data(scale, shift, mixture, X):
    other = moved(
        mixture,
        mixture.weights_,
        scale * mixture.means_ + shift,
        scale**2 * mixture.covariances_,
    )
    errors = mixture.standard_errors(X)
    expected = [errors.weights, scale * errors.means, scale**2 * errors.covariances]
    # A shift of 1e6 rounds the data to 1e-10.
    rtol = 1e-8 if shift else 1e-10
    assert_same(other.standard_errors(scale * X + shift), expected, rtol=rtol)


def test_integer_weights_are_repeated_rows(mixture, X, rng):
    counts = rng.integers(0, 4, len(X))
    weighted = mixture.standard_errors(X, sample_weight=counts)
    assert_same(weighted, mixture.standard_errors(np.repeat(X, counts, 0)), rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_weights_of_any_magnitude(factor, mixture, X):
    errors = mixture.standard_errors(X)
    found = mixture.standard_errors(X, sample_weight=np.full(len(X), factor))
    assert_same(found, [e / np.sqrt(factor) for e in errors], rtol=1e-10)


def test_blocks_do_not_matter(mixture, X, monkeypatch):
    whole = mixture.standard_errors(X)
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(blocks_module, "MIN_ROWS", 7)
    assert_same(mixture.standard_errors(X), whole, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.bool_])
def test_other_types_give_what_float64_gives(dtype, mixture, X):
    X = (4 * X).astype(dtype)
    expected = mixture.standard_errors(X.astype(float))
    assert_same(mixture.standard_errors(X), expected, rtol=1e-12)


def test_nothing_is_known_of_a_component_without_data(mixture, X):
    shared = STRUCTURES[mixture.covariance_type].shared
    covariances = mixture.covariances_
    other = moved(
        mixture,
        np.append(mixture.weights_, 0.0),
        np.vstack([mixture.means_, [[50.0, 50.0]]]),
        covariances if shared else np.concatenate([covariances, covariances[:1]]),
    )
    weights, means, covariances = other.standard_errors(X)
    assert weights[-1] == 0
    assert np.isinf(means[-1]).all()
    expected = mixture.standard_errors(X)
    np.testing.assert_allclose(weights[:K], expected.weights, rtol=1e-9)
    np.testing.assert_allclose(means[:K], expected.means, rtol=1e-9)
    if shared:
        np.testing.assert_allclose(covariances, expected.covariances, rtol=1e-9)
    else:
        np.testing.assert_allclose(covariances[:K], expected.covariances, rtol=1e-9)
        assert np.isinf(covariances[-1]).all()


def test_fewer_rows_than_parameters_leave_errors_infinite(mixture, X):
    errors = mixture.standard_errors(X[:3])
    for values in errors:
        assert not np.isnan(values).any()
    assert np.isinf(errors.means).any()


@pytest.mark.parametrize("far", [1e20, 1e160, 1.7e308])
def test_far_rows_do_not_break_anything(far, mixture, X):
    for values in mixture.standard_errors(np.vstack([X, [[far, -far]]])):
        assert not np.isnan(values).any()


@pytest.mark.parametrize(
    "degenerate",
    [
        np.ones((20, 2)),
        np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0),
        np.column_stack([np.arange(20.0), np.ones(20)]),
        np.column_stack([np.arange(20.0), 2 * np.arange(20.0)]),
        np.vstack([np.random.default_rng(0).standard_normal((20, 2)), [[1e160, 0]]]),
        1e160 * np.random.default_rng(0).standard_normal((20, 2)),
        1e-160 * np.random.default_rng(0).standard_normal((20, 2)),
    ],
    ids=["constant", "duplicates", "constant column", "line", "far", "huge", "tiny"],
)
def test_degenerate_data_have_errors_that_are_numbers(degenerate, structure):
    mixture = GaussianMixture(
        3, covariance_type=structure.name, random_state=0, tol=1.0
    ).fit(degenerate)
    for values in mixture.standard_errors(degenerate):
        assert not np.isnan(values).any()
        assert (values >= 0).all()


def test_bad_input_is_refused(mixture, X):
    with pytest.raises(ValueError, match="features"):
        mixture.standard_errors(X[:, :1])
    with pytest.raises(ValueError, match="Negative values"):
        mixture.standard_errors(X, sample_weight=-np.ones(len(X)))
