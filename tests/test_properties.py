"""What a fit must not depend on: units, order, repetition and type of the data."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture
from skem.core.gaussian.covariance import STRUCTURES

searched = settings(derandomize=True, deadline=None, max_examples=25)
covariance_types = pytest.mark.parametrize("covariance_type", STRUCTURES)
matrix_types = pytest.mark.parametrize("covariance_type", ["full", "tied"])
seeds = st.integers(0, 2**32 - 1)
powers_of_ten = st.floats(-8, 8)

pytestmark = pytest.mark.slow

ITERATES = {"algorithm": "em", "tol": 0, "max_iter": 8}
"""Plain steps from a given start: equal to rounding."""
OPTIMA = {"tol": 1e-3}
LEFT = 0.02
"""Nats between two fits that climb the same hill. What is left to be gained is an
estimate, which has been wrong by a factor of ten."""


@dataclass(frozen=True)
class Problem:
    """Rows of K clusters, and a start with one dense covariance for all components."""

    X: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariance: np.ndarray

    @property
    def n_components(self):
        return len(self.weights)

    def mapped(self, A, b):
        """Map x to Ax + b."""
        return replace(
            self,
            X=self.X @ A.T + b,
            means=self.means @ A.T + b,
            covariance=A @ self.covariance @ A.T,
        )

    def start(self, covariance_type):
        K, d = self.means.shape
        variances = np.diag(self.covariance)
        units = np.sqrt(np.outer(variances, variances))
        precision = np.linalg.inv(self.covariance / units) / units
        precisions = {
            "full": np.broadcast_to(precision, (K, d, d)),
            "tied": precision,
            "diag": np.broadcast_to(1 / variances, (K, d)),
            "spherical": np.full(K, 1 / variances.mean()),
        }
        return {
            "weights_init": self.weights,
            "means_init": self.means,
            "precisions_init": precisions[covariance_type],
        }


def problem(seed, separation=3.0):
    """Two to four correlated clusters in up to three dimensions."""
    rng = np.random.default_rng(seed)
    K, d = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    n = int(rng.integers(40, 80))
    means = separation * rng.normal(size=(K, d))
    shapes = np.eye(d) + 0.3 * rng.normal(size=(K, d, d))
    y = np.arange(n) % K
    X = means[y] + np.einsum("nij,nj->ni", shapes[y], rng.normal(size=(n, d)))
    return Problem(
        X,
        rng.dirichlet(np.full(K, 5.0)),
        means + 0.5 * rng.normal(size=(K, d)),
        np.cov(X.T).reshape(d, d) / 2,
    )


def well_conditioned(rng, d):
    """A random matrix whose singular values are within a factor of a hundred."""
    left, _ = np.linalg.qr(rng.normal(size=(d, d)))
    right, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return left * 10.0 ** rng.uniform(-1, 1, d) @ right


def fit(problem, covariance_type, sample_weight=None, given=True, **params):
    start = problem.start(covariance_type) if given else {}
    model = GaussianMixture(
        problem.n_components,
        covariance_type=covariance_type,
        random_state=0,
        **start,
        **params,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(problem.X, sample_weight=sample_weight)


def dense(model):
    """Covariances as matrices, (K, d, d)."""
    K, d = model.means_.shape
    values = model.covariances_
    if STRUCTURES[model.covariance_type].matrices:
        return np.broadcast_to(values, (K, d, d))
    return values.reshape(K, -1)[:, :, None] * np.eye(d)


def assert_same(found, expected, A=None, b=0.0, *, rtol=1e-8, log_density=True):
    """Compare a fit of Ax + b with that of x, in the standard deviations of the former.

    The default tolerance is a hundred roundings of data shifted by 1e4 deviations,
    amplified by condition numbers of up to 1e4.
    """
    d = expected.means_.shape[1]
    A = np.eye(d) if A is None else A
    covariances = A @ dense(expected) @ A.T
    sd = np.sqrt(np.einsum("kii->ki", covariances))
    means = expected.means_ @ A.T + b
    np.testing.assert_allclose(found.weights_, expected.weights_, rtol=0, atol=rtol)
    np.testing.assert_allclose((found.means_ - means) / sd, 0, atol=rtol)
    np.testing.assert_allclose(
        (dense(found) - covariances) / (sd[:, :, None] * sd[:, None, :]), 0, atol=rtol
    )
    if log_density:
        expected_bound = expected.lower_bound_ - np.linalg.slogdet(A)[1]
        assert abs(found.lower_bound_ - expected_bound) <= rtol


def assert_same_optimum(found, expected, X_found, X_expected, A=None, b=0.0):
    """Compare fits that stop within about 0.01 nats of an optimum.

    A step of δ standard errors costs δ²/2 nats: parameters agree to a fifth of one,
    which for a component that overlaps with others is several times 1/√n_k.
    """
    n, d = X_expected.shape
    A = np.eye(d) if A is None else A
    jacobian = np.linalg.slogdet(A)[1]
    assert n * abs(found.lower_bound_ + jacobian - expected.lower_bound_) <= LEFT
    error = 1 / np.sqrt(n / expected.n_components)
    assert_same(found, expected, A, b, rtol=error, log_density=False)
    labels = found.predict(X_found), expected.predict(X_expected)
    # A row on a border may change sides.
    assert np.mean(labels[0] != labels[1]) <= 2 / n


# Units --------------------------------------------------------------------------------


@covariance_types
@searched
@given(seeds, powers_of_ten, st.floats(-1e4, 1e4))
def test_iterates_are_equivariant_under_shift_and_scale(
    covariance_type, seed, power, shift
):
    before = problem(seed)
    d = before.means.shape[1]
    A, b = 10.0**power * np.eye(d), 10.0**power * shift
    expected = fit(before, covariance_type, **ITERATES)
    found = fit(before.mapped(A, b), covariance_type, **ITERATES)
    assert_same(found, expected, A, b)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
@searched
@given(seeds)
def test_iterates_are_equivariant_under_a_scale_for_each_column(covariance_type, seed):
    before = problem(seed)
    rng = np.random.default_rng([seed, 1])
    A = np.diag(10.0 ** rng.uniform(-8, 8, before.means.shape[1]))
    expected = fit(before, covariance_type, **ITERATES)
    assert_same(fit(before.mapped(A, 0), covariance_type, **ITERATES), expected, A)


@matrix_types
@searched
@given(seeds)
def test_iterates_are_equivariant_under_affine_maps(covariance_type, seed):
    before = problem(seed)
    rng = np.random.default_rng([seed, 1])
    d = before.means.shape[1]
    A, b = well_conditioned(rng, d), 100 * rng.normal(size=d)
    expected = fit(before, covariance_type, **ITERATES)
    assert_same(fit(before.mapped(A, b), covariance_type, **ITERATES), expected, A, b)


@searched
@given(seeds)
def test_iterates_of_spherical_covariances_are_equivariant_under_rotation(seed):
    before = problem(seed)
    A, _ = np.linalg.qr(np.random.default_rng([seed, 1]).normal(size=(3, 3)))
    d = before.means.shape[1]
    A, _ = np.linalg.qr(A[:d, :d])
    expected = fit(before, "spherical", **ITERATES)
    found = fit(before.mapped(A, 0), "spherical", **ITERATES)
    assert_same(found, expected, A)


@matrix_types
@searched
@given(seeds)
def test_the_optimum_is_equivariant_under_affine_maps(covariance_type, seed):
    before = problem(seed, separation=4.0)
    rng = np.random.default_rng([seed, 1])
    d = before.means.shape[1]
    A, b = well_conditioned(rng, d), 100 * rng.normal(size=d)
    after = before.mapped(A, b)
    # By EM: quasi-Newton steps magnify rounding, up to another optimum now and then.
    expected = fit(before, covariance_type, algorithm="em", **OPTIMA)
    found = fit(after, covariance_type, algorithm="em", **OPTIMA)
    assert_same_optimum(found, expected, after.X, before.X, A, b)


@covariance_types
@searched
@given(seeds, powers_of_ten, st.floats(-1e4, 1e4))
def test_fits_from_kmeans_are_equivariant_under_shift_and_scale(
    covariance_type, seed, power, shift
):
    """Starts are made on standardised features."""
    before = problem(seed, separation=4.0)
    A = 10.0**power * np.eye(before.means.shape[1])
    after = before.mapped(A, 10.0**power * shift)
    expected = fit(before, covariance_type, given=False, n_init=1, **OPTIMA)
    found = fit(after, covariance_type, given=False, n_init=1, **OPTIMA)
    assert_same_optimum(found, expected, after.X, before.X, A, 10.0**power * shift)


# Order --------------------------------------------------------------------------------


@covariance_types
@searched
@given(seeds)
def test_iterates_do_not_depend_on_the_order_of_rows(covariance_type, seed):
    before = problem(seed)
    order = np.random.default_rng([seed, 1]).permutation(len(before.X))
    expected = fit(before, covariance_type, **ITERATES)
    found = fit(replace(before, X=before.X[order]), covariance_type, **ITERATES)
    # Sums of fewer than a hundred terms in another order.
    assert_same(found, expected, rtol=1e-11)


@covariance_types
@searched
@given(seeds)
def test_iterates_do_not_depend_on_the_order_of_columns(covariance_type, seed):
    before = problem(seed)
    d = before.means.shape[1]
    A = np.eye(d)[np.random.default_rng([seed, 1]).permutation(d)]
    expected = fit(before, covariance_type, **ITERATES)
    found = fit(before.mapped(A, 0), covariance_type, **ITERATES)
    # Cholesky factors of other matrices, of condition numbers below a hundred.
    assert_same(found, expected, A, rtol=1e-10)


@covariance_types
@searched
@given(seeds)
def test_iterates_keep_the_order_of_the_components_of_the_start(covariance_type, seed):
    before = problem(seed)
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(before.n_components)
    after = replace(before, weights=before.weights[order], means=before.means[order])
    expected = fit(before, covariance_type, **ITERATES)
    found = fit(after, covariance_type, **ITERATES)
    expected.weights_ = expected.weights_[order]
    expected.means_ = expected.means_[order]
    if covariance_type != "tied":
        expected.covariances_ = expected.covariances_[order]
    # Sums over components in another order.
    assert_same(found, expected, rtol=1e-11)


# Repetition ---------------------------------------------------------------------------


@covariance_types
@searched
@given(seeds)
def test_integer_weights_are_repeated_rows(covariance_type, seed):
    before = problem(seed)
    counts = np.random.default_rng([seed, 1]).integers(1, 4, len(before.X))
    repeated = replace(before, X=np.repeat(before.X, counts, axis=0))
    expected = fit(repeated, covariance_type, **ITERATES)
    # Sums of a few hundred terms in another grouping.
    found = fit(before, covariance_type, sample_weight=counts, **ITERATES)
    assert_same(found, expected, rtol=1e-11)


@covariance_types
@searched
@given(seeds)
def test_rows_of_weight_zero_are_left_out_of_seeding_too(covariance_type, seed):
    before = problem(seed)
    weight = np.random.default_rng([seed, 1]).choice([0.0, 0.7, 2.0], len(before.X))
    left = replace(before, X=before.X[weight > 0])
    expected = fit(
        left, covariance_type, weight[weight > 0], given=False, n_init=1, **ITERATES
    )
    found = fit(before, covariance_type, weight, given=False, n_init=1, **ITERATES)
    # The same numbers, perhaps added up in another order.
    assert_same(found, expected, rtol=1e-11)


# Type ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, np.int64, bool])
@covariance_types
@searched
@given(seeds)
def test_integers_give_what_their_float64_give(dtype, covariance_type, seed):
    before = problem(seed)
    X = before.X > before.X.mean() if dtype is bool else np.rint(3 * before.X + 60)
    X = X.astype(dtype)
    expected = fit(replace(before, X=X.astype(float)), covariance_type, given=False)
    found = fit(replace(before, X=X), covariance_type, given=False)
    assert found.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(found.means_, expected.means_)
    np.testing.assert_array_equal(found.covariances_, expected.covariances_)
    np.testing.assert_array_equal(found.predict(X), expected.predict(X.astype(float)))


@covariance_types
@searched
@given(seeds)
def test_iterates_of_float32_are_those_of_float64(covariance_type, seed):
    before = problem(seed)
    X = before.X.astype(np.float32)
    expected = fit(replace(before, X=X.astype(float)), covariance_type, **ITERATES)
    found = fit(replace(before, X=X), covariance_type, **ITERATES)
    assert found.means_.dtype == np.float32
    # A thousand float32 roundings, by the condition number and eight steps.
    assert_same(found, expected, rtol=1e-4)
    same = adjusted_rand_score(found.predict(X), expected.predict(X.astype(float)))
    assert same > 0.95
