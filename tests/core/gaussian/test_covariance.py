"""Each structure against its dense (K, d, d) twin."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.linalg import cholesky as scipy_cholesky

from skem.core.gaussian.covariance import STRUCTURES, Scatter, Structure
from skem.core.gaussian.quadratic import Norm, Pairs, Squares

SHAPES = [(1, 1), (3, 1), (1, 4), (3, 4)]
# Matrices of size 4 with condition numbers below about a hundred.
RTOL = 1e-11


@dataclass(frozen=True)
class Case:
    structure: Structure
    covariances: np.ndarray
    cholesky: np.ndarray
    dense: np.ndarray

    @property
    def shape(self):
        return self.dense.shape[:2]

    @property
    def precisions(self):
        return np.linalg.inv(self.dense)


@pytest.fixture(params=SHAPES, ids="K={0[0]},d={0[1]}".format)
def case(request, structure, make_covariances, dense):
    covariances = make_covariances(structure, *request.param)
    cholesky, failed = structure.factor(covariances)
    assert not failed.any()
    return Case(
        structure, covariances, cholesky, dense(structure, covariances, *request.param)
    )


# What a quadratic kind keeps of matrices (K, d, d).
KEPT = {
    Pairs: lambda matrices: matrices,
    Squares: lambda matrices: np.einsum("kii->ki", matrices),
    Norm: lambda matrices: np.einsum("kii->k", matrices),
}


def of_dense(structure, matrices):
    """Return the structure's scatter of dense ones (K, d, d)."""
    return KEPT[type(structure.quadratic)](matrices)


def test_shape(case):
    assert case.covariances.shape == case.structure.shape(*case.shape)


def test_factor_is_the_upper_triangular_root_of_the_precision(case, dense):
    K, d = case.shape
    assert case.cholesky.shape == case.structure.shape(K, d)
    upper = dense(case.structure, case.cholesky, K, d)
    lower = [scipy_cholesky(matrix, lower=True) for matrix in case.dense]
    np.testing.assert_allclose(
        upper, np.transpose(np.linalg.inv(lower), (0, 2, 1)), rtol=RTOL, atol=1e-12
    )


def test_covariances_and_precisions(case, dense):
    structure, shape = case.structure, case.shape
    np.testing.assert_allclose(
        structure.covariances(case.cholesky), case.covariances, rtol=RTOL, atol=1e-12
    )
    precisions = structure.precisions(case.cholesky)
    np.testing.assert_allclose(
        dense(structure, precisions, *shape), case.precisions, rtol=RTOL, atol=1e-11
    )
    np.testing.assert_allclose(
        structure.factor_precisions(precisions), case.cholesky, rtol=RTOL, atol=1e-11
    )


def test_log_det(case):
    log_det = case.structure.log_det(case.cholesky, case.shape[1])
    assert log_det.shape == ((1,) if case.structure.shared else case.shape[:1])
    expected = -0.5 * np.linalg.slogdet(case.dense)[1]
    np.testing.assert_allclose(
        np.broadcast_to(log_det, case.shape[0]), expected, rtol=RTOL, atol=1e-12
    )


def test_natural_coefficients_give_the_mahalanobis_term(case, rng):
    structure, (K, d) = case.structure, case.shape
    means = rng.standard_normal((K, d))
    x = rng.standard_normal((d, 6))
    features = np.empty((structure.logit_quadratic.size(d), 6))
    structure.logit_quadratic.expand(x, features)
    natural = structure.natural(case.cholesky, means)
    found = natural @ np.vstack([x, features])

    offsets = x.T[None] - means[:, None]
    expected = -0.5 * np.einsum("kbi,kij,kbj->kb", offsets, case.precisions, offsets)
    constant = -0.5 * np.einsum("ki,kij,kj->k", means, case.precisions, means)
    common = 0.0
    if structure.shared:
        common = -0.5 * np.einsum("ib,ij,jb->b", x, case.precisions[0], x)
    np.testing.assert_allclose(
        found + constant[:, None] + common, expected, rtol=RTOL, atol=1e-10
    )


def test_whiten_gives_the_mahalanobis_norm_and_color_undoes_it(case, rng):
    K, d = case.shape
    z = rng.standard_normal((d, 6))
    for k in range(K):
        white = case.structure.whiten(case.cholesky, k, z)
        expected = np.einsum("ib,ij,jb->b", z, case.precisions[k], z)
        np.testing.assert_allclose(np.sum(white**2, axis=0), expected, rtol=RTOL)
        np.testing.assert_allclose(
            case.structure.color(case.cholesky, k, white), z, rtol=RTOL, atol=1e-12
        )


def test_the_matrix_of_a_component_is_the_root_of_its_precision(case, dense):
    K, d = case.shape
    for k, root in enumerate(dense(case.structure, case.cholesky, K, d)):
        found = case.structure.matrix(case.cholesky, k, d)
        np.testing.assert_array_equal(found, root)


def test_rescaled_factor_is_that_of_divided_features(case, rng, dense):
    structure, (K, d) = case.structure, case.shape
    divisor = rng.uniform(0.1, 10, size=d)
    if not structure.scales_features:
        divisor[:] = divisor[0]
    rescaled = structure.rescale_precisions_cholesky(case.cholesky, divisor)
    np.testing.assert_allclose(
        dense(structure, structure.covariances(rescaled), K, d),
        case.dense / np.outer(divisor, divisor),
        rtol=RTOL,
        atol=1e-10,
    )


def test_standard_deviations_of_any_magnitude(case):
    expected = np.sqrt(np.einsum("kii->ki", case.dense))
    # At 1e±200 the variances themselves are out of range.
    for magnitude in (1.0, 1e-200, 1e200):
        found = case.structure.standard_deviations(
            case.cholesky * magnitude, case.shape
        )
        np.testing.assert_allclose(found * magnitude, expected, rtol=RTOL)


def test_precision_diagonals(case):
    found = case.structure.precision_diagonals(case.cholesky, case.shape)
    expected = np.einsum("kii->ki", case.precisions)
    np.testing.assert_allclose(found, expected, rtol=RTOL)


def test_trace_precision(case, rng):
    structure, (K, d) = case.structure, case.shape
    target = np.cov(rng.standard_normal((d, 20))).reshape(1, d, d)
    components = 1 if structure.shared else K
    expected = np.einsum("ij,kji->", target[0], case.precisions[:components])
    found = structure.trace_precision(case.cholesky, of_dense(structure, target)[0])
    np.testing.assert_allclose(found, expected, rtol=RTOL)


def test_add_to_diagonal(case, rng, dense):
    structure, (K, d) = case.structure, case.shape
    values = rng.uniform(size=d)
    found = structure.add_to_diagonal(case.covariances, values)
    added = values if structure.scales_features else np.full(d, values.mean())
    np.testing.assert_allclose(
        dense(structure, found, K, d), case.dense + np.diag(added), rtol=RTOL
    )


def test_n_parameters_is_the_dimension_of_the_space_of_covariances(
    case, make_covariances, dense
):
    structure, (K, d) = case.structure, case.shape
    draws = [
        dense(structure, make_covariances(structure, K, d), K, d).ravel()
        for _ in range(K * d * d + 3)
    ]
    assert structure.n_parameters(K, d) == np.linalg.matrix_rank(np.stack(draws))


def expected_loglik(case, covariances, counts, scatter, prior_count, prior, dense):
    """−½ Σ (n log|Σ| + tr Σ⁻¹W), with the prior once for each covariance."""
    K, d = case.shape
    matrices = dense(case.structure, covariances, K, d)
    if case.structure.shared:
        matrices = matrices[:1]
        counts, scatter = counts.sum(keepdims=True), scatter.sum(axis=0, keepdims=True)
    log_det = np.linalg.slogdet(matrices)[1]
    trace = np.trace(np.linalg.solve(matrices, scatter + prior), axis1=1, axis2=2)
    return -0.5 * np.sum((counts + prior_count) * log_det + trace)


def test_estimate_beats_every_perturbation_on_its_objective(case, rng, dense):
    structure, (K, d) = case.structure, case.shape
    counts = rng.uniform(5, 50, size=K)
    scatter = counts[:, None, None] * np.stack(
        [np.cov(rng.standard_normal((d, 3 * d))).reshape(d, d) for _ in range(K)]
    )
    prior_count, prior = 0.7, 0.7 * np.cov(rng.standard_normal((d, 20))).reshape(d, d)

    def objective(covariances):
        return expected_loglik(
            case, covariances, counts, scatter, prior_count, prior, dense
        )

    estimate = structure.estimate(
        Scatter(of_dense(structure, scatter), counts),
        Scatter(of_dense(structure, prior[None])[0], np.asarray(prior_count)),
        d,
    )
    assert estimate.shape == structure.shape(K, d)
    cholesky, _ = structure.factor(estimate)
    best = objective(estimate)
    # At 1e-4 the loss is of order count·1e-8 nats, still far above rounding.
    for size in (0.3, 1e-2, 1e-4):
        for _ in range(10):
            noise = rng.standard_normal(cholesky.shape)
            perturbed = cholesky + size * noise * (cholesky != 0)
            assert objective(structure.covariances(perturbed)) < best


@pytest.mark.parametrize("broken", [0.0, -1.0, np.nan])
def test_not_positive_definite_is_flagged_not_raised(
    structure, broken, make_covariances
):
    K, d = 3, 2
    covariances = make_covariances(structure, K, d)
    intact, _ = structure.factor(covariances)
    victim = () if structure.shared else (1,)
    position = victim + (-1,) * (covariances.ndim - len(victim))
    covariances[position] = broken
    cholesky, failed = structure.factor(covariances)
    if structure.shared:
        assert failed.shape == ()
        assert failed
    else:
        np.testing.assert_array_equal(failed, [False, True, False])
        np.testing.assert_allclose(cholesky[[0, 2]], intact[[0, 2]], rtol=1e-14)


def test_upper_factor_of_any_root(case, rng):
    d = case.shape[1]
    assert case.structure.upper_factor(case.cholesky) is case.cholesky or not (
        case.structure.matrices
    )
    if case.structure.matrices:
        rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
        root = case.cholesky @ rotation
    else:
        root = -case.cholesky
    np.testing.assert_allclose(
        case.structure.upper_factor(root), case.cholesky, rtol=RTOL, atol=RTOL
    )


def test_upper_factor_of_one_with_a_negative_column(case):
    signs = np.ones(case.cholesky.shape[-1])
    signs[-1] = -1
    np.testing.assert_allclose(
        case.structure.upper_factor(case.cholesky * signs),
        case.cholesky,
        rtol=RTOL,
        atol=RTOL,
    )


def test_upper_factor_loses_no_precision(rng):
    # The condition number of the precision is 1e20, of the root 1e10.
    structure = STRUCTURES["full"]
    upper = np.array([[[1e5, 3e4], [0.0, 1e-5]]])
    rotation = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    found = structure.upper_factor(upper @ rotation)
    np.testing.assert_allclose(np.diagonal(found[0])[0], 1e5, rtol=1e-4)
    lower = np.array([[[1e-5, 0.0], [3e4, 1e5]]])
    found = structure.upper_factor(lower)
    # |U| = |L|, and U_dd is the norm of the last row.
    np.testing.assert_allclose(np.linalg.det(found[0]), 1.0, rtol=1e-12)
    np.testing.assert_allclose(found[0, 1, 1], np.hypot(3e4, 1e5), rtol=1e-12)


def test_draw_gives_noise_the_covariance(case):
    d = case.shape[1]
    for k, covariance in enumerate(case.dense):
        root = case.structure.draw(case.covariances, k, np.eye(d))
        np.testing.assert_allclose(root @ root.T, covariance, rtol=RTOL, atol=RTOL)
